//! V8 in another process: Node.js.

use crate::memory::RemoteMemory;
use crate::runtime::Symbols;
use sondage::resolve::{KnownFile, Mappings};
use sondage::v8::{Announced, Facts, Layout, Version};
use sondage_sampler::MemoryReader;
use sondage_sampler::walk::v8::OutsideIsolate;
use std::collections::HashMap;
use std::ops::Range;

/// Code that V8 brings along is smaller, and the room for what it makes larger.
const MIN_ROOM: u64 = 16 << 20;

/// Up to V8 12 each page of code begins with a header that cannot be executed: of 8 KiB.
const MAX_HEADER: u64 = 64 << 10;

/// Bytes of an isolate in which pointers to its room for code are looked for.
const MAX_ISOLATE: u64 = 64 << 10;

/// Isolates that are known at once: one for each thread of JavaScript.
const MAX_ISOLATES: usize = 256;

/// `PT_TLS` of elf.h.
const THREAD_LOCAL: u32 = 7;

/// The thread's isolate, a thread-local variable of the executable.
const CURRENT: &str = "_ZN2v88internal18g_current_isolate_E";

/// Where the code is that V8 brings along, and how much of it there is.
const BLOB: &str = "_ZN2v88internal12_GLOBAL__N_127current_embedded_blob_code_E";
const BLOB_SIZE: &str = "_ZN2v88internal12_GLOBAL__N_132current_embedded_blob_code_size_E";

const VERSION: [&str; 3] = [
    "_ZN2v88internal7Version6major_E",
    "_ZN2v88internal7Version6minor_E",
    "_ZN2v88internal7Version6build_E",
];

/// A V8 whose frames can be read.
#[derive(Debug)]
pub(crate) struct V8 {
    pid: u32,
    layout: Layout,
    builtins: Range<u64>,
    /// From `pthread_self()` to the pointer to the isolate.
    current: u64,
    /// By address; `None` for one whose code is not found.
    isolates: HashMap<u64, Option<OutsideIsolate>>,
}

impl V8 {
    /// The one that an executable holds; `None` if it holds none.
    pub(crate) fn find(
        pid: u32,
        mappings: &Mappings,
        file: &KnownFile,
        memory: &RemoteMemory,
    ) -> Result<Option<Self>, String> {
        let wanted = |name: &str| {
            let whole = [CURRENT, BLOB, BLOB_SIZE].contains(&name) || VERSION.contains(&name);
            whole || name.starts_with("v8dbg_")
        };
        let symbols = Symbols::of(mappings, file, &wanted).ok_or("its file cannot be read")?;
        let half = |name: &str| memory.clone().half(symbols.get(name)?);
        let [Some(major), Some(minor), Some(build)] = VERSION.map(half) else { return Ok(None) };
        let find = |name: &str| half(&format!("v8dbg_{name}")).map(|constant| constant as i32);
        let layout = Layout::new(Version(major, minor, build), &find);
        let layout = layout.map_err(|reason| reason.to_string())?;
        let stripped = || "its file has no symbol table, which tells where isolates are".to_owned();
        let blob = symbols.get(BLOB).and_then(|at| memory.clone().word(at)).ok_or_else(stripped)?;
        let size = half(BLOB_SIZE).ok_or_else(stripped)?;
        let bias = mappings.of_file(file.index).next().map_or(0, |module| module.bias);
        let offset = symbols.get(CURRENT).ok_or_else(stripped)?.wrapping_sub(bias);
        let locals = file.open().ok().and_then(|image| {
            image.segments().iter().find(|segment| segment.kind == THREAD_LOCAL).copied()
        });
        let locals = locals.ok_or_else(stripped)?;
        // The executable's block of thread-locals ends where `pthread_self()` points to.
        let block = locals.memory_size.next_multiple_of(locals.alignment.max(1));
        Ok(Some(Self {
            pid,
            layout,
            builtins: blob..blob.saturating_add(u64::from(size)),
            current: offset.wrapping_sub(block),
            isolates: HashMap::new(),
        }))
    }

    pub(crate) fn announced(&self) -> Announced {
        Announced { layout: self.layout, builtins: self.builtins.start, pid: Some(self.pid) }
    }

    /// The isolate that a thread runs, if it runs one.
    pub(crate) fn of_thread(
        &mut self,
        memory: &RemoteMemory,
        identity: u64,
    ) -> Option<(&Layout, &OutsideIsolate)> {
        let isolate = memory.clone().word(identity.wrapping_add(self.current))?;
        if isolate == 0 {
            return None;
        }
        if self.isolates.len() >= MAX_ISOLATES {
            self.isolates.clear();
        }
        if !self.isolates.contains_key(&isolate) {
            let facts = self.facts(memory, isolate);
            let known = facts.and_then(|facts| OutsideIsolate::new(&facts).ok());
            self.isolates.insert(isolate, known);
        }
        Some((&self.layout, self.isolates.get(&isolate)?.as_ref()?))
    }

    /// Where an isolate's code is: in the room that it points to most.
    fn facts(&self, memory: &RemoteMemory, isolate: u64) -> Option<Facts> {
        let maps = std::fs::read(format!("/proc/{}/maps", self.pid)).ok()?;
        let rooms = rooms(&String::from_utf8_lossy(&maps));
        let mut memory = memory.clone();
        let words = (0..MAX_ISOLATE).step_by(8);
        let words: Vec<u64> =
            words.map_while(|offset| memory.word(isolate.wrapping_add(offset))).collect();
        let pointers = |room: &Room| words.iter().filter(|it| room.range.contains(it)).count();
        let room = rooms.into_iter().max_by_key(pointers)?;
        Some(Facts {
            isolate,
            code: room.range,
            builtins: self.builtins.clone(),
            copied_builtins: room.copied,
        })
    }
}

/// Room for code that V8 has reserved.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Room {
    range: Range<u64>,
    /// The mapping of the executable in it; empty for none.
    copied: Range<u64>,
}

/// Pieces of memory without gaps that hold code without a file, and little else.
fn rooms(maps: &str) -> Vec<Room> {
    let mut rooms: Vec<Room> = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_ascii_whitespace();
        let range = words.next().and_then(|range| range.split_once('-'));
        let Some((start, end)) = range else { continue };
        let hex = |digits| u64::from_str_radix(digits, 16);
        let (Ok(start), Ok(end)) = (hex(start), hex(end)) else { continue };
        let Some(rights) = words.next() else { continue };
        let executable = rights.as_bytes().get(2) == Some(&b'x');
        let has_file = words.nth(3).is_some();
        let last = rooms.last_mut().filter(|last| last.range.end == start);
        match last {
            Some(last) if executable && has_file => {
                last.range.end = end;
                last.copied = start..end;
            }
            // What is reserved only has no rights.
            Some(last) if !has_file && (executable || rights.starts_with("---")) => {
                last.range.end = end;
            }
            Some(last) if !has_file && end - start <= MAX_HEADER => last.range.end = end,
            _ if !has_file && (executable || rights.starts_with("---")) => {
                rooms.push(Room { range: start..end, copied: 0..0 });
            }
            _ => {}
        }
    }
    rooms.retain(|room| room.range.end - room.range.start >= MIN_ROOM);
    rooms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_for_code_is_found_with_headers_of_pages_and_a_copy_of_the_executable_in_it() {
        let maps = "\
00400000-00746000 r--p 00000000 fe:00 55 /bin/node
00746000-03044000 r-xp 00346000 fe:00 55 /bin/node
7f0000000000-7f0000001000 rwxp 00000000 00:00 0
7f88fbf00000-7f88fc000000 rw-p 00000000 00:00 0
7f88fc000000-7f88fc003000 ---p 00000000 00:00 0
7f88fc003000-7f88fc03f000 rwxp 00000000 00:00 0
7f88fc03f000-7f88fc040000 ---p 00000000 00:00 0
7f88fc040000-7f88fc042000 rw-p 00000000 00:00 0
7f88fc042000-7f88fc043000 ---p 00000000 00:00 0
7f88fc043000-7f88fc07f000 rwxp 00000000 00:00 0
7f88fc07f000-7f88fd000000 ---p 00000000 00:00 0
7f88fd000000-7f891bdc0000 rwxp 00000000 00:00 0
7f891bdc0000-7f891bfc5000 r-xp 01627000 fe:00 55 /bin/node
7f891bfc5000-7f891c000000 rwxp 00000000 00:00 0
7f891c000000-7f891c021000 rw-p 00000000 00:00 0
";
        let room = Room {
            range: 0x7f88_fc00_0000..0x7f89_1c00_0000,
            copied: 0x7f89_1bdc_0000..0x7f89_1bfc_5000,
        };
        assert_eq!(rooms(maps), [room]);
    }
}

//! The executable mappings of this process, with the file and the unwind table of each.

use super::elf::Segment;
use super::maps::MapLine;
use super::own_memory::read_own;
use super::source::FileIdentity;
use super::symbols::ModuleFile;
use super::tables::{MAX_EH_FRAME, OwnedTable};
use sondage_sampler::{MARKER_PREFIX, ModuleEntry, Sampler};
use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// `.eh_frame` up to this size is turned into a table when the module appears; a larger one when
/// a sample first meets the module, because building takes 0.1 s a megabyte or more: libpython 3.12
/// has 320 KiB, the extension module of our own Python package 640.
const EAGER_EH_FRAME: u64 = 512 << 10;

/// The vDSO is two pages on every kernel so far.
const MAX_VDSO: u64 = 64 << 10;

/// Different files that are remembered, with their tables, while the sampler runs.
const MAX_FILES: usize = 2048;

/// The name of executable memory that has none: code made at run time.
pub const ANONYMOUS: &str = "[anonymous]";

/// One executable mapping.
#[derive(Clone, Debug)]
pub struct Module {
    /// Its addresses.
    pub range: Range<u64>,
    /// Address minus address in the file.
    pub bias: u64,
    /// Offset in the file of the first address.
    pub file_offset: u64,
    /// Which file; see [`Modules::file`].
    pub file: FileIndex,
}

/// Names a file of [`Modules`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileIndex(usize);

#[derive(Debug)]
enum TableState {
    /// To be built; the size of `.eh_frame`.
    Pending(u64),
    /// Built: its number in the sampler.
    Built(u32),
    /// There is none, and why.
    None,
}

#[derive(Debug)]
struct KnownFile {
    module: ModuleFile,
    segments: Vec<Segment>,
    table: TableState,
    wanted: bool,
}

/// The modules, as of the last [`Modules::refresh`].
#[derive(Debug, Default)]
pub struct Modules {
    list: Vec<Module>,
    files: Vec<KnownFile>,
    by_key: HashMap<(Option<FileIdentity>, PathBuf), FileIndex>,
    main_stack: Range<u64>,
    revision: u64,
    /// The version of another copy of Sondage that runs in this process.
    pub other_agent: Option<String>,
    /// What could not be read or built, for `stats()` and `doctor`.
    pub last_error: Option<String>,
}

impl Modules {
    /// Reads `/proc/self/maps` again. Returns whether the list of modules changed. When it cannot
    /// be read the list stays as it was, and `last_error` tells.
    pub fn refresh(&mut self) -> bool {
        let text = match std::fs::read("/proc/self/maps") {
            Ok(text) => text,
            Err(error) => {
                self.last_error = Some(format!("/proc/self/maps: {error}"));
                return false;
            }
        };
        let text = String::from_utf8_lossy(&text);
        let mut list = Vec::new();
        for line in text.lines().filter_map(MapLine::parse) {
            if line.name == "[stack]" {
                self.main_stack = line.range.clone();
            } else if let Some(agent) = line.name.strip_prefix(MARKER_PREFIX) {
                self.other_agent = version_if_here(agent);
            }
            if line.executable
                && let Some(module) = self.module(&line)
            {
                list.push(module);
            }
        }
        let same = |(a, b): (&Module, &Module)| a.range == b.range && a.file == b.file;
        let changed = list.len() != self.list.len() || !list.iter().zip(&self.list).all(same);
        self.list = list;
        self.revision += u64::from(changed);
        changed
    }

    /// A number that grows whenever the list of modules changes.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The mappings of a file.
    pub fn of_file(&self, file: FileIndex) -> impl Iterator<Item = &Module> {
        self.list.iter().filter(move |module| module.file == file)
    }

    /// The main thread's stack; empty before the first refresh.
    pub fn main_stack(&self) -> Range<u64> {
        self.main_stack.clone()
    }

    /// The module that holds an address.
    pub fn find(&self, address: u64) -> Option<&Module> {
        let after = self.list.partition_point(|module| module.range.start <= address);
        self.list[..after].last().filter(|module| address < module.range.end)
    }

    /// The file of a module.
    pub fn file(&self, index: FileIndex) -> &ModuleFile {
        &self.files[index.0].module
    }

    /// Asks for the table of a large file, because a sample met it.
    pub fn want_table(&mut self, index: FileIndex) {
        self.files[index.0].wanted = true;
    }

    /// Builds one missing table, the smallest first, and returns whether it did. To be called
    /// between drains until it returns `false`.
    pub fn build_next(&mut self, sampler: &mut Sampler) -> bool {
        let pending = self.files.iter().enumerate().filter_map(|(index, file)| match file.table {
            TableState::Pending(size) if size <= EAGER_EH_FRAME || file.wanted => {
                Some((size, index))
            }
            _ => None,
        });
        let Some((_, index)) = pending.min() else { return false };
        let file = &self.files[index].module;
        let built = file.open().and_then(|image| OwnedTable::build(&image));
        self.files[index].table = match built {
            Ok(Some(table)) => match sampler.add_table(&table.as_table()) {
                Some(number) => TableState::Built(number),
                None => {
                    self.last_error = Some("the room for unwind tables is used up".to_owned());
                    TableState::None
                }
            },
            Ok(None) => TableState::None,
            Err(error) => {
                self.last_error =
                    Some(format!("{}: {error}", self.files[index].module.path.display()));
                TableState::None
            }
        };
        true
    }

    /// Shows the current list to the handlers; `false` means "try again later".
    pub fn publish(&self, sampler: &mut Sampler) -> bool {
        sampler.publish_modules(
            self.list
                .iter()
                .map(|module| (module.range.clone(), module.bias, self.table_number(module))),
        )
    }

    /// The modules with their tables, for an engine outside of the handlers.
    pub fn entries<'s>(&self, sampler: &'s Sampler) -> Vec<ModuleEntry<'s>> {
        let entry = |module: &Module| ModuleEntry {
            start: module.range.start,
            end: module.range.end,
            bias: module.bias,
            table: self.table_number(module).and_then(|number| sampler.table(number)),
        };
        self.list.iter().map(entry).collect()
    }

    fn table_number(&self, module: &Module) -> Option<u32> {
        match self.files[module.file.0].table {
            TableState::Built(number) => Some(number),
            TableState::Pending(_) | TableState::None => None,
        }
    }

    fn module(&mut self, line: &MapLine<'_>) -> Option<Module> {
        let index = self.known_file(line)?;
        let file = &self.files[index.0];
        let svma = if file.module.bytes.is_some() {
            0
        } else if file.segments.is_empty() {
            // No file to look into: addresses stand for themselves, frame pointers are followed.
            line.range.start
        } else {
            let holds = |segment: &&Segment| {
                let start = segment.offset & !0xfff;
                (start..segment.offset.saturating_add(segment.file_size)).contains(&line.offset)
            };
            let executable = |segment: &&Segment| segment.flags & 1 != 0;
            let segment = file.segments.iter().filter(executable).find(holds)?;
            segment.address.wrapping_add(line.offset).wrapping_sub(segment.offset)
        };
        let bias = line.range.start.wrapping_sub(svma);
        Some(Module { range: line.range.clone(), bias, file_offset: line.offset, file: index })
    }

    fn known_file(&mut self, line: &MapLine<'_>) -> Option<FileIndex> {
        let vdso = line.name == "[vdso]";
        let name = if line.name.is_empty() { ANONYMOUS } else { line.name };
        let path = PathBuf::from(name.trim_end_matches(" (deleted)"));
        let key = (line.identity, path.clone());
        if let Some(index) = self.by_key.get(&key) {
            return Some(*index);
        }
        if self.files.len() >= MAX_FILES {
            self.last_error = Some(format!("more than {MAX_FILES} different files are mapped"));
            return None;
        }
        let bytes = if vdso { Some(read_own_memory(&line.range)?) } else { None };
        let mut file = KnownFile {
            module: ModuleFile { path, identity: line.identity, build_id: None, bytes },
            segments: Vec::new(),
            table: TableState::None,
            wanted: false,
        };
        if !vdso && !name.starts_with('/') {
            return Some(self.remember(key, file));
        }
        // The executable comes first; its table is built whatever its size.
        file.wanted = !self.files.iter().any(|known| known.wanted);
        match file.module.open() {
            Ok(image) => {
                file.module.build_id = image.build_id();
                file.segments = image.load_segments().cloned().collect();
                let size = image.section(".eh_frame").map_or(0, |section| section.size);
                if (1..=MAX_EH_FRAME).contains(&size) {
                    file.table = TableState::Pending(size);
                }
            }
            Err(error) => self.last_error = Some(format!("{}: {error}", line.name)),
        }
        Some(self.remember(key, file))
    }

    fn remember(&mut self, key: (Option<FileIdentity>, PathBuf), file: KnownFile) -> FileIndex {
        let index = FileIndex(self.files.len());
        self.files.push(file);
        self.by_key.insert(key, index);
        index
    }
}

/// `PID:VERSION (deleted)` of this process; a marker of another one was inherited over a fork.
fn version_if_here(marker: &str) -> Option<String> {
    let (pid, version) = marker.split_once(':')?;
    let version = version.trim_end_matches(" (deleted)");
    (pid == std::process::id().to_string()).then(|| version.to_owned())
}

/// Copies a small part of the own memory.
fn read_own_memory(range: &Range<u64>) -> Option<Arc<[u8]>> {
    let size = range.end.checked_sub(range.start).filter(|size| *size <= MAX_VDSO)?;
    read_own(range.start, usize::try_from(size).ok()?).map(Arc::from)
}

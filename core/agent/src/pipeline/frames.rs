//! The frames of a profile that is being put together, each once, and what they are called.

use crate::profile::{Function, Line, Location, LocationId, Mapping, Profile};
use crate::resolve::{Detail, FileIndex, Mappings, Resolved, Symbols, is_anonymous};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The top byte of a frame word says what kind of frame it is; 0 is a native address.
const KIND_SHIFT: u32 = 56;

/// Whether a frame word is an address in the kernel: they are words as they are.
pub(super) fn is_kernel(word: u64) -> bool {
    word >> KIND_SHIFT == 0xff
}

/// A frame, as far as it can be told without symbols.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Frame {
    /// An address in the process that no module holds.
    Unmapped(u64),
    /// An address in the process, and the file and address in it that it belongs to.
    Native { address: u64, file: FileIndex, in_file: u64, mapping: MappedAt, detail: Detail },
    /// A line of a source file that an interpreter runs.
    Source(SourceFrame),
    /// An address in the kernel.
    Kernel(u64),
    /// A frame that says what is missing.
    Placeholder(&'static str),
    /// A frame of a kind that this version does not know.
    UnknownKind,
}

/// A frame of interpreted code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct SourceFrame {
    pub(super) name: Arc<str>,
    pub(super) file: Arc<str>,
    /// First line of the function, 0 when unknown.
    pub(super) start_line: u32,
    /// The line that runs, 0 when unknown.
    pub(super) line: u32,
}

impl SourceFrame {
    /// A function of the kernel, in itself or in a module.
    fn of_kernel(name: Arc<str>, module: Arc<str>) -> Self {
        Self { name, file: module, ..Self::default() }
    }
}

/// Where a file was mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct MappedAt {
    start: u64,
    end: u64,
    offset: u64,
}

/// See the module's description.
#[derive(Debug, Default)]
pub(super) struct Frames {
    frames: Vec<Frame>,
    numbers: HashMap<Frame, u32>,
}

impl Frames {
    /// The number of a frame.
    pub(super) fn number(&mut self, frame: Frame) -> u32 {
        let next = self.frames.len() as u32;
        let number = *self.numbers.entry(frame.clone()).or_insert(next);
        if number == next {
            self.frames.push(frame);
        }
        number
    }

    /// How many frames there are.
    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    /// Forgets all frames but some, and returns the new numbers of those by their old ones.
    pub(super) fn keep(&mut self, kept: &HashSet<u32>) -> HashMap<u32, u32> {
        let all = std::mem::take(self).frames.into_iter().zip(0u32..);
        let kept = all.filter(|(_, number)| kept.contains(number));
        kept.map(|(frame, before)| (before, self.number(frame))).collect()
    }

    /// The number of the frame at an address.
    pub(super) fn native(&mut self, address: u64, modules: &Mappings, detail: Detail) -> u32 {
        let frame = if address >> KIND_SHIFT != 0 {
            Frame::UnknownKind
        } else if let Some(module) = modules.find(address) {
            let (start, end) = (module.range.start, module.range.end);
            Frame::Native {
                address,
                file: module.file,
                in_file: address.wrapping_sub(module.bias),
                mapping: MappedAt { start, end, offset: module.file_offset },
                detail,
            }
        } else {
            Frame::Unmapped(address)
        };
        self.number(frame)
    }

    /// The location of every frame, in order of their numbers.
    pub(super) fn locations(
        &self,
        profile: &mut Profile,
        modules: &Mappings,
        symbols: &mut Symbols,
    ) -> Vec<LocationId> {
        let mut by_file: HashMap<(FileIndex, Detail), Vec<(u64, usize)>> = HashMap::new();
        for (number, frame) in self.frames.iter().enumerate() {
            if let Frame::Native { file, in_file, detail, .. } = frame {
                by_file.entry((*file, *detail)).or_default().push((*in_file, number));
            }
        }
        let mut lines = vec![Vec::new(); self.frames.len()];
        for ((file, detail), mut frames) in by_file {
            frames.sort_unstable();
            let addresses: Vec<u64> = frames.iter().map(|(address, _)| *address).collect();
            let has_symbols = modules.known(file).is_some_and(|file| file.may_have_table());
            let file = modules.file(file);
            // Runtimes make code in memory without a file, and in files that are nothing but memory.
            let mut resolved = match has_symbols {
                true => Vec::new(),
                false => symbols.jitted(modules, &addresses),
            };
            if !is_anonymous(&file.path) && resolved.iter().all(|it| it.frames.is_empty()) {
                resolved = symbols.resolve_as(file, &addresses, detail);
            }
            for ((_, number), resolved) in frames.iter().zip(&resolved) {
                lines[*number] = lines_of(profile, resolved);
            }
        }
        for (frame, lines) in self.frames.iter().zip(&mut lines) {
            if let Frame::Kernel(address) = frame
                && let Some((name, module)) = symbols.kernel(*address)
            {
                *lines = vec![source_line(profile, &SourceFrame::of_kernel(name, module))];
            }
        }
        let frames = self.frames.iter().zip(lines);
        frames.map(|(frame, lines)| location(profile, modules, frame, lines)).collect()
    }
}

fn lines_of(profile: &mut Profile, resolved: &Resolved) -> Vec<Line> {
    let mut lines = Vec::with_capacity(resolved.frames.len());
    for frame in resolved.frames.iter() {
        let function = Function {
            name: profile.string(&frame.name),
            system_name: profile.string(&frame.system_name),
            file: profile.string(frame.file.as_deref().unwrap_or("")),
            start_line: frame.start_line.unwrap_or(0),
        };
        let function = profile.function(function);
        lines.push(Line { function, line: frame.line.unwrap_or(0) });
    }
    lines
}

/// Interpreted code has no mapping: it is no part of a binary.
fn source_line(profile: &mut Profile, source: &SourceFrame) -> Line {
    let name = profile.string(&source.name);
    let file = profile.string(&source.file);
    let function = Function { name, system_name: name, file, start_line: source.start_line };
    Line { function: profile.function(function), line: source.line }
}

fn location(
    profile: &mut Profile,
    modules: &Mappings,
    frame: &Frame,
    lines: Vec<Line>,
) -> LocationId {
    match frame {
        Frame::Source(source) => {
            let lines = vec![source_line(profile, source)];
            profile.location(Location { lines, ..Location::default() })
        }
        Frame::Placeholder(name) => profile.named_location(name),
        Frame::UnknownKind => profile.named_location("[unknown frame kind]"),
        Frame::Kernel(_) if lines.is_empty() => profile.named_location("[kernel]"),
        Frame::Kernel(_) => profile.location(Location { lines, ..Location::default() }),
        Frame::Unmapped(address) => {
            profile.location(Location { address: *address, ..Location::default() })
        }
        Frame::Native { address, file, mapping, .. } => {
            let file = modules.file(*file);
            let mapping = Mapping {
                start: mapping.start,
                end: mapping.end,
                file_offset: mapping.offset,
                file: profile.string(&file.path.to_string_lossy()),
                build_id: profile.string(file.build_id.as_deref().unwrap_or("")),
            };
            let mapping = profile.mapping(mapping);
            profile.location(Location { mapping, address: *address, lines })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::Modules;

    #[inline(never)]
    fn called(number: u64) -> u64 {
        std::hint::black_box(number) + 2
    }

    #[test]
    fn a_frame_by_name_is_one_of_its_own_without_a_line() {
        let mut modules = Modules::default();
        modules.refresh();
        let start = called as fn(u64) -> u64 as usize as u64;
        assert_eq!(called(1), 3);
        let mut frames = Frames::default();
        let exact = frames.native(start, &modules, Detail::Lines);
        let named = frames.native(start, &modules, Detail::Names);
        assert_eq!(frames.native(start, &modules, Detail::Names), named);
        assert_ne!(exact, named);
        let mut profile = Profile::new(Vec::new());
        let mut symbols = Symbols::new(Default::default());
        let locations = frames.locations(&mut profile, &modules, &mut symbols);
        let line = |number: u32| {
            let location = &profile.locations()[locations[number as usize].index()];
            let [line] = location.lines.as_slice() else { panic!("nothing is inlined") };
            *line
        };
        let function = |line: Line| &profile.functions()[line.function.index()];
        assert_eq!(function(line(named)).name, function(line(exact)).name);
        assert!(profile.text(function(line(named)).name).ends_with("called"));
        assert_eq!((line(named).line, function(line(named)).start_line), (0, 0));
        assert!(line(exact).line > 0 && function(line(exact)).start_line > 0);
    }
}

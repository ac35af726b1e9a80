//! Frames: what a reader sees of a location, one for each function inlined there.

use std::collections::HashMap;

use super::Location;
use super::Profile;
use super::StackId;
use super::StringId;

/// Characters of a file's name in a made-up function name.
const MAX_FILE_NAME: usize = 255;

/// How much of a frame tells it from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    /// The name alone.
    Name,
    /// The function: its name and source file.
    Function,
    /// Everything: module, line and inlining too.
    Line,
}

/// The name of a frame.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Name {
    /// A function's name.
    Known(StringId),
    /// `libc.so.6+0x1234` where only module and file offset are known, `0x1234` where only the
    /// address is, `[unknown]` where nothing is.
    Address(String),
}

/// One function of a stack. Ids are those of the profile.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Frame {
    name: Name,
    /// Source file, or the empty string.
    pub(super) file: StringId,
    /// Path of the mapped file, or the empty string.
    pub(super) module: StringId,
    /// Line in the source file, 0 when unknown.
    pub(super) line: u32,
    /// Whether the compiler put this function's code into its caller.
    pub(super) inlined: bool,
}

impl Frame {
    fn unnamed(name: String) -> Self {
        let (file, module) = (StringId::default(), StringId::default());
        Self { name: Name::Address(name), file, module, line: 0, inlined: false }
    }

    /// The function's name, never empty.
    pub(super) fn name<'a>(&'a self, profile: &'a Profile) -> &'a str {
        match &self.name {
            Name::Known(id) => profile.text(*id),
            Name::Address(name) => name,
        }
    }

    /// The frames of a location: the function that was really called first, then what is inlined
    /// into it, innermost last.
    fn of(profile: &Profile, location: &Location) -> Vec<Self> {
        let mapping = profile.mappings().get(location.mapping.index());
        let module = mapping.map_or(StringId::default(), |mapping| mapping.file);
        if location.lines.is_empty() {
            return vec![Self { module, ..Self::unnamed(address_name(profile, location)) }];
        }
        let called = location.lines.len() - 1;
        let lines = location.lines.iter().enumerate().rev();
        let frames = lines.map(|(index, line)| {
            let function = profile.functions().get(line.function.index()).copied();
            let function = function.unwrap_or_default();
            let name = match profile.text(function.name) {
                "" => Name::Address(address_name(profile, location)),
                _ => Name::Known(function.name),
            };
            Self { name, file: function.file, module, line: line.line, inlined: index != called }
        });
        frames.collect()
    }

    fn reduced(self, detail: Detail) -> Self {
        let none = StringId::default();
        match detail {
            Detail::Line => self,
            Detail::Function => Self { module: none, line: 0, inlined: false, ..self },
            Detail::Name => Self { file: none, ..self.reduced(Detail::Function) },
        }
    }
}

fn address_name(profile: &Profile, location: &Location) -> String {
    let mapping = profile.mappings().get(location.mapping.index());
    let inside = mapping.filter(|m| m.start <= location.address && location.address < m.end);
    match inside {
        Some(mapping) => {
            let path = profile.text(mapping.file);
            let file = path.rsplit('/').next().unwrap_or(path);
            let file: String = file.chars().take(MAX_FILE_NAME).collect();
            let offset = (location.address - mapping.start).saturating_add(mapping.file_offset);
            format!("{file}+{offset:#x}")
        }
        None if location.address == 0 => "[unknown]".to_owned(),
        None => format!("{:#x}", location.address),
    }
}

/// The frames of a profile, numbered.
#[derive(Debug)]
pub(super) struct FrameTable {
    frames: Vec<Frame>,
    by_location: Vec<Vec<u32>>,
    /// The frame of a stack without locations, made only if there is such a stack.
    unknown: u32,
}

impl FrameTable {
    /// Numbers the frames of `profile`; those equal up to `detail` share a number.
    pub(super) fn new(profile: &Profile, detail: Detail) -> Self {
        let mut frames = Vec::new();
        let mut numbers: HashMap<Frame, u32> = HashMap::new();
        let mut number = |frame: Frame| {
            let next = frames.len();
            *numbers.entry(frame.reduced(detail)).or_insert_with_key(|frame| {
                frames.push(frame.clone());
                u32::try_from(next).unwrap_or(u32::MAX)
            })
        };
        let by_location = profile
            .locations()
            .iter()
            .map(|location| Frame::of(profile, location).into_iter().map(&mut number).collect());
        let by_location = by_location.collect();
        let bare = profile.samples().iter().any(|s| profile.frames(s.stack).is_empty());
        let unknown = if bare { number(Frame::unnamed("[unknown]".to_owned())) } else { 0 };
        Self { frames, by_location, unknown }
    }

    /// The frames in order of their numbers.
    pub(super) fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// Fills `out` with the numbers of a stack's frames, root first. A stack without locations is
    /// one unknown frame.
    pub(super) fn stack(&self, profile: &Profile, stack: StackId, out: &mut Vec<u32>) {
        out.clear();
        let locations = profile.frames(stack).iter().rev();
        let known = locations.filter_map(|location| self.by_location.get(location.index()));
        out.extend(known.flatten());
        if out.is_empty() {
            out.push(self.unknown);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Detail, FrameTable};
    use crate::profile::{Function, Line, Location, Mapping, Profile, ValueType};

    #[test]
    fn inlined_functions_follow_the_function_that_was_called() {
        let mut p = Profile::new(vec![ValueType::new("cpu", "nanoseconds")]);
        let lines = ["inner", "middle", "outer"].map(|name| {
            let name = p.string(name);
            Line { function: p.function(Function { name, ..Function::default() }), line: 7 }
        });
        let location = p.location(Location { lines: lines.to_vec(), ..Location::default() });
        let stack = p.stack(&[location]);
        let table = FrameTable::new(&p, Detail::Line);
        let mut numbers = Vec::new();
        table.stack(&p, stack, &mut numbers);
        let frames = numbers.iter().map(|&n| &table.frames()[n as usize]);
        let seen: Vec<_> = frames.map(|frame| (frame.name(&p), frame.inlined)).collect();
        assert_eq!(seen, [("outer", false), ("middle", true), ("inner", true)]);
    }

    #[test]
    fn a_frame_without_a_name_is_called_by_its_place() {
        let mut p = Profile::new(vec![ValueType::new("cpu", "nanoseconds")]);
        let file = p.string("/usr/lib/libc.so.6");
        let mapping =
            Mapping { start: 0x1000, end: 0x2000, file_offset: 0x400, file, ..Mapping::default() };
        let mapping = p.mapping(mapping);
        let stack = [(mapping, 0x1010), (Default::default(), 0x77), (Default::default(), 0)];
        let stack = stack
            .map(|(mapping, address)| p.location(Location { mapping, address, lines: Vec::new() }));
        let stack = p.stack(&stack);
        let table = FrameTable::new(&p, Detail::Name);
        let mut numbers = Vec::new();
        table.stack(&p, stack, &mut numbers);
        let names: Vec<_> = numbers.iter().map(|&n| table.frames()[n as usize].name(&p)).collect();
        assert_eq!(names, ["[unknown]", "0x77", "libc.so.6+0x410"]);
    }
}

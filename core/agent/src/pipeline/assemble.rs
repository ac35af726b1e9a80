//! From addresses to a profile: mappings, functions, lines, labels.

use super::stacks::{Stacks, ThreadNameId, room};
use super::threads::Threads;
use crate::labels::{Interned, id_pairs};
use crate::profile::{
    Function, LabelSetId, Line, Location, LocationId, LossCause, Mapping, Profile, ValueType,
};
use crate::resolve::{ANONYMOUS, FileIndex, Modules, PerfMap, Resolved, Symbols};
use sondage_sampler::{End, Labels};
use std::collections::HashMap;

/// The top byte of a frame word says what kind of frame it is; 0 is a native address.
const KIND_SHIFT: u32 = 56;

/// A frame, as far as it can be told without symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Frame {
    /// An address in the process that no module holds.
    Unmapped(u64),
    /// An address in the process, and the file and address in it that it belongs to.
    Native { address: u64, file: FileIndex, in_file: u64, mapping: MappedAt },
    /// A frame of a kind that this version does not know.
    UnknownKind,
}

/// Where a file was mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct MappedAt {
    start: u64,
    end: u64,
    offset: u64,
}

/// One stack under one label set, by number of its frames.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct StackKey {
    frames: Box<[u32]>,
    labels: Labels,
    thread: ThreadNameId,
    truncated: bool,
}

/// What a stack has collected: samples, CPU time and waiting time in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Amounts {
    samples: u64,
    cpu: u64,
    waited: u64,
}

/// A profile that is being put together.
#[derive(Debug)]
pub(crate) struct Assembly {
    wall: bool,
    period_nanos: u64,
    max_stacks: usize,
    frames: Vec<Frame>,
    frame_numbers: HashMap<Frame, u32>,
    stacks: HashMap<StackKey, Amounts>,
    /// What found no room in the tables.
    overflow: Amounts,
    /// CPU time of stacks that were added without their span, in nanoseconds.
    spanless: u64,
}

impl Assembly {
    /// An empty one for at most `max_stacks` distinct stacks. One period of CPU time is
    /// `period_nanos`.
    pub(crate) fn new(wall: bool, period_nanos: u64, max_stacks: usize) -> Self {
        Self {
            wall,
            period_nanos,
            max_stacks,
            frames: Vec::new(),
            frame_numbers: HashMap::new(),
            stacks: HashMap::new(),
            overflow: Amounts::default(),
            spanless: 0,
        }
    }

    /// Takes everything from `stacks`, reading addresses by the current `modules`. Must be called
    /// before the modules change.
    pub(crate) fn settle(&mut self, stacks: &mut Stacks, modules: &mut Modules) {
        // Addresses met in this call; modules do not change during it.
        let mut numbers: HashMap<u64, u32> = HashMap::new();
        for (entry, frames) in stacks.iter() {
            let amounts = Amounts {
                samples: entry.samples,
                cpu: entry.weight.saturating_mul(self.period_nanos),
                waited: entry.waited,
            };
            let truncated = entry.end != End::Root;
            if truncated && let Some(file) = last_file(frames, modules) {
                modules.want_table(file);
            }
            let frames = frames.iter().enumerate().map(|(depth, frame)| {
                // A return address may be the first instruction of something else; the call is
                // before it.
                let address = if depth == 0 { *frame } else { frame.saturating_sub(1) };
                *numbers.entry(address).or_insert_with(|| self.frame(address, modules))
            });
            let frames = frames.collect();
            let (labels, thread) = (entry.labels, entry.thread);
            self.add(StackKey { frames, labels, thread, truncated }, amounts);
        }
        self.overflow.cpu += stacks.overflow_weight.saturating_mul(self.period_nanos);
        self.overflow.waited += stacks.overflow_waited;
        self.spanless += stacks.spanless_weight.saturating_mul(self.period_nanos);
        stacks.clear();
    }

    /// Changes what one period stands for, in nanoseconds, for stacks settled from now on.
    pub(crate) fn set_period(&mut self, period_nanos: u64) {
        self.period_nanos = period_nanos;
    }

    fn add(&mut self, mut key: StackKey, amounts: Amounts) {
        let labels = key.labels.without_span();
        if labels != key.labels && !self.has_room(&key, true) {
            key.labels = labels;
            self.spanless += amounts.cpu;
        }
        let total = if self.has_room(&key, false) {
            self.stacks.entry(key).or_default()
        } else {
            &mut self.overflow
        };
        total.samples += amounts.samples;
        total.cpu += amounts.cpu;
        total.waited += amounts.waited;
    }

    fn has_room(&self, key: &StackKey, with_span: bool) -> bool {
        self.stacks.len() < room(self.max_stacks, with_span) || self.stacks.contains_key(key)
    }

    fn frame(&mut self, address: u64, modules: &Modules) -> u32 {
        let frame = if address >> KIND_SHIFT != 0 {
            Frame::UnknownKind
        } else if let Some(module) = modules.find(address) {
            let (start, end) = (module.range.start, module.range.end);
            Frame::Native {
                address,
                file: module.file,
                in_file: address.wrapping_sub(module.bias),
                mapping: MappedAt { start, end, offset: module.file_offset },
            }
        } else {
            Frame::Unmapped(address)
        };
        let next = self.frames.len() as u32;
        let number = *self.frame_numbers.entry(frame).or_insert(next);
        if number == next {
            self.frames.push(frame);
        }
        number
    }

    /// Finds the functions of every frame and returns the finished profile. CPU time without a
    /// stack (`losses`) goes under frames that say why.
    pub(crate) fn finish(
        self,
        modules: &Modules,
        threads: &Threads,
        symbols: &mut Symbols,
        losses: &[(LossCause, u64)],
    ) -> Profile {
        let mut types =
            vec![ValueType::new("samples", "count"), ValueType::new("cpu", "nanoseconds")];
        if self.wall {
            types.push(ValueType::new("wall", "nanoseconds"));
        }
        let mut profile = Profile::new(types);
        let locations = self.locations(&mut profile, modules, symbols);
        let mut label_sets = HashMap::new();
        let mut stack = Vec::new();
        for (key, amounts) in &self.stacks {
            stack.clear();
            stack.extend(key.frames.iter().map(|number| locations[*number as usize]));
            if key.truncated {
                stack.push(profile.named_location("[truncated]"));
                profile.add_loss(LossCause::Truncated, amounts.cpu);
            }
            let (labels, overflow) = *label_sets
                .entry((key.labels, key.thread))
                .or_insert_with(|| label_set(&mut profile, key, threads));
            if overflow {
                profile.add_loss(LossCause::LabelOverflow, amounts.cpu);
            }
            let stack = profile.stack(&stack);
            profile.add(stack, labels, &amounts.values());
        }
        profile.add_loss(LossCause::LabelOverflow, self.spanless);
        let overflow = (LossCause::StackOverflow, self.overflow.cpu);
        for (cause, cpu) in losses.iter().copied().chain([overflow]) {
            add_placeholder(&mut profile, cause, cpu);
        }
        if self.wall && self.overflow.waited > 0 {
            let waited = Amounts { waited: self.overflow.waited, ..Amounts::default() };
            let location = profile.named_location("[waiting]");
            let stack = profile.stack(&[location]);
            profile.add(stack, LabelSetId::default(), &waited.values());
        }
        profile
    }

    /// The location of every frame, in order of their numbers.
    fn locations(
        &self,
        profile: &mut Profile,
        modules: &Modules,
        symbols: &mut Symbols,
    ) -> Vec<LocationId> {
        let mut by_file: HashMap<FileIndex, Vec<(u64, usize)>> = HashMap::new();
        for (number, frame) in self.frames.iter().enumerate() {
            if let Frame::Native { file, in_file, .. } = frame {
                by_file.entry(*file).or_default().push((*in_file, number));
            }
        }
        let mut lines = vec![Vec::new(); self.frames.len()];
        for (file, mut frames) in by_file {
            frames.sort_unstable();
            let addresses: Vec<u64> = frames.iter().map(|(address, _)| *address).collect();
            let file = modules.file(file);
            if file.path.as_os_str() == ANONYMOUS {
                for ((_, number), name) in frames.iter().zip(perf_map_names(&addresses)) {
                    lines[*number] = name.iter().map(|name| named_line(profile, name)).collect();
                }
                continue;
            }
            let resolved = symbols.resolve(file, &addresses);
            for ((_, number), resolved) in frames.iter().zip(&resolved) {
                lines[*number] = lines_of(profile, resolved);
            }
        }
        let frames = self.frames.iter().zip(lines);
        frames.map(|(frame, lines)| location(profile, modules, frame, lines)).collect()
    }
}

impl Amounts {
    /// In the order of the profile's sample types; a profile without wall time ignores the last.
    fn values(&self) -> [i64; 3] {
        [self.samples, self.cpu, self.cpu.saturating_add(self.waited)].map(clamp)
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

/// Names that a just-in-time compiler wrote down for its code, if it did.
fn perf_map_names(addresses: &[u64]) -> Vec<Option<String>> {
    let names = PerfMap::open().and_then(|map| map.names_at(addresses));
    names.map_or_else(|_| vec![None; addresses.len()], |names| names.names)
}

fn named_line(profile: &mut Profile, name: &str) -> Line {
    let name = profile.string(name);
    let function = Function { name, system_name: name, ..Function::default() };
    Line { function: profile.function(function), line: 0 }
}

fn location(
    profile: &mut Profile,
    modules: &Modules,
    frame: &Frame,
    lines: Vec<Line>,
) -> LocationId {
    match *frame {
        Frame::UnknownKind => profile.named_location("[unknown frame kind]"),
        Frame::Unmapped(address) => profile.location(Location { address, ..Location::default() }),
        Frame::Native { address, file, mapping, .. } => {
            let file = modules.file(file);
            let mapping = Mapping {
                start: mapping.start,
                end: mapping.end,
                file_offset: mapping.offset,
                file: profile.string(&file.path.to_string_lossy()),
                build_id: profile.string(file.build_id.as_deref().unwrap_or("")),
            };
            let mapping = profile.mapping(mapping);
            profile.location(Location { mapping, address, lines })
        }
    }
}

/// The labels of a stack, its span's ids among them, and whether some found no room.
fn label_set(profile: &mut Profile, key: &StackKey, threads: &Threads) -> (LabelSetId, bool) {
    let pairs = Interned::pairs(key.labels.set);
    let name = threads.name_text(key.thread);
    let thread = (!name.is_empty()).then_some(("thread", name));
    let labels = pairs.iter().map(|(key, value)| (&**key, &**value));
    let ids = id_pairs(key.labels);
    let ids = ids.iter().map(|(key, value)| (*key, value.as_str()));
    let labels = thread.into_iter().chain(labels).chain(ids);
    (profile.label_set(labels), Interned::is_overflow(&pairs))
}

/// Adds CPU time that has no stack, under a frame that says why.
fn add_placeholder(profile: &mut Profile, cause: LossCause, cpu_nanos: u64) {
    let name = match cause {
        LossCause::Unsampled => "[unsampled]",
        LossCause::Missed => "[missed]",
        LossCause::Dropped => "[dropped]",
        LossCause::StackOverflow => "[overflow]",
        LossCause::LabelOverflow | LossCause::Truncated => return,
    };
    if cpu_nanos > 0 {
        profile.add_loss(cause, cpu_nanos);
        let location = profile.named_location(name);
        let stack = profile.stack(&[location]);
        let amounts = Amounts { cpu: cpu_nanos, ..Amounts::default() };
        profile.add(stack, LabelSetId::default(), &amounts.values());
    }
}

/// The file in which a stack ended too early.
fn last_file(frames: &[u64], modules: &Modules) -> Option<FileIndex> {
    let last = frames.last()?;
    Some(modules.find(last.saturating_sub(1))?.file)
}

fn clamp(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_give_way_before_stacks_are_lost_and_the_profile_tells_how_much() {
        let mut assembly = Assembly::new(false, 10, 100);
        for number in 0..400u32 {
            let labels = Labels { set: 0, span: u64::from(number) + 1, trace: 7 };
            let frames = assembly.frame(u64::from(number % 20), &Modules::default());
            let (frames, thread) = (Box::from([frames]), ThreadNameId(0));
            let key = StackKey { frames, labels, thread, truncated: false };
            assembly.add(key, Amounts { samples: 1, cpu: 10, waited: 0 });
        }
        let (threads, mut symbols) = (Threads::new(), Symbols::new(Default::default()));
        let profile = assembly.finish(&Modules::default(), &threads, &mut symbols, &[]);
        let (mut in_spans, mut all) = (0, 0);
        for sample in profile.samples() {
            let mut labels = profile.labels(sample.labels).map(|(key, _)| key);
            let ids = labels.by_ref().collect::<Vec<_>>();
            assert!(ids.is_empty() || ids == ["span_id", "trace_id"], "{ids:?}");
            in_spans += if ids.is_empty() { 0 } else { sample.values[1] };
            all += sample.values[1];
        }
        assert_eq!((all, in_spans), (4_000, 750));
        let losses: Vec<_> = profile.losses().iter().map(|loss| (loss.cause, loss.value)).collect();
        assert_eq!(losses, [(LossCause::LabelOverflow, 3_250)]);
    }
}

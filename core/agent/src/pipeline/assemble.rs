//! From addresses to a profile: stacks under labels, and what they have collected.

use super::amounts::{Amounts, Columns};
use super::foreign::NamedStack;
use super::frames::{Frame, Frames, SourceFrame, is_kernel};
use super::interpreted::Interpreted;
use super::managed::{Managed, Shown};
use super::mixed::{Native, merge, python_start};
use super::stacks::{Stacks, ThreadNameId, room};
use super::threads::Threads;
use crate::labels::{Interned, id_pairs};
use crate::profile::{LabelSetId, LossCause, Profile};
use crate::resolve::{CodeSource, Detail, FileIndex, Mappings, Symbols};
use sondage_sampler::walk::python::PythonFrame;
use sondage_sampler::{End, Labels};
use std::collections::{HashMap, HashSet};

/// The frame in place of Python frames that could not be read.
const LOST: &str = "[python frames lost]";

/// The leaf of stacks that wait for the interpreter's lock.
const WAITS: &str = "[waiting for the GIL]";

/// One stack under one label set, by number of its frames.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct StackKey {
    frames: Box<[u32]>,
    labels: Labels,
    thread: ThreadNameId,
    missing: Missing,
}

/// What a stack lacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Missing {
    /// Frames at its root.
    root: bool,
    /// Python frames.
    python: bool,
    /// Frames of JavaScript, or of Java.
    managed: Option<LossCause>,
}

/// A stack as it was sampled.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawStack<'a> {
    /// Words, leaf first.
    pub(super) frames: &'a [u64],
    /// Whether the native walk reached the thread's root.
    pub(super) complete: bool,
    pub(super) labels: Labels,
    pub(super) thread: ThreadNameId,
}

/// What frame words are read by.
pub(super) struct Reading<'a> {
    pub(super) modules: &'a mut Mappings,
    pub(super) interpreted: &'a mut Interpreted,
    pub(super) managed: Option<&'a mut (dyn Managed + 'static)>,
    pub(super) codes: &'a dyn CodeSource,
}

/// Words met in one call, during which modules and code objects do not change.
pub(super) type Seen = HashMap<u64, SeenFrame>;

/// What a word was read as.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeenFrame {
    number: u32,
    /// Shown only as the leaf.
    hidden: bool,
    lost: bool,
}

/// A profile that is being put together.
#[derive(Debug)]
pub(crate) struct Assembly {
    columns: Columns,
    period_nanos: u64,
    max_stacks: usize,
    frames: Frames,
    stacks: HashMap<StackKey, Amounts>,
    /// What found no room in the tables.
    overflow: Amounts,
    /// The weight of stacks that were added without their span.
    spanless: u64,
}

impl Assembly {
    /// An empty one for at most `max_stacks` distinct stacks. One period of CPU time is
    /// `period_nanos`.
    pub(crate) fn new(columns: Columns, period_nanos: u64, max_stacks: usize) -> Self {
        Self {
            columns,
            period_nanos,
            max_stacks,
            frames: Frames::default(),
            stacks: HashMap::new(),
            overflow: columns.nothing(),
            spanless: 0,
        }
    }

    /// Takes everything from `stacks`, reading words by what is current. Must be called before
    /// the modules, or the numbers of code objects, change.
    pub(super) fn settle(&mut self, stacks: &mut Stacks, reading: &mut Reading<'_>) {
        reading.interpreted.find_code(reading.modules);
        let mut seen = Seen::new();
        for (entry, frames) in stacks.iter() {
            let amounts = Amounts::Time {
                samples: entry.samples,
                cpu: entry.weight.saturating_mul(self.period_nanos),
                waited: entry.waited,
            };
            let complete = entry.end == End::Root;
            let (labels, thread) = (entry.labels, entry.thread);
            let stack = RawStack { frames, complete, labels, thread };
            let key = self.key(&stack, reading, &mut seen);
            self.add(key, amounts);
        }
        let cpu = stacks.overflow_weight.saturating_mul(self.period_nanos);
        self.overflow.add(Amounts::Time { samples: 0, cpu, waited: stacks.overflow_waited });
        self.spanless += stacks.spanless_weight.saturating_mul(self.period_nanos);
        stacks.clear();
    }

    /// Adds to what found no room.
    pub(super) fn add_overflow(&mut self, amounts: Amounts) {
        self.overflow.add(amounts);
    }

    /// Adds to the stack of one frame that only says what it stands for.
    pub(super) fn add_placeholder(&mut self, name: &'static str, amounts: Amounts) {
        if amounts.values().iter().any(|value| *value > 0) {
            let frame = self.frames.number(Frame::Placeholder(name));
            self.add(StackKey { frames: Box::from([frame]), ..StackKey::default() }, amounts);
        }
    }

    /// Forgets what the stacks have collected, and keeps the frames. Where more than `spare` of
    /// these are in none of `keys`, it keeps those alone, and gives them and `keys` new numbers:
    /// then it returns `true`.
    pub(super) fn begin_anew<'k>(
        &mut self,
        spare: usize,
        keys: impl Iterator<Item = &'k mut StackKey>,
    ) -> bool {
        self.stacks.clear();
        self.overflow = self.columns.nothing();
        self.spanless = 0;
        let mut keys: Vec<_> = keys.collect();
        let kept: HashSet<u32> = keys.iter().flat_map(|key| key.frames.iter().copied()).collect();
        if self.frames.len() <= kept.len() + spare {
            return false;
        }
        let numbers = self.frames.keep(&kept);
        for key in &mut keys {
            key.frames.iter_mut().for_each(|number| *number = numbers[number]);
        }
        true
    }

    /// Adds a stack whose frames are named already, of at most `max_depth` frames.
    pub(super) fn add_foreign(
        &mut self,
        stack: &NamedStack<'_>,
        max_depth: usize,
        amounts: Amounts,
    ) {
        let frames = stack.frames.iter().take(max_depth).map(|frame| {
            let (name, file) = (frame.name.clone(), frame.file.clone());
            let (start_line, line) = (frame.start_line, frame.line);
            self.frames.number(Frame::Source(SourceFrame { name, file, start_line, line }))
        });
        let frames = frames.collect();
        let missing = Missing { root: stack.frames.len() > max_depth, ..Missing::default() };
        let key = StackKey { frames, labels: stack.labels, thread: stack.thread, missing };
        self.add(key, amounts);
    }

    /// Changes what one period stands for, in nanoseconds, for stacks settled from now on.
    pub(crate) fn set_period(&mut self, period_nanos: u64) {
        self.period_nanos = period_nanos;
    }

    /// A stack by the numbers of its frames in this assembly.
    pub(super) fn key(
        &mut self,
        stack: &RawStack<'_>,
        reading: &mut Reading<'_>,
        seen: &mut Seen,
    ) -> StackKey {
        let kernel = stack.frames.iter().take_while(|word| is_kernel(**word)).count();
        let (kernel, frames) = stack.frames.split_at(kernel);
        let key = self.user_key(&RawStack { frames, ..*stack }, reading, seen);
        if kernel.is_empty() {
            return key;
        }
        // A return address may be the first instruction of something else; the call is before it.
        let numbers = kernel
            .iter()
            .enumerate()
            .map(|(depth, word)| self.frames.number(Frame::Kernel(word - u64::from(depth > 0))));
        let frames = numbers.chain(key.frames.iter().copied()).collect();
        StackKey { frames, ..key }
    }

    /// The part of a stack outside the kernel.
    fn user_key(
        &mut self,
        stack: &RawStack<'_>,
        reading: &mut Reading<'_>,
        seen: &mut Seen,
    ) -> StackKey {
        let python = python_start(stack.frames).unwrap_or(stack.frames.len());
        let (native, python) = stack.frames.split_at(python);
        if !stack.complete
            && let Some(file) = last_file(native, reading.modules)
        {
            reading.modules.want_table(file);
        }
        let (labels, thread) = (stack.labels, stack.thread);
        if let Some(managed) = &reading.managed
            && managed.has_part_in(native)
        {
            let (frames, missing) = self.managed(stack, reading, seen);
            return StackKey { frames, labels, thread, missing };
        }
        if !python.is_empty() {
            let (frames, missing) = self.mixed(stack, python.len(), reading, seen);
            return StackKey { frames, labels, thread, missing };
        }
        let frames = native.iter().enumerate().map(|(depth, frame)| {
            // A return address may be the first instruction of something else; the call is
            // before it.
            let address = if depth == 0 { *frame } else { frame.saturating_sub(1) };
            self.seen(address, reading, seen).number
        });
        let frames = frames.collect();
        StackKey {
            frames,
            labels,
            thread,
            missing: Missing { root: !stack.complete, ..Missing::default() },
        }
    }

    /// The frames of a stack whose last `count` are Python frames. Where the native walk ended early
    /// they go on: such a stack lacks nothing that its reader would miss.
    fn mixed(
        &mut self,
        stack: &RawStack<'_>,
        count: usize,
        reading: &mut Reading<'_>,
        seen: &mut Seen,
    ) -> (Box<[u32]>, Missing) {
        let (native, python) = stack.frames.split_at(stack.frames.len() - count);
        let interpreted = &*reading.interpreted;
        let internals = interpreted.shows_internals();
        let classify = |address| interpreted.classify(address);
        let words = merge(native, python, stack.complete, internals, &classify);
        let mut missing = Missing::default();
        let mut frames = Vec::with_capacity(words.len());
        let mut words = words.as_slice();
        if let Some((leaf, callers)) = words.split_first()
            && !internals
            && classify(*leaf) == Native::Internal
        {
            let start = reading.interpreted.function_start(reading.modules, *leaf);
            frames.push(self.frames.native(start, reading.modules, Detail::Names));
            words = callers;
        }
        for &word in words {
            if PythonFrame::from_word(word) == Some(PythonFrame::Truncated) {
                missing.root = true;
                continue;
            }
            let frame = self.seen(word, reading, seen);
            missing.python |= frame.lost;
            if !frame.hidden || frames.is_empty() {
                frames.push(frame.number);
            }
        }
        (frames.into(), missing)
    }

    /// The frames of a stack with frames of V8 or HotSpot.
    fn managed(
        &mut self,
        stack: &RawStack<'_>,
        reading: &mut Reading<'_>,
        seen: &mut Seen,
    ) -> (Box<[u32]>, Missing) {
        let mut missing = Missing { root: !stack.complete, ..Missing::default() };
        let Some(managed) = reading.managed.as_deref_mut() else { return Default::default() };
        let shown = managed.shown(stack.frames, reading.codes);
        let (lost, cause) = managed.lost();
        let mut frames = Vec::with_capacity(shown.len());
        for part in shown {
            frames.push(match part {
                Shown::Named(address) => {
                    self.frames.native(address, reading.modules, Detail::Names)
                }
                Shown::Native(address) => self.seen(address, reading, seen).number,
                Shown::Placeholder(name) => self.frames.number(Frame::Placeholder(name)),
                Shown::Lost => {
                    missing.managed = Some(cause);
                    self.frames.number(Frame::Placeholder(lost))
                }
                Shown::Source(inlined) => {
                    let sources = inlined.iter().cloned().map(Frame::Source);
                    frames.extend(sources.map(|frame| self.frames.number(frame)));
                    continue;
                }
            });
        }
        (frames.into(), missing)
    }

    fn seen(&mut self, word: u64, reading: &mut Reading<'_>, seen: &mut Seen) -> SeenFrame {
        if let Some(known) = seen.get(&word) {
            return *known;
        }
        let frame = match PythonFrame::from_word(word) {
            None => {
                let number = self.frames.native(word, reading.modules, Detail::Lines);
                SeenFrame { number, hidden: false, lost: false }
            }
            Some(frame) => self.python(frame, reading),
        };
        seen.insert(word, frame);
        frame
    }

    fn python(&mut self, frame: PythonFrame, reading: &mut Reading<'_>) -> SeenFrame {
        if frame == PythonFrame::WaitsForGil {
            let number = self.frames.number(Frame::Placeholder(WAITS));
            return SeenFrame { number, hidden: false, lost: false };
        }
        let function = match frame {
            PythonFrame::Code { code, unit, .. } => {
                reading.interpreted.function(reading.codes, code, unit)
            }
            _ => None,
        };
        let Some((function, line)) = function else {
            let number = self.frames.number(Frame::Placeholder(LOST));
            return SeenFrame { number, hidden: false, lost: true };
        };
        let hidden = reading.interpreted.hides(&function.file);
        let (name, file, start_line) = (function.name, function.file, function.first_line);
        let frame = Frame::Source(SourceFrame { name, file, start_line, line });
        SeenFrame { number: self.frames.number(frame), hidden, lost: false }
    }

    /// Adds to a stack, whose key this assembly has made.
    pub(super) fn add(&mut self, mut key: StackKey, amounts: Amounts) {
        let labels = key.labels.without_span();
        if labels != key.labels && !self.has_room(&key, true) {
            key.labels = labels;
            self.spanless += amounts.weight();
        }
        let total = if self.has_room(&key, false) {
            self.stacks.entry(key).or_insert_with(|| self.columns.nothing())
        } else {
            &mut self.overflow
        };
        total.add(amounts);
    }

    fn has_room(&self, key: &StackKey, with_span: bool) -> bool {
        self.stacks.len() < room(self.max_stacks, with_span) || self.stacks.contains_key(key)
    }

    /// Finds the functions of every frame and returns the finished profile. CPU time without a
    /// stack (`losses`) goes under frames that say why.
    pub(crate) fn finish(
        &self,
        modules: &Mappings,
        threads: &Threads,
        symbols: &mut Symbols,
        losses: &[(LossCause, u64)],
    ) -> Profile {
        let mut profile = Profile::new(self.columns.types());
        let locations = self.frames.locations(&mut profile, modules, symbols);
        let mut label_sets = HashMap::new();
        let mut stack = Vec::new();
        for (key, amounts) in &self.stacks {
            stack.clear();
            stack.extend(key.frames.iter().map(|number| locations[*number as usize]));
            if key.missing.root {
                stack.push(profile.named_location("[truncated]"));
                profile.add_loss(LossCause::Truncated, amounts.weight());
            }
            if key.missing.python {
                profile.add_loss(LossCause::PythonLost, amounts.weight());
            }
            if let Some(cause) = key.missing.managed {
                profile.add_loss(cause, amounts.weight());
            }
            let (labels, overflow) = *label_sets
                .entry((key.labels, key.thread))
                .or_insert_with(|| label_set(&mut profile, key, threads));
            if overflow {
                profile.add_loss(LossCause::LabelOverflow, amounts.weight());
            }
            let stack = profile.stack(&stack);
            profile.add(stack, labels, &amounts.values());
        }
        profile.add_loss(LossCause::LabelOverflow, self.spanless);
        for (cause, cpu) in losses {
            add_placeholder(&mut profile, *cause, Amounts::cpu(*cpu));
        }
        self.show_overflow(&mut profile);
        profile
    }

    /// Shows what found no room in the tables.
    fn show_overflow(&self, profile: &mut Profile) {
        match self.overflow {
            Amounts::Time { cpu, waited, .. } => {
                add_placeholder(profile, LossCause::StackOverflow, Amounts::cpu(cpu));
                if self.columns == (Columns::Time { wall: true }) && waited > 0 {
                    let location = profile.named_location("[waiting]");
                    let stack = profile.stack(&[location]);
                    let waited = Amounts::waited(waited).values();
                    profile.add(stack, LabelSetId::default(), &waited);
                }
            }
            others @ (Amounts::Heap(_) | Amounts::InUse(_) | Amounts::Locks { .. }) => {
                add_placeholder(profile, LossCause::StackOverflow, others);
            }
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

/// Adds what has no stack, under a frame that says why.
fn add_placeholder(profile: &mut Profile, cause: LossCause, amounts: Amounts) {
    let Some(name) = cause.placeholder() else { return };
    let values = amounts.values();
    if values.iter().any(|value| *value > 0) {
        profile.add_loss(cause, amounts.weight());
        let location = profile.named_location(name);
        let stack = profile.stack(&[location]);
        profile.add(stack, LabelSetId::default(), &values);
    }
}

/// The file in which a stack ended too early.
fn last_file(frames: &[u64], modules: &Mappings) -> Option<FileIndex> {
    let last = frames.last()?;
    Some(modules.find(last.saturating_sub(1))?.file)
}

#[cfg(test)]
#[path = "assemble_tests.rs"]
mod tests;

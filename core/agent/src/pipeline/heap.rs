//! Which stacks allocate and which hold memory: sampled blocks, read from the sampler's tables.
//!
//! A stack is read when it is new, by the modules and code objects of that moment, and keeps its
//! name as long as blocks of it are in use, be that for weeks.

use super::amounts::{Amounts, Columns};
use super::assemble::{Assembly, RawStack, Reading, Seen, StackKey};
use super::mixed::{Native, python_start};
use super::stacks::ThreadNameId;
use super::threads::Threads;
use crate::profile::Profile;
use crate::resolve::{FileIndex, Mappings, Symbols};
use sondage_sampler::End;
use sondage_sampler::heap::{Allocations, Heap, HeapCounters, Named, PARTS, StartError};
use std::collections::HashMap;

/// The name of all stacks that found no room.
const OVERFLOW: u32 = 0;

/// The frame of memory that a forked child has from its parent, in whose profiles its stacks are.
const INHERITED: &str = "[allocated before the fork]";

/// Frames that are kept although no stack has them any more, before they are forgotten.
const SPARE_FRAMES: usize = 4_096;

/// Objects and bytes of one stack, scaled up from what was sampled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeapValues {
    /// Objects allocated since the last profile.
    pub(crate) alloc_objects: u64,
    /// Their bytes.
    pub(crate) alloc_space: u64,
    /// Objects that are allocated now.
    pub(crate) inuse_objects: u64,
    /// Their bytes.
    pub(crate) inuse_space: u64,
}

impl HeapValues {
    pub(super) fn add(&mut self, more: Self) {
        let sum = |value: &mut u64, more: u64| *value = value.saturating_add(more);
        sum(&mut self.alloc_objects, more.alloc_objects);
        sum(&mut self.alloc_space, more.alloc_space);
        sum(&mut self.inuse_objects, more.inuse_objects);
        sum(&mut self.inuse_space, more.inuse_space);
    }

    /// Of sums in parts: whole objects and bytes.
    fn rounded(self) -> Self {
        let whole = |parts: u64| parts.saturating_add(PARTS / 2) / PARTS;
        Self {
            alloc_objects: whole(self.alloc_objects),
            alloc_space: whole(self.alloc_space),
            inuse_objects: whole(self.inuse_objects),
            inuse_space: whole(self.inuse_space),
        }
    }
}

/// See the module's description.
#[derive(Debug)]
pub(super) struct HeapBook {
    heap: Heap,
    stacks: KnownStacks,
    /// What the heap said when the last profile was made; see [`Heap::beat`].
    beat: (u64, i64),
}

/// Stacks by their names.
#[derive(Debug)]
struct KnownStacks {
    /// Has their frames and, while a profile is made, what they hold.
    assembly: Assembly,
    /// By name. The first is for what found no room.
    stacks: Vec<Option<Known>>,
    names: HashMap<StackKey, u32>,
    free: Vec<u32>,
    max_stacks: usize,
}

/// A stack, and what it has allocated since the last profile, in parts.
#[derive(Debug)]
struct Known {
    key: StackKey,
    values: HeapValues,
}

impl HeapBook {
    /// Begins to sample one in `rate` bytes and to keep at most `max_stacks` stacks.
    pub(super) fn start(rate: u64, max_stacks: usize) -> Result<Self, StartError> {
        let heap = Heap::start(rate)?;
        Ok(Self { beat: heap.beat(), stacks: KnownStacks::new(max_stacks), heap })
    }

    pub(super) fn rate(&self) -> u64 {
        self.heap.rate()
    }

    pub(super) fn counters(&self) -> HeapCounters {
        self.heap.counters()
    }

    /// Whether it is time to [`settle`](Self::settle).
    pub(super) fn fills(&self) -> bool {
        self.heap.stacks_fill()
    }

    /// Whether something was allocated since this was last asked.
    pub(super) fn has_moved(&mut self) -> bool {
        let before = std::mem::replace(&mut self.beat, self.heap.beat());
        before != self.beat
    }

    /// Takes note of new stacks. Must be called before the modules, or the numbers of code
    /// objects, change.
    pub(super) fn settle(&mut self, reading: &mut Reading<'_>) {
        reading.interpreted.find_code(reading.modules);
        let mut seen = Seen::new();
        let stacks = &mut self.stacks;
        self.heap.name_stacks(|allocations| stacks.note(allocations, reading, &mut seen));
    }

    /// The profile of what was allocated since the last one, and of what is in use.
    pub(super) fn flush(
        &mut self,
        modules: &Mappings,
        threads: &Threads,
        symbols: &mut Symbols,
    ) -> Profile {
        let mut inherited = HeapValues::default();
        for block in self.heap.in_use() {
            let values = HeapValues {
                inuse_objects: block.objects,
                inuse_space: block.bytes,
                ..HeapValues::default()
            };
            match block.stack {
                Named::Stack(name) => self.stacks.add(name, values),
                Named::Inherited => inherited.add(values),
                // Sampled since the settling a moment ago: it is in the next profile.
                Named::New => {}
            }
        }
        self.stacks.assembly.add_placeholder(INHERITED, Amounts::Heap(inherited.rounded()));
        self.stacks.count();
        let profile = self.stacks.assembly.finish(modules, threads, symbols, &[]);
        self.stacks.forget_idle();
        profile
    }
}

impl KnownStacks {
    fn new(max_stacks: usize) -> Self {
        Self {
            assembly: Assembly::new(Columns::Heap, 1, max_stacks),
            stacks: vec![Some(Known { key: StackKey::default(), values: HeapValues::default() })],
            names: HashMap::new(),
            free: Vec::new(),
            max_stacks,
        }
    }

    /// Names a stack and adds what it has allocated.
    fn note(&mut self, stack: &Allocations<'_>, reading: &mut Reading<'_>, seen: &mut Seen) -> u32 {
        let name = self.name(stack, reading, seen);
        let values = HeapValues {
            alloc_objects: stack.objects,
            alloc_space: stack.bytes,
            ..HeapValues::default()
        };
        self.add(name, values);
        name
    }

    fn name(&mut self, stack: &Allocations<'_>, reading: &mut Reading<'_>, seen: &mut Seen) -> u32 {
        if stack.frames.is_empty() {
            return OVERFLOW;
        }
        let frames = from_the_host(stack.frames, reading);
        let raw = RawStack {
            frames: &frames,
            complete: stack.end == End::Root,
            labels: stack.labels,
            thread: ThreadNameId::default(),
        };
        let key = self.assembly.key(&raw, reading, seen);
        if let Some(known) = self.names.get(&key) {
            return *known;
        }
        if self.names.len() >= self.max_stacks {
            return OVERFLOW;
        }
        let known = Some(Known { key: key.clone(), values: HeapValues::default() });
        let name = match self.free.pop() {
            Some(name) => {
                self.stacks[name as usize] = known;
                name
            }
            None => {
                self.stacks.push(known);
                self.stacks.len() as u32 - 1
            }
        };
        self.names.insert(key, name);
        name
    }

    fn add(&mut self, name: u32, values: HeapValues) {
        if let Some(Some(known)) = self.stacks.get_mut(name as usize) {
            known.values.add(values);
        }
    }

    /// Adds what the stacks hold to the profile.
    fn count(&mut self) {
        for (name, known) in self.stacks.iter().enumerate() {
            let Some(known) = known else { continue };
            let amounts = Amounts::Heap(known.values.rounded());
            if name == OVERFLOW as usize {
                self.assembly.add_overflow(amounts);
            } else if known.values != HeapValues::default() {
                self.assembly.add(known.key.clone(), amounts);
            }
        }
    }

    /// Begins a new profile, and forgets the stacks of which nothing is in use.
    fn forget_idle(&mut self) {
        for (name, slot) in self.stacks.iter_mut().enumerate() {
            let Some(known) = slot else { continue };
            if name != OVERFLOW as usize && known.values.inuse_objects == 0 {
                self.names.remove(&known.key);
                self.free.push(name as u32);
                *slot = None;
            } else {
                known.values = HeapValues::default();
            }
        }
        let keys = self.stacks.iter_mut().flatten().map(|known| &mut known.key);
        if self.assembly.begin_anew(SPARE_FRAMES, keys) {
            let named = self.stacks.iter().enumerate().skip(1);
            let keys = named.filter_map(|(name, it)| Some((it.as_ref()?.key.clone(), name as u32)));
            self.names = keys.collect();
        }
    }
}

/// A stack without the frames that every allocation by Python has at its leaf: those of this library,
/// and of the interpreter's allocator and objects, unless its internals are to be shown.
fn from_the_host(frames: &[u64], reading: &Reading<'_>) -> Vec<u64> {
    let Some(native) = python_start(frames) else { return frames.to_vec() };
    let own = own_file(reading.modules);
    let internals = reading.interpreted.shows_internals();
    let is_ours = |address: &u64| {
        let address = address.saturating_sub(1);
        let file = reading.modules.find(address).map(|module| module.file);
        let internal = reading.interpreted.classify(address) == Native::Internal;
        file.is_some() && file == own || !internals && internal
    };
    let ours = frames[..native].iter().take_while(|address| is_ours(address)).count();
    let mut rest = frames[ours..].to_vec();
    // The leaf of a sample is the instruction that runs; here it is a call, which lies before.
    if ours < native {
        rest[0] = rest[0].saturating_sub(1);
    }
    rest
}

/// Asks for the table of this library, which every stack begins in, and which no stack keeps.
pub(super) fn want_own_table(modules: &mut Mappings) {
    if let Some(file) = own_file(modules) {
        modules.want_table(file);
    }
}

/// The file that this library is part of.
fn own_file(modules: &Mappings) -> Option<FileIndex> {
    let here = Heap::start as fn(u64) -> Result<Heap, StartError> as usize;
    Some(modules.find(here as u64)?.file)
}

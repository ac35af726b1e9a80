//! Stacks that hold memory: a source that a binding registers, and what it tells.

use sondage_sampler::Labels;
use std::fmt::Debug;

/// Objects and bytes of one stack, already scaled up from what was sampled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeapValues {
    /// Objects allocated since the last profile.
    pub alloc_objects: u64,
    /// Their bytes.
    pub alloc_space: u64,
    /// Objects that are allocated now.
    pub inuse_objects: u64,
    /// Their bytes.
    pub inuse_space: u64,
}

impl HeapValues {
    pub(super) fn add(&mut self, more: Self) {
        let sum = |value: &mut u64, more: u64| *value = value.saturating_add(more);
        sum(&mut self.alloc_objects, more.alloc_objects);
        sum(&mut self.alloc_space, more.alloc_space);
        sum(&mut self.inuse_objects, more.inuse_objects);
        sum(&mut self.inuse_space, more.inuse_space);
    }
}

/// One stack under one label set. The same stack may be told several times; it adds up.
#[derive(Clone, Copy, Debug)]
pub struct HeapStack<'a> {
    /// Frame words as in samples, leaf first.
    pub frames: &'a [u64],
    /// Whether the walk reached the thread's root.
    pub complete: bool,
    /// The label set and the span that were current at the allocation.
    pub labels: Labels,
    /// What the stack holds.
    pub values: HeapValues,
}

/// Where the heap profile comes from. Each flush makes one beside the profile of CPU time, with
/// the types `alloc_objects`, `alloc_space`, `inuse_objects` and `inuse_space`.
pub trait HeapSource: Debug + Send {
    /// Bytes allocated between two samples on average; it stands in the profile as its period.
    fn period_bytes(&self) -> u64;

    /// Hands every stack to `add`. Called on the agent thread, once at each flush.
    ///
    /// Frame words are read as those of samples that were taken just now: addresses by the present
    /// modules, Python frames by the present numbers of code objects. What was unloaded or
    /// numbered anew since the allocation is shown as unknown.
    fn collect(&mut self, add: &mut dyn FnMut(HeapStack<'_>));
}

//! What the collector is handed instead of sampling it: stacks, and memory, that a binding tells of.

use super::Collector;
use crate::pipeline::amounts::{Amounts, Columns};
use crate::pipeline::assemble::Assembly;
use crate::pipeline::cpu::nanos;
use crate::pipeline::foreign::{ForeignStacks, NamedStack};
use crate::pipeline::foreign_heap::ForeignHeap;
use crate::profile::{Meta, Profile, ValueType};
use crate::resolve::CodeSource;
use sondage_sampler::{Labels, Sampler};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What foreign stacks have brought.
#[derive(Debug, Default)]
pub(super) struct Foreign {
    /// How they were taken, in this profile.
    sources: BTreeSet<&'static str>,
    /// Stacks, and those that found the queue full, since the collector's start.
    pub(super) taken: u64,
    pub(super) dropped: u64,
}

impl Foreign {
    /// The sources of the profile that ends now.
    pub(super) fn take_sources(&mut self) -> impl Iterator<Item = String> {
        std::mem::take(&mut self.sources).into_iter().map(str::to_owned)
    }
}

impl CodeSource for Sampler {
    fn code(&self, id: u32) -> Option<&[u8]> {
        self.definition(id)
    }

    fn generation(&self) -> u64 {
        u64::from(self.definitions().generation)
    }
}

impl Collector {
    /// Adds the stacks that wait in a binding's queue to the present profile. One that only waited
    /// is no sample.
    pub(crate) fn take_foreign(&mut self, stacks: &ForeignStacks) {
        let max_depth = self.options.max_depth as usize;
        for stack in stacks.waiting() {
            let (cpu, waited) = (nanos(stack.cpu), nanos(stack.waited));
            let samples = if cpu > 0 { u64::from(stack.samples.max(1)) } else { 0 };
            let named = NamedStack {
                frames: &stack.frames,
                labels: stack.labels.raw(),
                thread: self.threads.intern(&stack.thread),
            };
            self.assembly.add_foreign(&named, max_depth, Amounts::Time { samples, cpu, waited });
            self.reconciler.add_foreign(cpu, 0);
            self.foreign.sources.insert(stack.source);
            self.foreign.taken += 1;
        }
        let (dropped, cpu) = stacks.take_dropped();
        self.foreign.dropped += dropped;
        self.reconciler.add_foreign(0, cpu);
    }

    /// The profile of the memory that is in use by snapshots that a binding handed over, of the
    /// same time as the profile of CPU time whose facts are `meta`.
    pub(crate) fn handed_memory(
        &mut self,
        meta: &Meta,
        heaps: &[Arc<ForeignHeap>],
    ) -> Option<Profile> {
        let rate = heaps.first()?.rate;
        let max_depth = self.options.max_depth as usize;
        let mut assembly = Assembly::new(Columns::InUse, 1, self.options.max_stacks / 4);
        for heap in heaps {
            let thread = self.threads.intern(&heap.thread);
            for stack in &heap.stacks {
                let named = NamedStack { frames: &stack.frames, labels: Labels::NONE, thread };
                assembly.add_foreign(&named, max_depth, Amounts::InUse(stack.bytes));
            }
        }
        let mut profile =
            assembly.finish(&self.picture.modules, &self.threads, &mut self.symbols, &[]);
        let sources: BTreeSet<_> = heaps.iter().map(|heap| heap.source.to_owned()).collect();
        profile.meta = Meta {
            period: Some((ValueType::new("space", "bytes"), rate)),
            sources: sources.into_iter().collect(),
            ..meta.clone()
        };
        Some(profile)
    }
}

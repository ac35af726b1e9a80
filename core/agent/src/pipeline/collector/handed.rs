//! What the collector is handed instead of sampling it: stacks that a binding took, and stacks
//! that hold memory.

use super::Collector;
use crate::pipeline::amounts::{Amounts, Columns};
use crate::pipeline::assemble::{Assembly, RawStack, Reading};
use crate::pipeline::cpu::nanos;
use crate::pipeline::foreign::ForeignStacks;
use crate::pipeline::heap::HeapSource;
use crate::pipeline::stacks::ThreadNameId;
use crate::profile::{Meta, Profile, ValueType};
use crate::resolve::CodeSource;
use sondage_sampler::Sampler;
use std::collections::BTreeSet;

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
        self.python_code(id)
    }

    fn generation(&self) -> u64 {
        u64::from(self.python_codes().generation)
    }
}

impl Collector {
    /// Adds the stacks that wait in a binding's queue to the present profile.
    pub(crate) fn take_foreign(&mut self, stacks: &ForeignStacks) {
        let max_depth = self.options.max_depth as usize;
        for stack in stacks.waiting() {
            let thread = self.threads.intern(&stack.thread);
            self.assembly.add_foreign(&stack, thread, max_depth);
            self.reconciler.add_foreign(nanos(stack.cpu), 0);
            self.foreign.sources.insert(stack.source);
            self.foreign.taken += 1;
        }
        let (dropped, cpu) = stacks.take_dropped();
        self.foreign.dropped += dropped;
        self.reconciler.add_foreign(0, cpu);
    }

    /// The profile of the memory that `source` knows of, for the same time as the profile of CPU
    /// time whose facts are `meta`. To be called right after a flush.
    pub(crate) fn heap(&mut self, source: &mut dyn HeapSource, meta: &Meta) -> Profile {
        let mut assembly = Assembly::new(Columns::Heap, 1, self.options.max_stacks);
        let mut reading = Reading {
            modules: &mut self.picture.modules,
            interpreted: &mut self.interpreted,
            codes: &self.sampler,
        };
        assembly.add_each(&mut reading, |add| {
            source.collect(&mut |stack| {
                let raw = RawStack {
                    frames: stack.frames,
                    complete: stack.complete,
                    labels: stack.labels,
                    thread: ThreadNameId::default(),
                };
                add(&raw, Amounts::Heap(stack.values));
            });
        });
        let (modules, threads) = (&self.picture.modules, &self.threads);
        let mut profile = assembly.finish(modules, threads, &mut self.symbols, &[]);
        profile.meta = Meta {
            period: Some((ValueType::new("space", "bytes"), source.period_bytes().max(1))),
            sources: vec!["allocations".to_owned()],
            ..meta.clone()
        };
        profile
    }
}

//! What the collector is handed instead of sampling it: stacks that a binding took.

use super::Collector;
use crate::pipeline::cpu::nanos;
use crate::pipeline::foreign::ForeignStacks;
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
        self.definition(id)
    }

    fn generation(&self) -> u64 {
        u64::from(self.definitions().generation)
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
}

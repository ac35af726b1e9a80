//! The collector's profile of memory, beside that of CPU time.

use super::Collector;
use crate::heap;
use crate::pipeline::assemble::Reading;
use crate::pipeline::heap::HeapBook;
use crate::profile::{Meta, Profile, ValueType};
use sondage_sampler::heap::HeapCounters;

/// The memory that is profiled, and what stands in the way.
#[derive(Debug, Default)]
pub(super) struct Memory {
    book: Option<HeapBook>,
    /// Whether the allocator was seen not to ask us any more.
    bypassed: bool,
    /// Why nothing is sampled although it should be.
    pub(super) refusal: Option<String>,
}

impl Memory {
    /// Begins to sample one in `rate` bytes, if that is asked for.
    pub(super) fn start(rate: Option<u64>, max_stacks: usize) -> Self {
        let Some(rate) = rate else { return Self::default() };
        let book = if heap::is_announced() {
            HeapBook::start(rate, max_stacks).map_err(|error| format!("memory: {error}"))
        } else {
            Err("memory: no allocator of this process can be profiled".to_owned())
        };
        match book {
            Ok(book) => Self { book: Some(book), ..Self::default() },
            Err(refusal) => Self { refusal: Some(refusal), ..Self::default() },
        }
    }

    /// Since the process' first start; `None` while nothing is sampled.
    pub(super) fn counters(&self) -> Option<HeapCounters> {
        self.book.as_ref().map(HeapBook::counters)
    }

    /// Whether new stacks want to be read.
    pub(super) fn fills(&self) -> bool {
        self.book.as_ref().is_some_and(HeapBook::fills)
    }

    /// Takes note of new stacks; see [`HeapBook::settle`].
    pub(super) fn settle(&mut self, reading: &mut Reading<'_>) {
        if let Some(book) = &mut self.book {
            book.settle(reading);
        }
    }

    /// Begins anew when another tool has taken the allocator for a while: of what was freed
    /// meanwhile nothing is known. `false` while it has.
    fn is_whole(&mut self, host_cpu: u64, max_stacks: usize) -> bool {
        let Some(book) = &mut self.book else { return false };
        let moved = book.has_moved();
        if !self.bypassed {
            self.bypassed = !moved && host_cpu > BUSY && !heap::are_on_top();
            self.refusal = self.bypassed.then(|| BYPASSED.to_owned());
            return !self.bypassed;
        }
        if moved || heap::are_on_top() {
            let rate = book.rate();
            self.book = None;
            *self = Self::start(Some(rate), max_stacks);
        }
        false
    }
}

/// A program that uses this much CPU time, in nanoseconds, allocates.
const BUSY: u64 = 100_000_000;

const BYPASSED: &str = "memory: another tool has taken Python's allocators, and what is freed is \
                        not seen any more; profiles of memory go on when it gives them back";

impl Collector {
    /// The profile of memory of the same time as the profile of CPU time whose facts are `meta`.
    /// To be called right after a flush, with the CPU time that the host's threads have used since
    /// the one before, in nanoseconds.
    pub(crate) fn memory_profile(&mut self, meta: &Meta, host_cpu: u64) -> Option<Profile> {
        self.settle_memory();
        if !self.memory.is_whole(host_cpu, self.options.max_stacks / 4) {
            return None;
        }
        let book = self.memory.book.as_mut()?;
        let (modules, threads) = (&self.picture.modules, &self.threads);
        let mut profile = book.flush(modules, threads, &mut self.symbols);
        profile.meta = Meta {
            period: Some((ValueType::new("space", "bytes"), book.rate())),
            sources: vec!["allocations".to_owned()],
            ..meta.clone()
        };
        Some(profile)
    }

    /// Takes note of the stacks that have allocated.
    pub(super) fn settle_memory(&mut self) {
        let mut reading = Reading {
            modules: &mut self.picture.modules,
            interpreted: &mut self.interpreted,
            managed: self.managed.as_deref_mut(),
            codes: &self.sampler,
        };
        self.memory.settle(&mut reading);
    }
}

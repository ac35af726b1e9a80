//! The collector's profile of waits for locks, beside those of time and memory.

use super::Collector;
use crate::contention;
use crate::pipeline::amounts::{Amounts, Columns};
use crate::pipeline::assemble::{Assembly, RawStack, Reading, Seen};
use crate::pipeline::stacks::ThreadNameId;
use crate::profile::{Meta, Profile, ValueType};
use sondage_sampler::End;
use sondage_sampler::contention::{Contention, ContentionCounters};
use sondage_sampler::heap::{Allocations, PARTS};

/// Frames that are kept although no stack has them any more, before they are forgotten.
const SPARE_FRAMES: usize = 4_096;

/// The waits that are sampled, and those of the present profile.
#[derive(Debug)]
struct Book {
    contention: Contention,
    assembly: Assembly,
}

/// The locks that are watched, and what stands in the way.
#[derive(Debug, Default)]
pub(super) struct Locks {
    book: Option<Book>,
    /// Why nothing is sampled although it should be.
    pub(super) refusal: Option<String>,
}

impl Locks {
    /// Begins to sample one in `rate` nanoseconds of waiting, if that is asked for.
    pub(super) fn start(rate: Option<u64>, max_stacks: usize) -> Self {
        let Some(rate) = rate else { return Self::default() };
        let contention = if contention::is_announced() {
            Contention::start(rate).map_err(|error| format!("locks: {error}"))
        } else {
            Err("locks: no locks of this process can be watched".to_owned())
        };
        match contention {
            Ok(contention) => {
                let assembly = Assembly::new(Columns::Locks, 1, max_stacks);
                Self { book: Some(Book { contention, assembly }), refusal: None }
            }
            Err(refusal) => Self { book: None, refusal: Some(refusal) },
        }
    }

    /// Since the process' first start; `None` while nothing is sampled.
    pub(super) fn counters(&self) -> Option<ContentionCounters> {
        self.book.as_ref().map(|book| book.contention.counters())
    }

    /// Whether new stacks want to be read.
    pub(super) fn fill(&self) -> bool {
        self.book.as_ref().is_some_and(|book| book.contention.stacks_fill())
    }

    /// Takes note of new stacks. Must be called before the modules, or the numbers of methods, change.
    pub(super) fn settle(&mut self, reading: &mut Reading<'_>) {
        let Some(Book { contention, assembly }) = &mut self.book else { return };
        let mut seen = Seen::new();
        contention.take_stacks(|stack| note(assembly, stack, reading, &mut seen));
    }
}

fn note(
    assembly: &mut Assembly,
    stack: &Allocations<'_>,
    reading: &mut Reading<'_>,
    seen: &mut Seen,
) {
    let whole = |parts: u64| parts.saturating_add(PARTS / 2) / PARTS;
    let amounts = Amounts::Locks { waits: whole(stack.objects), nanos: whole(stack.bytes) };
    if stack.frames.is_empty() {
        return assembly.add_overflow(amounts);
    }
    let raw = RawStack {
        frames: stack.frames,
        complete: stack.end == End::Root,
        labels: stack.labels,
        thread: ThreadNameId::default(),
    };
    let key = assembly.key(&raw, reading, seen);
    assembly.add(key, amounts);
}

impl Collector {
    /// The profile of waits of the same time as the profile of CPU time whose facts are `meta`; `None`
    /// where none are sampled. To be called right after a flush.
    pub(crate) fn lock_profile(&mut self, meta: &Meta) -> Option<Profile> {
        self.settle_locks();
        let Book { contention, assembly } = self.locks.book.as_mut()?;
        let (modules, threads) = (&self.picture.modules, &self.threads);
        let mut profile = assembly.finish(modules, threads, &mut self.symbols, &[]);
        assembly.begin_anew(SPARE_FRAMES, std::iter::empty());
        profile.meta = Meta {
            period: Some((ValueType::new("delay", "nanoseconds"), contention.rate())),
            sources: vec!["locks".to_owned()],
            ..meta.clone()
        };
        Some(profile)
    }

    /// Takes note of the stacks that have waited.
    pub(super) fn settle_locks(&mut self) {
        let mut reading = Reading {
            modules: &mut self.picture.modules,
            interpreted: &mut self.interpreted,
            managed: self.managed.as_deref_mut(),
            codes: &self.sampler,
        };
        self.locks.settle(&mut reading);
    }
}

//! A slot: everything one sampled thread's handler reads and writes.

use crate::labels::LabelCell;
use crate::ring::Ring;
use crate::walk::hotspot;
use crate::walk::v8::{self, Isolate};
use core::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// Words of one ring: 64 KiB, which holds 15 samples of depth 512 or 221 of depth 32, and half as
/// many where Python's frames may be as many as the native ones. The agent drains often enough for the deepest stacks at the set rate.
pub const RING_WORDS: usize = 8192;

/// Buckets of the handler-time histogram; bucket `b` counts handlers of 2^b…2^(b+1) ticks.
pub const HISTOGRAM_BUCKETS: usize = 32;

/// Slots of threads that have none, for the time of one sample: as many handlers as run at once.
pub(crate) const SHARED_SLOTS: u32 = 8;

/// Names a slot of the running sampler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotIndex(pub(crate) u32);

impl SlotIndex {
    /// The position of the slot, for tables beside it.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Counters that only the slot's own handler writes and the agent reads. They never go back, not
/// even when the slot passes to another thread.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Tally {
    /// Samples put into the ring.
    pub(crate) samples: AtomicU64,
    /// Periods those samples stand for.
    pub(crate) weight: AtomicU64,
    /// Periods of samples that did not fit into the ring.
    pub(crate) dropped: AtomicU64,
    /// Periods beyond the cap on one sample's weight.
    pub(crate) missed: AtomicU64,
    /// Samples of which some Python frames could not be read.
    pub(crate) unreadable: AtomicU64,
    /// Samples whose running Python frame was just being entered, and which begin at its caller.
    pub(crate) entering: AtomicU64,
    /// Ticks spent in the handler.
    pub(crate) ticks: AtomicU64,
    /// Handler times; see [`HISTOGRAM_BUCKETS`].
    pub(crate) histogram: [AtomicU32; HISTOGRAM_BUCKETS],
}

impl Tally {
    /// Adds to a counter with a single writer: no locked instruction is needed.
    #[inline(always)]
    pub(crate) fn add(counter: &AtomicU64, value: u64) {
        counter.store(counter.load(Ordering::Relaxed).wrapping_add(value), Ordering::Relaxed);
    }

    /// Accounts one handler's time.
    #[inline(always)]
    pub(crate) fn add_ticks(&self, ticks: u64) {
        Self::add(&self.ticks, ticks);
        let bucket = 63u32.wrapping_sub((ticks | 1).leading_zeros()) as usize;
        if let Some(count) = self.histogram.get(bucket.min(HISTOGRAM_BUCKETS.wrapping_sub(1))) {
            count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        }
    }
}

/// The slot. Lives in the pool's zeroed mapping; all zero is a valid, unused slot.
#[derive(Debug)]
#[repr(C, align(128))]
pub(crate) struct Slot {
    /// The kernel's id of the slot's timer; a signal of another timer is not ours.
    pub(crate) timer: AtomicI32,
    /// The thread.
    pub(crate) tid: AtomicI32,
    /// The thread's label cell (a thread-local of the host thread), or null. Only the thread's
    /// own handler reads it, so it lives as long as it can be read.
    pub(crate) labels: AtomicPtr<LabelCell>,
    /// The isolate that the thread runs, or null; its memory is never unmapped.
    pub(crate) isolate: AtomicPtr<Isolate>,
    /// The thread's `JavaThread`, or 0.
    pub(crate) java_thread: AtomicU64,
    /// The part of the thread's own stack that complete walks have proven (see `handler.rs`).
    pub(crate) stack_low: AtomicU64,
    pub(crate) stack_high: AtomicU64,
    /// 1 until the handler of a perf event has ended its first period.
    pub(crate) first_period: AtomicU32,
    /// Of a shared slot: 1 while a handler has it.
    claimed: AtomicU32,
    /// The state that the interpreter keeps of the thread, and a word by which it can be told that
    /// it still is this thread's (`waiting.rs`); 0 for none.
    pub(crate) python_state: AtomicU64,
    pub(crate) python_identity: AtomicU64,
    pub(crate) tally: Tally,
    head: Line,
    tail: Line,
    words: [AtomicU64; RING_WORDS],
}

/// A position on a cache line of its own: the two ends of a ring run on different processors.
#[derive(Debug)]
#[repr(C, align(128))]
struct Line(AtomicU64);

impl Slot {
    pub(crate) fn ring(&self) -> Ring<'_> {
        Ring { head: &self.head.0, tail: &self.tail.0, words: &self.words }
    }

    /// Takes a shared slot for the time of one sample; `false` if another handler has it.
    pub(crate) fn claim(&self) -> bool {
        self.claimed.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Gives a shared slot back.
    pub(crate) fn release(&self) {
        self.claimed.store(0, Ordering::Release);
    }

    /// Prepares the slot for a new thread. The last thread's samples must have been drained.
    pub(crate) fn reset(&self, tid: i32) {
        self.tid.store(tid, Ordering::Relaxed);
        self.timer.store(-1, Ordering::Relaxed);
        self.labels.store(core::ptr::null_mut(), Ordering::Relaxed);
        self.isolate.store(v8::find(tid).cast_mut(), Ordering::Relaxed);
        self.java_thread.store(hotspot::find(tid), Ordering::Relaxed);
        self.stack_low.store(0, Ordering::Relaxed);
        self.stack_high.store(0, Ordering::Relaxed);
        self.first_period.store(0, Ordering::Relaxed);
        self.python_state.store(0, Ordering::Relaxed);
        self.python_identity.store(0, Ordering::Relaxed);
    }
}

//! How far the next sampled byte is.
//!
//! One number for the process, which threads change by a load and a store. Under an interpreter's
//! lock that is exact. Without one, two threads may subtract at once and one subtraction be lost:
//! samples then come a little too rarely, and nothing worse. The other ways are all dearer or not
//! safe in a library that is loaded late, see `docs/decisions/0013-python-memory.md`.

use core::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// As far as no program allocates.
const NEVER: i64 = i64::MAX;

static LEFT: AtomicI64 = AtomicI64::new(NEVER);

/// Bytes between two samples, on average; 0 while none are taken.
static RATE: AtomicU64 = AtomicU64::new(0);

/// Counts a block of `size` bytes down; whether it is to be sampled. A block of no bytes counts as
/// one byte, which is what allocators hand out for it.
#[inline(always)]
pub(crate) fn pass(size: u64) -> bool {
    let size = i64::try_from(size.max(1)).unwrap_or(NEVER);
    let left = LEFT.load(Ordering::Relaxed).wrapping_sub(size);
    LEFT.store(left, Ordering::Relaxed);
    left < 0
}

/// Sets how far the next sample is.
pub(crate) fn set(distance: i64) {
    LEFT.store(distance, Ordering::Relaxed);
}

/// No sample from here on.
pub(crate) fn stop() {
    RATE.store(0, Ordering::Relaxed);
    LEFT.store(NEVER, Ordering::Relaxed);
}

/// Samples of this rate are taken from when the countdown is [`set`].
pub(crate) fn start(rate: u64) {
    RATE.store(rate, Ordering::Relaxed);
}

/// The rate, or 0.
pub(crate) fn rate() -> u64 {
    RATE.load(Ordering::Relaxed)
}

/// Bytes to the next sample.
pub(crate) fn left() -> i64 {
    LEFT.load(Ordering::Relaxed)
}

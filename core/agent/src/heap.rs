//! Memory in this process: what a binding tells of its runtime's allocator.
//!
//! A binding that has put [`allocated`], [`freed`] and [`resizing`] into its runtime's allocator
//! announces it. Where [`Config::heap`](crate::Config::heap) asks for it, each flush then makes a
//! second profile, with the types `alloc_objects`, `alloc_space`, `inuse_objects` and
//! `inuse_space`, which goes to every target; also in a forked child.
//!
//! A binding whose runtime samples its memory itself announces that with [`announce_handed`], and
//! hands snapshots over by [`Agent::replace_foreign_heap`](crate::Agent::replace_foreign_heap): the
//! profile then has the type `inuse_space` alone.

pub use sondage_sampler::heap::Resized;
pub use sondage_sampler::heap::allocated;
pub use sondage_sampler::heap::freed;
pub use sondage_sampler::heap::is_due;
pub use sondage_sampler::heap::may_be_sampled;
pub use sondage_sampler::heap::resizing;
pub use sondage_sampler::heap::sample;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes between two samples, on average, unless configured otherwise: 512 KiB.
pub const DEFAULT_RATE: u64 = 512 << 10;

/// Not behind a lock, which a forked child could find held for good.
static ANNOUNCED: OnceLock<fn() -> bool> = OnceLock::new();

/// Whether snapshots are handed over.
static HANDED: AtomicBool = AtomicBool::new(false);

/// Says that memory is not to be sampled here: the runtime does, and its snapshots are handed over.
/// To be called before an agent starts.
pub fn announce_handed() {
    HANDED.store(true, Ordering::Relaxed);
}

/// Whether snapshots of memory are handed over.
pub(crate) fn is_handed() -> bool {
    HANDED.load(Ordering::Relaxed)
}

/// Says that the runtime's allocator tells of its blocks, or will soon.
///
/// `are_on_top` answers whether it asks the functions of this module first. Where another tool's
/// functions stand before them, that may or may not call them. It is called on the agent thread,
/// which holds no lock of the runtime. Returns `false`, and changes nothing, when something was
/// announced before.
pub fn announce(are_on_top: fn() -> bool) -> bool {
    ANNOUNCED.set(are_on_top).is_ok()
}

/// Whether there is an allocator that tells of its blocks.
pub(crate) fn is_announced() -> bool {
    ANNOUNCED.get().is_some()
}

/// Whether the runtime's allocator asks us first.
pub(crate) fn are_on_top() -> bool {
    ANNOUNCED.get().is_some_and(|are_on_top| are_on_top())
}

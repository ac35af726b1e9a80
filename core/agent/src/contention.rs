//! Waits for locks in this process: what a binding tells of its runtime's locks.
//!
//! A binding whose runtime says when a thread has waited for a lock announces that. Where
//! [`Config::locks`](crate::Config::locks) asks for it, each flush then makes a profile of its own,
//! with the types `contentions` and `delay`, which goes to every target.

pub use sondage_sampler::contention::is_due;
pub use sondage_sampler::contention::is_on;
pub use sondage_sampler::contention::sample;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Waiting time between two samples, on average, unless configured otherwise.
pub const DEFAULT_RATE: Duration = Duration::from_millis(1);

static ANNOUNCED: AtomicBool = AtomicBool::new(false);

/// Says that [`is_due`] is asked about waits, or will be soon.
pub fn announce() {
    ANNOUNCED.store(true, Ordering::Relaxed);
}

/// Whether waits are told of.
pub(crate) fn is_announced() -> bool {
    ANNOUNCED.load(Ordering::Relaxed)
}

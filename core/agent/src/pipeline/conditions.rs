//! What a collector runs into.

use sondage_sampler::contention::ContentionCounters;
use sondage_sampler::heap::HeapCounters;
use std::time::Duration;

/// Facts for [`Stats`](crate::Stats), as they are now.
#[derive(Clone, Debug)]
pub(crate) struct Conditions {
    /// What takes the samples.
    pub(crate) engine: &'static str,
    /// Why it does.
    pub(crate) engine_reason: Option<String>,
    /// What would be needed for an engine that is wanted, and what is done instead.
    pub(crate) refusal: Option<String>,
    pub(crate) threads: u64,
    pub(crate) refused_threads: u64,
    pub(crate) last_refusal: Option<String>,
    pub(crate) module_error: Option<String>,
    pub(crate) table_bytes: u64,
    /// What of Python or V8 has numbers.
    pub(crate) known_codes: u64,
    pub(crate) interval: Duration,
    pub(crate) slowdowns: u64,
    /// Whether the governor holds the rate below the configured one.
    pub(crate) lowered: bool,
    /// Stacks that a binding handed over, and those that found no room, since the start.
    pub(crate) foreign: (u64, u64),
    /// Since the process' first start; `None` where memory is not profiled.
    pub(crate) memory: Option<HeapCounters>,
    /// Why it is not, although it should be.
    pub(crate) memory_refusal: Option<String>,
    /// The same of locks.
    pub(crate) locks: Option<ContentionCounters>,
    /// The same of locks.
    pub(crate) locks_refusal: Option<String>,
}

//! How to collect, as far as the configuration says.

use crate::config::{Config, EnginePolicy, SignalPolicy};
use crate::heap;
use crate::pipeline::amounts::Columns;
use crate::pipeline::assemble::Assembly;
use crate::pipeline::cpu::nanos;
use crate::pipeline::interpreted::Showing;
use crate::pipeline::limits::{affordable_threads, max_stacks};
use crate::resolve::Budget;
use std::time::Duration;

/// Names are kept within the configured bytes; compressed debug information is unpacked for at
/// most half of the memory.
fn symbol_budget(config: &Config) -> Budget {
    let debug = config.inlines && config.limits.symbol_bytes > 0;
    Budget {
        cache_bytes: usize::try_from(config.limits.symbol_bytes).unwrap_or(usize::MAX),
        debug_bytes: if debug { config.limits.memory_bytes / 2 } else { 0 },
        ..Budget::default()
    }
}

/// Address space for unwind tables; resident is what is built (libc: 112 KB).
const TABLE_BYTES: usize = 64 << 20;

/// How to collect.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// CPU time between two samples of a thread.
    pub(crate) interval: Duration,
    /// Whether waiting time is recorded too.
    pub(crate) wall: bool,
    pub(crate) engine: EnginePolicy,
    /// Whether signals may be used.
    pub(crate) signals: SignalPolicy,
    /// What observers are shown of the process, where it hands over to them.
    pub(crate) process_labels: Vec<(String, String)>,
    /// Whether [`EnginePolicy::Auto`] is to look for an engine without the bias of the tick: for
    /// hosts with an interpreter, whose threads hand its lock to each other.
    pub(crate) prefers_exact: bool,
    pub(crate) max_threads: u32,
    /// The same where threads need no timers.
    pub(crate) most_threads: u32,
    pub(crate) max_depth: u32,
    /// Distinct stacks between two flushes.
    pub(crate) max_stacks: usize,
    /// Address space for unwind tables.
    pub(crate) table_bytes: usize,
    pub(crate) symbols: Budget,
    pub(crate) showing: Showing,
    /// The share of the host's CPU time that profiling may use.
    pub(crate) budget: f64,
    /// Bytes between two samples of memory, if it is sampled here.
    pub(crate) heap: Option<u64>,
    /// Nanoseconds of waiting for locks between two samples of that.
    pub(crate) locks: Option<u64>,
}

impl Options {
    /// What of a configuration concerns collecting.
    pub(crate) fn from_config(config: &Config) -> Self {
        Self {
            interval: Duration::from_secs(1) / config.hz.max(1),
            wall: config.wall,
            engine: config.engine,
            signals: config.signals,
            process_labels: config.process_labels(),
            prefers_exact: crate::python::announced().is_some(),
            max_threads: config.limits.max_threads.min(affordable_threads()),
            most_threads: config.limits.max_threads,
            max_depth: config.limits.max_depth,
            max_stacks: max_stacks(config.limits.memory_bytes),
            table_bytes: TABLE_BYTES,
            symbols: symbol_budget(config),
            showing: Showing {
                internals: config.python_internals,
                hidden: config.python_hidden.clone(),
            },
            budget: config.budget,
            heap: config.heap.filter(|_| !heap::is_handed()),
            locks: config.locks.map(nanos),
        }
    }

    pub(super) fn assembly(&self, interval: Duration) -> Assembly {
        Assembly::new(Columns::Time { wall: self.wall }, nanos(interval), self.max_stacks)
    }
}

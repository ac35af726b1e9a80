//! What the agent has done, lost and cost.

use crate::export::ExportStats;
use crate::pipeline::{Collector, CpuAccount};
use crate::resolve::SymbolCounters;
use serde::{Deserialize, Serialize};
use sondage_sampler::contention::ContentionCounters;
use sondage_sampler::heap::HeapCounters;
use std::fmt::Write;
use std::time::Duration;

/// Counters since the agent's start, as of the last flush. CPU times are in nanoseconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Stats {
    /// Finished profiles.
    pub flushes: u64,
    /// Samples taken.
    pub samples: u64,
    /// CPU time of the host's threads.
    pub host_cpu: u64,
    /// CPU time that samples stand for.
    pub sampled_cpu: u64,
    /// CPU time of samples that found their ring full.
    pub dropped_cpu: u64,
    /// CPU time beyond the cap on one sample's weight.
    pub missed_cpu: u64,
    /// CPU time that no sample covers.
    pub unsampled_cpu: u64,
    /// CPU time of samples with frames of Python or JavaScript that could not be read.
    pub unread_cpu: u64,
    /// CPU time of Sondage's own threads.
    pub agent_cpu: u64,
    /// Time spent in the signal handler; an upper bound, since a preempted handler counts with
    /// the time it waited. In nanoseconds.
    pub handler_time: u64,
    /// The time that half of the handlers stayed below, in nanoseconds, to a factor of 1.4.
    pub handler_p50: u64,
    /// Threads sampled now.
    pub threads: u64,
    /// Threads that could not be sampled, and why.
    pub refused_threads: u64,
    /// The last reason for a refusal.
    pub last_refusal: Option<String>,
    /// Signals of our number that others sent.
    pub foreign_signals: u64,
    /// Samples of which some frames of Python or V8 could not be read.
    pub unread_samples: u64,
    /// Functions, code and scripts of Python or V8 that samples named, and still can.
    pub known_codes: u64,
    /// Labels that were left out: the table of label sets could not be had in time, or a `span_id`
    /// or `trace_id` was no such id.
    pub skipped_labels: u64,
    /// Stacks that a binding handed over; see [`Agent::add_foreign`](crate::Agent::add_foreign).
    pub foreign_stacks: u64,
    /// Such stacks that found no room in the queue.
    pub dropped_foreign: u64,
    /// Times that the rate was lowered to keep the cost within its budget.
    pub slowdowns: u64,
    /// Bytes of unwind tables.
    pub table_bytes: u64,
    /// CPU time between two samples of a thread.
    #[serde(rename = "interval_nanos", with = "nanos")]
    pub interval: Duration,
    /// What takes the samples: `timer`, `perf`, `process-timer` or `ebpf`; `none` where nothing can;
    /// or how a binding takes stacks,
    /// where [it alone does](crate::config::EnginePolicy::Handed).
    pub engine: String,
    /// Why it does, or why CPU timers do where another engine was to.
    pub engine_reason: Option<String>,
    /// The last module or table that could not be read.
    pub module_error: Option<String>,
    /// Profiles of memory, where they are asked for.
    pub memory: MemoryCounters,
    /// Profiles of waits for locks, where they are asked for.
    pub locks: LockCounters,
    /// The symbol cache.
    pub symbols: SymbolCounters,
    /// What became of the uploads, for each target.
    pub exports: Vec<ExportStats>,
    /// The share of processes that profile; see [`Config::participation`](crate::Config). Profiles
    /// are multiplied by its reciprocal, these counters are not. 0 where no agent runs.
    pub participation: f64,
    /// What was asked for and could not be had, such as a port, while profiling goes on.
    pub warnings: Vec<String>,
    /// Set when the agent thread has failed and profiling is off.
    pub failure: Option<String>,
}

impl Stats {
    pub(crate) fn update(&mut self, collector: &Collector, cpu: &CpuAccount, earlier: &Earlier) {
        let counters = collector.counters();
        let conditions = collector.conditions();
        self.flushes += 1;
        self.samples = earlier.samples + counters.samples;
        self.host_cpu += cpu.host;
        self.sampled_cpu += cpu.sampled;
        self.dropped_cpu += cpu.dropped;
        self.missed_cpu += cpu.missed;
        self.unsampled_cpu += cpu.unsampled;
        self.agent_cpu += cpu.own;
        let nanos_per_tick = collector.nanos_per_tick();
        self.handler_time = earlier.handler_time + handler_time(collector);
        self.handler_p50 = (median_ticks(&counters.histogram) * nanos_per_tick) as u64;
        self.threads = conditions.threads;
        self.refused_threads = conditions.refused_threads;
        self.last_refusal = conditions.last_refusal;
        self.foreign_signals = counters.foreign_signals;
        self.unread_samples = earlier.unread_samples + counters.unreadable;
        self.known_codes = conditions.known_codes;
        self.skipped_labels = crate::labels::Interned::skipped();
        self.foreign_stacks = earlier.foreign.0 + conditions.foreign.0;
        self.dropped_foreign = earlier.foreign.1 + conditions.foreign.1;
        self.slowdowns = earlier.slowdowns + conditions.slowdowns;
        self.table_bytes = conditions.table_bytes;
        self.interval = conditions.interval;
        conditions.engine.clone_into(&mut self.engine);
        self.engine_reason = conditions.engine_reason;
        self.module_error = conditions.module_error;
        self.memory =
            MemoryCounters::new(conditions.memory, nanos_per_tick, conditions.memory_refusal);
        self.locks = LockCounters::new(conditions.locks, nanos_per_tick, conditions.locks_refusal);
        self.symbols = earlier.symbols.and(collector.symbol_counters());
    }

    /// CPU time of profiling so far.
    pub(crate) fn cost(&self) -> Duration {
        Duration::from_nanos(self.agent_cpu.saturating_add(self.handler_time))
    }

    /// The counters in Prometheus' text format.
    pub fn to_prometheus(&self) -> String {
        let seconds = |nanos: u64| nanos as f64 / 1e9;
        let mut text = String::new();
        let mut metric = |name: &str, kind: &str, help: &str, value: f64| {
            let _ = writeln!(
                text,
                "# HELP sondage_{name} {help}\n# TYPE sondage_{name} {kind}\nsondage_{name} {value}"
            );
        };
        metric("flushes_total", "counter", "Finished profiles.", self.flushes as f64);
        metric("samples_total", "counter", "Samples taken.", self.samples as f64);
        for (name, help, nanos) in [
            ("host_cpu_seconds_total", "CPU time of the profiled threads.", self.host_cpu),
            ("sampled_cpu_seconds_total", "CPU time that samples stand for.", self.sampled_cpu),
            ("dropped_cpu_seconds_total", "CPU time lost to full rings.", self.dropped_cpu),
            ("missed_cpu_seconds_total", "CPU time beyond one sample's cap.", self.missed_cpu),
            ("unsampled_cpu_seconds_total", "CPU time without a sample.", self.unsampled_cpu),
            ("unread_cpu_seconds_total", "CPU time with unread frames.", self.unread_cpu),
            ("agent_cpu_seconds_total", "CPU time of the profiler's threads.", self.agent_cpu),
            ("handler_seconds_total", "Time in the signal handler.", self.handler_time),
        ] {
            metric(name, "counter", help, seconds(nanos));
        }
        let pushed = self.exports.iter().map(|sink| sink.pushed).sum::<u64>();
        let lost = self.exports.iter().map(ExportStats::lost).sum::<u64>();
        metric("pushed_total", "counter", "Uploads that arrived.", pushed as f64);
        metric("lost_uploads_total", "counter", "Uploads that did not.", lost as f64);
        let spooled = self.exports.iter().map(|sink| sink.spooled).sum::<u64>();
        metric("spooled_uploads", "gauge", "Uploads that wait on disk.", spooled as f64);
        metric("threads", "gauge", "Threads sampled now.", self.threads as f64);
        metric("refused_threads", "gauge", "Threads not sampled.", self.refused_threads as f64);
        let unreadable = self.unread_samples as f64;
        let help = "Samples with frames of a runtime that could not be read.";
        metric("unread_samples_total", "counter", help, unreadable);
        metric("skipped_labels_total", "counter", "Labels left out.", self.skipped_labels as f64);
        metric("slowdowns_total", "counter", "Rate reductions.", self.slowdowns as f64);
        metric("participation", "gauge", "Share of processes profiled.", self.participation);
        metric(
            "memory_samples_total",
            "counter",
            "Allocations sampled.",
            self.memory.samples as f64,
        );
        metric(
            "memory_sampling_seconds_total",
            "counter",
            "Time spent on it.",
            seconds(self.memory.time),
        );
        metric("table_bytes", "gauge", "Bytes of unwind tables.", self.table_bytes as f64);
        text
    }
}

/// Sampled allocations since the process first began to sample them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemoryCounters {
    /// Whether they are sampled now.
    pub sampling: bool,
    /// Blocks sampled.
    pub samples: u64,
    /// Of these, blocks that count as allocated but never as in use: there were too many.
    pub untracked: u64,
    /// Of these, blocks whose stack found no room; they stand under `[overflow]`.
    pub stackless: u64,
    /// Blocks that were to be sampled while another thread took a sample; a later one was instead.
    pub contended: u64,
    /// Time in which the host's threads took samples, in nanoseconds.
    pub time: u64,
    /// Why nothing is sampled, or no profile is made, although it should be.
    pub error: Option<String>,
}

impl MemoryCounters {
    fn new(counters: Option<HeapCounters>, nanos_per_tick: f64, error: Option<String>) -> Self {
        let sampling = counters.is_some();
        let counters = counters.unwrap_or_default();
        Self {
            sampling,
            samples: counters.samples,
            untracked: counters.untracked,
            stackless: counters.stackless,
            contended: counters.contended,
            time: (counters.ticks as f64 * nanos_per_tick) as u64,
            error,
        }
    }
}

/// Sampled waits for locks since the process first began to sample them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LockCounters {
    /// Whether they are sampled now.
    pub sampling: bool,
    /// Waits sampled.
    pub samples: u64,
    /// Of these, those whose stack found no room; they stand under `[overflow]`.
    pub stackless: u64,
    /// Waits that were to be sampled while another thread took a sample, and were not.
    pub contended: u64,
    /// Time in which the host's threads took samples, in nanoseconds.
    pub time: u64,
    /// Why nothing is sampled although it should be.
    pub error: Option<String>,
}

impl LockCounters {
    fn new(
        counters: Option<ContentionCounters>,
        nanos_per_tick: f64,
        error: Option<String>,
    ) -> Self {
        let sampling = counters.is_some();
        let counters = counters.unwrap_or_default();
        Self {
            sampling,
            samples: counters.samples,
            stackless: counters.stackless,
            contended: counters.contended,
            time: (counters.ticks as f64 * nanos_per_tick) as u64,
            error,
        }
    }
}

/// A duration as a number.
mod nanos {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::time::Duration;

    pub(super) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_nanos)
    }
}

/// What collectors counted that have ended since the agent's start, because profiling was off for
/// a while.
#[derive(Debug, Default)]
pub(crate) struct Earlier {
    samples: u64,
    unread_samples: u64,
    handler_time: u64,
    slowdowns: u64,
    foreign: (u64, u64),
    symbols: SymbolCounters,
}

impl Earlier {
    /// Adds what a collector has counted that ends now.
    pub(crate) fn add(&mut self, collector: &Collector) {
        self.samples += collector.counters().samples;
        self.unread_samples += collector.counters().unreadable;
        self.handler_time += handler_time(collector);
        let conditions = collector.conditions();
        self.slowdowns += conditions.slowdowns;
        self.foreign.0 += conditions.foreign.0;
        self.foreign.1 += conditions.foreign.1;
        self.symbols = self.symbols.and(collector.symbol_counters());
    }
}

/// Time in handlers since the collector's start, in nanoseconds.
fn handler_time(collector: &Collector) -> u64 {
    (collector.counters().ticks as f64 * collector.nanos_per_tick()) as u64
}

/// The middle of the bucket that holds the median, in ticks.
fn median_ticks(histogram: &[u64]) -> f64 {
    let half = histogram.iter().sum::<u64>().div_ceil(2);
    let mut seen = 0;
    for (bucket, count) in histogram.iter().enumerate() {
        seen += count;
        if *count > 0 && seen >= half {
            return 2f64.powf(bucket as f64 + 0.5);
        }
    }
    0.0
}

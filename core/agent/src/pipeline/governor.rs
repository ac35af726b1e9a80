//! Keeps the profiler's own cost within its budget by lowering the rate.

use super::threads::own_cpu;
use sondage_sampler::{Clock, Counters, HISTOGRAM_BUCKETS};
use std::time::{Duration, Instant};

/// How often the cost is looked at.
const CHECK: Duration = Duration::from_secs(1);

/// This part of the budget is allowed as a share of one core, where the host uses less than that.
const PART_OF_CORE: f64 = 0.1;

/// The rate is lowered after this many checks over budget in a row, so that the reading of a
/// large binary's symbols, which happens once, does not count as a habit.
const PATIENCE: u32 = 3;

/// It is raised again when the cost has been below a quarter of the budget for this many checks.
const CONFIDENCE: u32 = 10;

/// The longest interval: ten samples a second.
const SLOWEST: Duration = Duration::from_millis(100);

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Governor {
    /// The share of the host's CPU time that profiling may use.
    budget: f64,
    configured: Duration,
    checked: Instant,
    host: Duration,
    own: Duration,
    handlers: Duration,
    over: u32,
    under: u32,
    /// How often the rate was lowered.
    pub(crate) slowdowns: u64,
}

/// The cost of one second.
#[derive(Clone, Copy, Debug)]
struct Cost {
    own: f64,
    host: f64,
    elapsed: f64,
}

impl Cost {
    /// Cost divided by budget.
    fn load(self, budget: f64) -> f64 {
        self.own / (budget * self.host.max(self.elapsed * PART_OF_CORE)).max(1e-9)
    }
}

impl Governor {
    pub(crate) fn new(configured: Duration, budget: f64, now: Instant) -> Self {
        Self {
            budget,
            configured,
            checked: now,
            host: Clock::Process.now().unwrap_or_default(),
            own: own_cpu(),
            handlers: Duration::ZERO,
            over: 0,
            under: 0,
            slowdowns: 0,
        }
    }

    /// Changes the configured interval, and returns whether it is another one. Then what was
    /// learnt about the cost of the old one is forgotten.
    pub(crate) fn configure(&mut self, interval: Duration) -> bool {
        let changed = interval != self.configured;
        if changed {
            self.configured = interval;
            (self.over, self.under) = (0, 0);
        }
        changed
    }

    /// Whether `interval` is longer than configured, to keep the cost within its budget.
    pub(crate) fn has_lowered(&self, interval: Duration) -> bool {
        interval > self.configured
    }

    /// Whether it is time for the next [`Governor::check`].
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        now.duration_since(self.checked) >= CHECK
    }

    /// The interval to go on with, if it is to change.
    pub(crate) fn check(
        &mut self,
        now: Instant,
        counters: &Counters,
        nanos_per_tick: f64,
        interval: Duration,
    ) -> Option<Duration> {
        let elapsed = now.duration_since(self.checked);
        let host = Clock::Process.now().unwrap_or(self.host);
        let own = own_cpu();
        let handlers = handler_time(counters, nanos_per_tick);
        let spent = own.saturating_sub(self.own) + handlers.saturating_sub(self.handlers);
        let cost = Cost {
            own: spent.as_secs_f64(),
            host: host.saturating_sub(self.host).as_secs_f64(),
            elapsed: elapsed.as_secs_f64(),
        };
        (self.checked, self.host, self.own, self.handlers) = (now, host, own, handlers);
        self.decide(cost.load(self.budget), interval)
    }

    fn decide(&mut self, load: f64, interval: Duration) -> Option<Duration> {
        self.over = if load > 1.0 { self.over + 1 } else { 0 };
        self.under = if load < 0.25 { self.under + 1 } else { 0 };
        if self.over >= PATIENCE && interval < SLOWEST {
            self.over = 0;
            self.slowdowns += 1;
            return Some((interval * 2).min(SLOWEST));
        }
        if self.under >= CONFIDENCE && interval > self.configured {
            self.under = 0;
            return Some((interval / 2).max(self.configured));
        }
        None
    }
}

/// Time spent in handlers by their histogram, in which one that was preempted counts as at most
/// 2^20 ticks (a third of a millisecond) instead of with all the time it waited.
fn handler_time(counters: &Counters, nanos_per_tick: f64) -> Duration {
    const LONGEST: usize = 20;
    let middle = |bucket: usize| 2f64.powf(bucket.min(LONGEST) as f64 + 0.5);
    let buckets = (0..HISTOGRAM_BUCKETS).zip(counters.histogram);
    let ticks: f64 = buckets.map(|(bucket, count)| middle(bucket) * count as f64).sum();
    Duration::from_nanos((ticks * nanos_per_tick) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn governor() -> Governor {
        Governor::new(10 * MS, 0.01, Instant::now())
    }

    #[test]
    fn a_single_expensive_second_changes_nothing() {
        let mut governor = governor();
        assert_eq!(governor.decide(50.0, 10 * MS), None);
        assert_eq!(governor.decide(0.5, 10 * MS), None);
        assert_eq!(governor.decide(50.0, 10 * MS), None);
        assert_eq!(governor.decide(50.0, 10 * MS), None);
        assert_eq!(governor.decide(50.0, 10 * MS), Some(20 * MS));
        assert_eq!(governor.slowdowns, 1);
    }

    #[test]
    fn the_rate_comes_back_step_by_step_and_never_exceeds_the_configured_one() {
        let mut governor = governor();
        let mut interval = 80 * MS;
        for _ in 0..100 {
            interval = governor.decide(0.01, interval).unwrap_or(interval);
        }
        assert_eq!(interval, 10 * MS);
    }

    #[test]
    fn a_new_configured_rate_is_the_one_that_comes_back() {
        let mut governor = governor();
        assert!(governor.configure(40 * MS));
        assert!(!governor.configure(40 * MS));
        let mut interval = 80 * MS;
        for _ in 0..100 {
            interval = governor.decide(0.01, interval).unwrap_or(interval);
        }
        assert_eq!(interval, 40 * MS);
        assert!(!governor.has_lowered(interval));
    }

    #[test]
    fn the_rate_is_not_lowered_without_end() {
        let mut governor = governor();
        let mut interval = 10 * MS;
        for _ in 0..100 {
            interval = governor.decide(9.0, interval).unwrap_or(interval);
        }
        assert_eq!(interval, SLOWEST);
    }

    #[test]
    fn the_budget_is_a_hundredth_of_the_host_or_a_thousandth_of_a_core() {
        let busy = Cost { own: 0.02, host: 2.0, elapsed: 1.0 };
        assert!((busy.load(0.01) - 1.0).abs() < 1e-9);
        let idle = Cost { own: 0.001, host: 0.0, elapsed: 1.0 };
        assert!((idle.load(0.01) - 1.0).abs() < 1e-9);
        assert!((busy.load(0.02) - 0.5).abs() < 1e-9, "twice the budget");
    }
}

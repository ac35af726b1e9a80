//! Reconciliation: the CPU time that no sample covers.

use super::threads::own_cpu;
use sondage_sampler::{Clock, Counters, Engine};
use std::time::Duration;

/// CPU time of one collection period, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuAccount {
    /// What the host's threads used, living and ended.
    pub host: u64,
    /// What Sondage's own threads used.
    pub own: u64,
    /// What samples stand for.
    pub sampled: u64,
    /// Samples that found their ring full.
    pub dropped: u64,
    /// Expirations beyond the cap on a sample's weight.
    pub missed: u64,
    /// What remains: threads that ended before their first expiry, blocked signals, time before
    /// a thread was found.
    pub unsampled: u64,
}

/// Compares the process' CPU clock with what was sampled.
///
/// The process clock counts every thread, also those that lived too briefly to be seen, so the
/// difference is complete. Samples lag behind the clock by up to one period a thread; a surplus
/// is carried into the next account instead of being shown as negative.
#[derive(Debug)]
pub(crate) struct Reconciler {
    process: Duration,
    own: Duration,
    counters: Counters,
    account: CpuAccount,
    surplus: u64,
    /// Whether samples stand for the CPU time of Sondage's threads too.
    own_is_sampled: bool,
}

impl Reconciler {
    /// Starts at the present state of the clocks.
    pub(crate) fn new(counters: Counters, engine: Engine) -> Self {
        let process = Clock::Process.now().unwrap_or_default();
        let account = CpuAccount::default();
        let own_is_sampled = engine == Engine::Process;
        Self { process, own: own_cpu(), counters, account, surplus: 0, own_is_sampled }
    }

    /// Says whether samples stand for the CPU time of Sondage's threads too, from now on.
    pub(crate) fn samples_own(&mut self, own_is_sampled: bool) {
        self.own_is_sampled = own_is_sampled;
    }

    /// Adds what was sampled since the last call, while one period was `interval`.
    pub(crate) fn add(&mut self, counters: Counters, interval: Duration) {
        let period = nanos(interval);
        let delta = |now: u64, then: u64| now.saturating_sub(then).saturating_mul(period);
        self.account.sampled += delta(counters.weight, self.counters.weight);
        self.account.dropped += delta(counters.dropped, self.counters.dropped);
        self.account.missed += delta(counters.missed, self.counters.missed);
        self.counters = counters;
    }

    /// Adds the CPU time, in nanoseconds, of stacks that were not sampled but handed over, and of
    /// those that found no room on the way.
    pub(crate) fn add_foreign(&mut self, taken: u64, dropped: u64) {
        self.account.sampled = self.account.sampled.saturating_add(taken);
        self.account.dropped = self.account.dropped.saturating_add(dropped);
    }

    /// Closes the account of the time since the last call; everything sampled must have been
    /// added.
    pub(crate) fn close(&mut self) -> CpuAccount {
        let mut account = std::mem::take(&mut self.account);
        let process = Clock::Process.now().unwrap_or(self.process);
        let own = own_cpu();
        account.own = nanos(own.saturating_sub(self.own));
        account.host = nanos(process.saturating_sub(self.process)).saturating_sub(account.own);
        (self.process, self.own) = (process, own);
        let covered = account.sampled.saturating_add(account.dropped);
        let covered = covered.saturating_add(account.missed).saturating_add(self.surplus);
        let clock = account.host + if self.own_is_sampled { account.own } else { 0 };
        account.unsampled = clock.saturating_sub(covered);
        self.surplus = covered.saturating_sub(clock);
        // What a thread missed while it blocked the signal, earlier accounts told as unsampled.
        let told = account.missed.min(self.surplus);
        account.missed -= told;
        self.surplus -= told;
        account
    }
}

/// A duration in nanoseconds; `u64::MAX` beyond 584 years.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_told_as_unsampled_is_not_told_again_as_missed() {
        let mut reconciler = Reconciler::new(Counters::default(), Engine::Timer);
        let hour = Counters { weight: 1, missed: 3_600, ..Counters::default() };
        reconciler.add(hour, Duration::from_secs(1));
        let account = reconciler.close();
        assert!(account.missed <= account.host, "{account:?}");
        assert_eq!((account.sampled, account.unsampled), (1_000_000_000, 0));
    }

    #[test]
    fn own_cpu_time_that_the_process_timer_samples_hides_no_unsampled_time() {
        let mut reconciler = Reconciler::new(Counters::default(), Engine::Process);
        // As if all of what the process uses from here on were Sondage's own.
        let own = crate::exclude_this_thread();
        let start = Clock::Process.now().unwrap();
        while Clock::Process.now().unwrap() < start + Duration::from_millis(20) {}
        let account = reconciler.close();
        drop(own);
        assert!(account.own > 0, "{account:?}");
        assert_eq!(account.unsampled, account.host + account.own);
    }
}

//! How long to wait before the next try.

use crate::random::Random;
use std::time::Duration;

/// Exponential backoff with full jitter: before try `n + 1` a random time between 0 and
/// `base · 2ⁿ⁻¹`, at most `max`. Agents that failed together do not come back together.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    base: Duration,
    max: Duration,
    random: Random,
}

impl Backoff {
    /// Starts from a seed that differs in every process and for every sink.
    pub(super) fn new(base: Duration, max: Duration) -> Self {
        Self { base, max, random: Random::new() }
    }

    /// The wait after the failure of try `tries`, the first being 1.
    pub(super) fn after(&mut self, tries: u32) -> Duration {
        let doublings = tries.saturating_sub(1).min(31);
        let ceiling = self.base.saturating_mul(1 << doublings).min(self.max);
        ceiling.mul_f64(self.random.fraction())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_secs(1);
    const MAX: Duration = Duration::from_secs(60);

    #[test]
    fn waits_double_up_to_the_maximum_and_are_spread_over_all_of_it() {
        let mut backoff = Backoff::new(BASE, MAX);
        for (tries, ceiling) in [(1, 1), (2, 2), (6, 32), (7, 60), (8, 60), (u32::MAX, 60)] {
            let waits: Vec<f64> = (0..2000).map(|_| backoff.after(tries).as_secs_f64()).collect();
            let ceiling = f64::from(ceiling);
            assert!(waits.iter().all(|wait| (0.0..=ceiling).contains(wait)), "{tries}");
            let mean = waits.iter().sum::<f64>() / 2000.0 / ceiling;
            assert!((mean - 0.5).abs() < 0.05, "{tries}: mean {mean}");
        }
    }

    #[test]
    fn a_thousand_agents_do_not_retry_in_step() {
        let first = |_| Backoff::new(BASE, MAX).after(6).as_secs();
        let seconds: Vec<u64> = (0..1000).map(first).collect();
        let busiest = (0..32).map(|s| seconds.iter().filter(|&&other| other == s).count()).max();
        // Evenly spread, 31 a second; in step, 1000 in one.
        assert!(busiest.is_some_and(|busiest| busiest < 70), "{busiest:?}");
    }
}

//! How long to wait before the next try.

use crate::random::Random;
use std::time::Duration;

/// The waits of one sink, over all its uploads: while the server is down, the next upload begins
/// no new series of tries.
///
/// A first failure after a calm time is followed by a long wait. All agents see an outage begin at
/// the same time, and were each to try again soon, the server would get several times its usual
/// load when it can bear it least. Only where tries that follow a failure have been seen to help
/// are they made soon: each that delivers earns three such tries, of which eight are kept at most.
///
/// Every wait is spread at random, so that agents that failed together do not come back together.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    base: Duration,
    max: Duration,
    /// Failures since the last answer.
    failures: u32,
    /// Those of them that were followed by a long wait.
    long_waits: u32,
    /// Tries that may be made soon.
    credit: f64,
    random: Random,
}

const EARNED: f64 = 3.0;
const MAX_CREDIT: f64 = 8.0;

/// What remains of the credit after an upload that needed no second try: a full one is used up by
/// 41 of them.
const CALM: f64 = 0.95;

const PACE: u32 = 8;

/// The first soon try comes within this part of the base, and no later one after more than four
/// times that.
const SOON: u32 = 20;
const LAST_SOON: u32 = 3;

impl Backoff {
    /// After a first failure it waits `base / 4` to `base`, then twice that, and so on up to
    /// `max`; or, with credit, 0 to `base / 20`, and so on up to `base / 5`.
    pub(super) fn new(base: Duration, max: Duration) -> Self {
        Self::with(base, max, Random::new())
    }

    fn with(base: Duration, max: Duration, random: Random) -> Self {
        Self { base, max, failures: 0, long_waits: 0, credit: 0.0, random }
    }

    /// A try has failed: the wait before the next one.
    pub(super) fn failed(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        if self.credit >= 1.0 {
            self.credit -= 1.0;
            let most = self.doubled(self.base / SOON, self.failures.min(LAST_SOON));
            return most.mul_f64(self.random.fraction());
        }
        self.long_waits = self.long_waits.saturating_add(1);
        let most = self.doubled(self.base, self.long_waits);
        most.mul_f64(0.25 + 0.75 * self.random.fraction())
    }

    /// A try has delivered: the wait before the next one where many wait, an eighth of the base. A
    /// server that comes back is not to get in a minute what it missed in half an hour.
    pub(super) fn delivered(&mut self) -> Duration {
        self.credit = match self.failures {
            0 => self.credit * CALM,
            _ => (self.credit + EARNED).min(MAX_CREDIT),
        };
        self.answered();
        self.base / PACE
    }

    /// The server works, though it did not take what it was sent.
    pub(super) fn answered(&mut self) {
        (self.failures, self.long_waits) = (0, 0);
    }

    fn doubled(&self, first: Duration, number: u32) -> Duration {
        first.saturating_mul(1 << number.saturating_sub(1).min(31)).min(self.max)
    }
}

#[cfg(test)]
#[path = "backoff_tests.rs"]
mod tests;

//! Threads that do not run: in which stack, and since when.

use std::collections::HashMap;
use std::time::Duration;

/// A stop that has not ended.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    pub(crate) pid: u32,
    pub(crate) comm: [u8; 16],
    /// Its label set, without span and trace, which are in the words.
    pub(crate) set: u32,
    pub(crate) words: Vec<u64>,
    chance: f64,
    since: u64,
    /// How much of it was handed out already.
    charged: Duration,
}

impl Stop {
    pub(crate) fn new(
        (pid, comm): (u32, [u8; 16]),
        set: u32,
        words: &[u64],
        chance: f64,
        since: u64,
    ) -> Self {
        let words = words.to_vec();
        Self { pid, comm, set, words, chance, since, charged: Duration::ZERO }
    }

    /// Hands out the time up to `blocked` that was not handed out before. Each stop that was looked
    /// at stands for as many as its chance says.
    fn charge(&mut self, blocked: Duration) -> Duration {
        let fresh = blocked.saturating_sub(self.charged);
        self.charged += fresh;
        Duration::try_from_secs_f64(fresh.as_secs_f64() / self.chance).unwrap_or(Duration::MAX)
    }
}

/// The stops that have not ended, by thread.
#[derive(Debug, Default)]
pub(crate) struct Stops {
    stops: HashMap<u32, Stop>,
}

impl Stops {
    /// A thread has stopped.
    pub(crate) fn begin(&mut self, tid: u32, stop: Stop) {
        self.stops.insert(tid, stop);
    }

    /// A thread runs again after this long: the stop, and the time that it stands for.
    pub(crate) fn end(&mut self, tid: u32, blocked: Duration) -> Option<(Stop, Duration)> {
        let mut stop = self.stops.remove(&tid)?;
        let charged = stop.charge(blocked);
        Some((stop, charged))
    }

    /// Hands out the time of every stop up to `now`, on the clock of their beginnings.
    pub(crate) fn charge(&mut self, now: u64, mut take: impl FnMut(&Stop, Duration)) {
        for stop in self.stops.values_mut() {
            let blocked = Duration::from_nanos(now.saturating_sub(stop.since));
            let charged = stop.charge(blocked);
            take(stop, charged);
        }
    }

    /// Forgets the threads of a process.
    pub(crate) fn forget(&mut self, pid: u32) {
        self.stops.retain(|_, stop| stop.pid != pid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_over_a_flush_is_handed_out_once() {
        let second = Duration::from_secs(1);
        let mut stops = Stops::default();
        stops.begin(7, Stop::new((1, [0; 16]), 0, &[5], 0.5, 1_000_000_000));
        let mut handed = Duration::ZERO;
        stops.charge(3_000_000_000, |stop, time| {
            assert_eq!(stop.words, [5]);
            handed += time;
        });
        assert_eq!(handed, 4 * second);
        let (_, rest) = stops.end(7, 5 * second).unwrap();
        assert_eq!(rest, 6 * second);
        assert!(stops.end(7, second).is_none());
        stops.begin(8, Stop::new((2, [0; 16]), 0, &[], 1.0, 0));
        stops.forget(2);
        assert!(stops.end(8, second).is_none());
    }
}

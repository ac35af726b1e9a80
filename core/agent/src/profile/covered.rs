//! The time that profiles cover together.

use std::time::Duration;

/// Periods that do not touch each other, in order; in nanoseconds since the Unix epoch, without the end.
#[derive(Clone, Debug, Default)]
pub(super) struct Covered(Vec<(u64, u64)>);

impl Covered {
    pub(super) fn new(start: u64, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(vec![(start, start.saturating_add(nanos))])
    }

    /// Adds what another covers. What is covered by both counts once.
    pub(super) fn add(&mut self, other: &Self) {
        for &(start, end) in &other.0 {
            // Those that the new one touches become one with it. Profiles mostly come in order of time.
            let first = self.0.partition_point(|&(_, before)| before < start);
            let count = self.0[first..].partition_point(|&(after, _)| after <= end);
            let touched = &self.0[first..first + count];
            let start = touched.first().map_or(start, |it| it.0.min(start));
            let end = touched.last().map_or(end, |it| it.1.max(end));
            self.0.splice(first..first + count, [(start, end)]);
        }
    }

    pub(super) fn duration(&self) -> Duration {
        Duration::from_nanos(self.0.iter().map(|(start, end)| end - start).sum())
    }

    pub(super) fn start(&self) -> Option<u64> {
        self.0.first().map(|(start, _)| *start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(periods: &[(u64, u64)]) -> Covered {
        let mut all = Covered::default();
        for &(start, end) in periods {
            all.add(&Covered::new(start, Duration::from_nanos(end - start)));
        }
        all
    }

    #[test]
    fn what_several_cover_counts_once_in_any_order() {
        // Two processes side by side, before and after a gap.
        let mut periods = [(0, 10), (0, 10), (10, 20), (10, 21), (50, 60), (50, 61), (61, 70)];
        for _ in 0..periods.len() {
            periods.rotate_left(1);
            let all = of(&periods);
            assert_eq!((&all.0[..], all.duration().as_nanos()), (&[(0, 21), (50, 70)][..], 41));
        }
        assert_eq!(of(&[(5, 6), (1, 9)]).0, [(1, 9)]);
        assert_eq!(of(&[(1, 2), (3, 4), (5, 6), (2, 5)]).0, [(1, 6)]);
        assert_eq!(of(&[(u64::MAX - 1, u64::MAX)]).duration().as_nanos(), 1);
    }
}

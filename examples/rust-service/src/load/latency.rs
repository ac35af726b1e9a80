//! Every latency of a run, kept whole: at most a million, four bytes each.

use std::time::Duration;

/// Latencies as they come.
#[derive(Debug, Default)]
pub struct Latencies(Vec<u32>);

/// Latencies by rising time.
#[derive(Debug)]
pub struct Sorted(Vec<u32>);

impl Latencies {
    /// Adds one; beyond 71 minutes it counts as 71 minutes.
    pub fn add(&mut self, latency: Duration) {
        self.0.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Sorts, to be asked for quantiles.
    pub fn sorted(mut self) -> Sorted {
        self.0.sort_unstable();
        Sorted(self.0)
    }
}

impl Sorted {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// Returns the latency in microseconds below which `part` (0 to 1) of all stay; 0 if none.
    pub fn quantile(&self, part: f64) -> u32 {
        let rank = (part * self.0.len() as f64).ceil() as usize;
        self.0.get(rank.saturating_sub(1)).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_nearest_ranks() {
        let mut latencies = Latencies::default();
        for micros in (1..=100).rev() {
            latencies.add(Duration::from_micros(micros));
        }
        let sorted = latencies.sorted();
        assert_eq!((sorted.quantile(0.5), sorted.quantile(0.99)), (50, 99));
        assert_eq!(Latencies::default().sorted().quantile(0.5), 0);
    }
}

//! Medians with their spread.

use std::fmt;

/// Measurements of one thing.
#[derive(Clone, Debug, Default)]
pub struct Spread(Vec<f64>);

impl Spread {
    /// Adds one.
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
        self.0.sort_by(f64::total_cmp);
    }

    /// All of them, by size.
    pub fn iter(&self) -> impl Iterator<Item = f64> + '_ {
        self.0.iter().copied()
    }

    /// The middle one; the mean of the middle two.
    pub fn median(&self) -> f64 {
        let count = self.0.len();
        match count {
            0 => f64::NAN,
            _ if count % 2 == 1 => self.0[count / 2],
            _ => (self.0[count / 2 - 1] + self.0[count / 2]) / 2.0,
        }
    }

    /// The value that a part (0 to 1) of all stay below.
    pub fn quantile(&self, part: f64) -> f64 {
        let rank = (part * self.0.len() as f64).ceil() as usize;
        self.0.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }

    /// The 95 % interval of the mean (Student's t).
    pub fn interval(&self) -> (f64, f64) {
        let count = self.0.len() as f64;
        let mean = self.0.iter().sum::<f64>() / count;
        let square = self.0.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        let half = student(self.0.len() - 1) * (square / (count - 1.0) / count).sqrt();
        (mean - half, mean + half)
    }

    /// The 95 % interval of the median: that of 4,000 medians of as many values, drawn from these.
    /// The same for the same values.
    pub fn bootstrap(&self) -> (f64, f64) {
        const DRAWS: usize = 4000;
        let mut state = 1u64;
        let mut draw = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            self.0[(state >> 33) as usize % self.0.len()]
        };
        let medians = (0..DRAWS).map(|_| {
            let mut values: Vec<f64> = self.0.iter().map(|_| draw()).collect();
            values.sort_by(f64::total_cmp);
            Self(values).median()
        });
        let mut medians: Vec<f64> = medians.collect();
        medians.sort_by(f64::total_cmp);
        (medians[DRAWS / 40], medians[DRAWS - 1 - DRAWS / 40])
    }

    /// The mean.
    pub fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / self.0.len() as f64
    }

    /// Median and extremes, with so many decimals.
    pub fn show(&self, decimals: usize) -> String {
        let (Some(low), Some(high)) = (self.0.first(), self.0.last()) else { return "–".into() };
        let median = self.median();
        format!("{median:.decimals$} ({low:.decimals$}–{high:.decimals$})")
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.show(0))
    }
}

impl FromIterator<f64> for Spread {
    fn from_iter<T: IntoIterator<Item = f64>>(values: T) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }
}

/// The 97.5 % quantile of Student's distribution.
fn student(freedom: usize) -> f64 {
    const TABLE: [f64; 20] = [
        12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13,
        2.12, 2.11, 2.10, 2.09, 2.09,
    ];
    match freedom {
        0 => f64::INFINITY,
        _ => TABLE.get(freedom - 1).copied().unwrap_or(2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_and_the_extremes_are_shown_whatever_the_order() {
        let spread: Spread = [3.0, 1.0, 2.0].into_iter().collect();
        assert_eq!(spread.show(1), "2.0 (1.0–3.0)");
        let even: Spread = [4.0, 1.0, 2.0, 3.0].into_iter().collect();
        assert_eq!(even.median(), 2.5);
    }

    #[test]
    fn the_median_s_interval_holds_the_median_and_not_the_extremes() {
        let spread: Spread = (0..=100).map(f64::from).collect();
        let (low, high) = spread.bootstrap();
        // The order statistics 40 and 60 of 101 are its interval by the binomial distribution.
        assert!((35.0..45.0).contains(&low) && (55.0..65.0).contains(&high), "{low} {high}");
    }

    #[test]
    fn the_interval_is_student_s() {
        // Mean 3, standard error √(2.5 / 5), 4 degrees of freedom.
        let spread: Spread = [1.0, 2.0, 3.0, 4.0, 5.0].into_iter().collect();
        let (low, high) = spread.interval();
        assert!((low - 1.034).abs() < 0.01 && (high - 4.966).abs() < 0.01, "{low} {high}");
    }
}

//! Whether a difference is more than chance.
//!
//! Samples are counts, so a share of them has an error that follows from how many there are. A
//! change is called one if an error of that size has at most a chance of 5 % to produce one anywhere in
//! the comparison (Bonferroni's correction), and if it is large enough for anyone to care about.
//! The page has the same rule in `viewer/src/compare.js`.

/// The chance that anything at all is called changed between two profiles of the same thing.
const ALPHA: f64 = 0.05;

/// Variance of a count of samples beside that of independent ones. A running program's come in
/// bunches: it does one thing for a while, then another.
const DISPERSION: f64 = 2.0;

/// Changes of a share below this are not called changes: half a point of the whole.
pub const MIN_CHANGE: f64 = 0.005;

/// How many samples the two sides have; what a comparison rests on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Evidence {
    pub(super) before: f64,
    pub(super) after: f64,
}

impl Evidence {
    /// That of a part of each side, or of a larger whole.
    pub(super) fn scaled(self, before: f64, after: f64) -> Self {
        Self { before: self.before * before, after: self.after * after }
    }

    /// Whether a part of all samples differs by more than chance: `before` and `after` are shares, 0
    /// to 1, and `tests` is how many are looked at.
    pub(super) fn tells_apart(self, before: f64, after: f64, tests: usize) -> bool {
        let (samples_before, samples_after) = (self.before, self.after);
        let is_share = |share: f64| (0.0..=1.0).contains(&share);
        // A profile that is a difference itself has shares below 0.
        let is_known = samples_before > 0.0 && samples_after > 0.0;
        if !is_known || !is_share(before) || !is_share(after) {
            return false;
        }
        if (after - before).abs() < MIN_CHANGE {
            return false;
        }
        let pooled =
            (before * samples_before + after * samples_after) / (samples_before + samples_after);
        let variance = pooled * (1.0 - pooled) * (1.0 / samples_before + 1.0 / samples_after);
        exceeds(after - before, DISPERSION * variance, tests)
    }

    /// Whether the two counts differ by more than chance, as wholes, each divided by what it covers:
    /// seconds, or 1.
    pub(super) fn wholes_differ(self, covered: (f64, f64)) -> bool {
        let (before, after) = (self.before / covered.0, self.after / covered.1);
        let variance = DISPERSION * (before / covered.0 + after / covered.1);
        variance.is_finite() && exceeds(after - before, variance, 1)
    }
}

fn exceeds(difference: f64, variance: f64, tests: usize) -> bool {
    let limit = upper_quantile(ALPHA / (2.0 * tests.max(1) as f64));
    // A variance of 0: one side is all of it, the other nothing of it, or both are the same.
    difference != 0.0 && difference.abs() > limit * variance.max(0.0).sqrt()
}

/// Where the upper tail of the normal distribution has this probability, which is below 0.15.
fn upper_quantile(probability: f64) -> f64 {
    let (mut low, mut high) = (1.0, 40.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if upper_tail(middle) > probability { low = middle } else { high = middle }
    }
    low
}

/// The probability of more than `z`, at least 1, by the continued fraction of Mills' ratio.
fn upper_tail(z: f64) -> f64 {
    let fraction = (1..=100).rev().fold(z, |rest, n| z + f64::from(n) / rest);
    (-z * z / 2.0).exp() / (fraction * (2.0 * std::f64::consts::PI).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (probability, z) in [
            (0.025, 1.959_963_985),
            (0.005, 2.575_829_304),
            (1e-4, 3.719_016_485),
            (1e-6, 4.753_424_309),
        ] {
            assert!((upper_quantile(probability) - z).abs() < 1e-8, "{probability}");
        }
    }

    #[test]
    fn what_chance_may_do_depends_on_how_many_samples_there_are() {
        // 10 % against 12 %: of 1,000 samples each that is 1.02 standard errors with the dispersion, of
        // 20,000 it is 4.5.
        assert!(!Evidence { before: 1e3, after: 1e3 }.tells_apart(0.10, 0.12, 1));
        assert!(Evidence { before: 2e4, after: 2e4 }.tells_apart(0.10, 0.12, 1));
        // One of 10,000 functions is likely to look so by chance.
        assert!(!Evidence { before: 1.2e4, after: 1.2e4 }.tells_apart(0.10, 0.12, 10_000));
        assert!(Evidence { before: 1.2e4, after: 1.2e4 }.tells_apart(0.10, 0.12, 10));
    }

    #[test]
    fn what_nobody_cares_about_is_no_change_however_certain() {
        let much = Evidence { before: 1e9, after: 1e9 };
        assert!(!much.tells_apart(0.100, 0.104, 1));
        assert!(much.tells_apart(0.100, 0.106, 1));
    }

    #[test]
    fn parts_of_a_difference_are_not_judged() {
        let many = Evidence { before: 1e6, after: 1e6 };
        assert!(!many.tells_apart(-0.5, 0.5, 1) && !many.tells_apart(0.5, 1.5, 1));
    }

    #[test]
    fn without_samples_nothing_is_known() {
        assert!(!Evidence { before: 0.0, after: 1e6 }.tells_apart(0.0, 1.0, 1));
        assert!(Evidence { before: 1e6, after: 1e6 }.tells_apart(0.0, 1.0, 1));
        assert!(!Evidence { before: 500.0, after: 540.0 }.wholes_differ((1.0, 1.0)));
        assert!(Evidence { before: 5_000.0, after: 5_500.0 }.wholes_differ((1.0, 1.0)));
        // The same count in half the time, and nearly the same rate over ten times as long.
        assert!(Evidence { before: 1_000.0, after: 1_000.0 }.wholes_differ((10.0, 5.0)));
        assert!(!Evidence { before: 1_000.0, after: 10_600.0 }.wholes_differ((10.0, 100.0)));
        assert!(!Evidence { before: 10.0, after: 1e6 }.wholes_differ((0.0, 10.0)));
    }
}

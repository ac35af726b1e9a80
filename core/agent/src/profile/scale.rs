//! Values that stand for more than was seen.

use super::Profile;
use crate::random::Random;

impl Profile {
    /// Multiplies every value, every loss and the period. Each product is rounded up or down at
    /// random, so that it is right on average: a sample that stands for 3⅓ becomes 3 or 4, and 4
    /// in one case of three.
    pub(crate) fn scale(&mut self, factor: f64, random: &mut Random) {
        for sample in self.samples_mut() {
            for value in &mut sample.values {
                *value = round(*value as f64 * factor, random);
            }
        }
        for value in self.losses_mut() {
            *value = round(*value as f64 * factor, random) as u64;
        }
        if let Some((_, period)) = &mut self.meta.period {
            *period = (*period as f64 * factor).round() as u64;
        }
    }
}

/// One of the two whole numbers around `value`, the nearer one more often. Beyond the range it
/// stays at its end.
fn round(value: f64, random: &mut Random) -> i64 {
    let below = value.floor();
    let up = random.fraction() < value - below;
    (below as i64).saturating_add(i64::from(up))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_right_on_average_and_never_off_by_more_than_one() {
        let mut random = Random::new();
        for value in [0.0, 0.1, 3.0 + 1.0 / 3.0, 7.5, 9.999, 1e15 + 0.5] {
            let rounded: Vec<i64> = (0..40_000).map(|_| round(value, &mut random)).collect();
            assert!(rounded.iter().all(|it| (*it as f64 - value).abs() < 1.0), "{value}");
            let mean = rounded.iter().map(|it| *it as f64 - value).sum::<f64>() / 40_000.0;
            // Six standard deviations of the worst case, a half.
            assert!(mean.abs() < 0.016, "{value}: off by {mean}");
        }
    }
}

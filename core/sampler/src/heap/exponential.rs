//! The arithmetic of sampling by bytes, in `no_std`.
//!
//! Samples are the points of a Poisson process along all bytes ever allocated, on average `rate`
//! bytes apart. A block of `n` bytes holds at least one point with probability
//! `p = 1 − exp(−n / rate)`, so each block that was sampled stands for `1 / p` blocks like it. Sums
//! of these are right on average, for blocks of every size.

use core::f64::consts::{LN_2, SQRT_2};

/// Parts of one that counts and bytes are kept in: a large block stands for 1.3 blocks, say.
pub(crate) const PARTS: u64 = 256;

/// Terms of the two series below, which is enough for every bit of a double: 0.1716² to the power
/// of 11 is 1.5e-17, 0.5 to the power of 16 by the factorial of 16 is 7e-19.
const LOGARITHM_TERMS: u32 = 11;
const PROBABILITY_TERMS: u32 = 15;

/// Beyond this many rates a block is sampled for certain, as far as a double can tell: exp(−40) is
/// 4e-18.
const CERTAIN: f64 = 40.0;

/// The next number of a sequence that looks random: SplitMix64 (Steele, Lea and Flood, "Fast
/// splittable pseudorandom number generators", 2014), whose constants these are.
pub(crate) fn next_random(state: u64) -> (u64, u64) {
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (state, mixed ^ mixed >> 31)
}

/// Bytes from one point to the next: exponentially distributed with mean `rate`. A block is sampled
/// if it makes a countdown from here negative. 0, so that every block is, for a rate of 1.
pub(crate) fn distance(rate: u64, random: u64) -> i64 {
    if rate <= 1 {
        return 0;
    }
    // The 53 bits that a double holds, moved from 0…1 without 1 to 0…1 without 0.
    let uniform = (random >> 11).wrapping_add(1) as f64 * (1.0 / (1u64 << 53) as f64);
    (-logarithm(uniform) * rate as f64) as i64
}

/// How many blocks and bytes one sampled block of `size` bytes stands for, in [`PARTS`].
pub(crate) fn weigh(size: u64, rate: u64) -> Weight {
    let scale = PARTS as f64 / probability(size, rate);
    Weight { objects: round(scale), bytes: round(scale * size as f64) }
}

/// See [`weigh`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Weight {
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
}

fn round(value: f64) -> u64 {
    (value + 0.5) as u64
}

/// `1 − exp(−size / rate)`; 1 for a rate of 1, at which every block is sampled.
fn probability(size: u64, rate: u64) -> f64 {
    let rates = size.max(1) as f64 / rate.max(1) as f64;
    if rate <= 1 || rates > CERTAIN {
        return 1.0;
    }
    // Of half the size until the series converges, and then 1 − exp(−2y) = p · (2 − p).
    let mut part = rates;
    let mut halvings = 0u32;
    while part > 0.5 {
        part *= 0.5;
        halvings = halvings.wrapping_add(1);
    }
    // y − y²/2 + y³/6 − …, from its end: y · (1 − y/2 · (1 − y/3 · (…))).
    let mut sum = 1.0;
    for term in (2..=PROBABILITY_TERMS).rev() {
        sum = 1.0 - part / f64::from(term) * sum;
    }
    let mut probability = part * sum;
    for _ in 0..halvings {
        probability *= 2.0 - probability;
    }
    probability
}

/// The natural logarithm of a number above 0 that is not subnormal.
fn logarithm(value: f64) -> f64 {
    const FRACTION: u64 = (1 << 52) - 1;
    let bits = value.to_bits();
    let mut exponent = (bits >> 52 & 0x7ff) as f64 - 1023.0;
    let mut fraction = f64::from_bits(bits & FRACTION | 1023 << 52);
    if fraction > SQRT_2 {
        fraction *= 0.5;
        exponent += 1.0;
    }
    // ln(f) = 2 · artanh((f − 1) / (f + 1)) = 2 · (t + t³/3 + t⁵/5 + …).
    let t = (fraction - 1.0) / (fraction + 1.0);
    let mut sum = 0.0;
    for term in (0..LOGARITHM_TERMS).rev() {
        sum = sum * t * t + 1.0 / (2.0 * f64::from(term) + 1.0);
    }
    2.0 * t * sum + exponent * LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn randoms(count: usize) -> impl Iterator<Item = u64> {
        let mut state = 7;
        std::iter::repeat_with(move || {
            let random;
            (state, random) = next_random(state);
            random
        })
        .take(count)
    }

    #[test]
    fn logarithms_and_probabilities_are_those_of_the_standard_library() {
        for random in randoms(100_000) {
            let value = f64::from_bits(random >> 2 | 1 << 54);
            let (own, expected) = (logarithm(value), value.ln());
            assert!((own - expected).abs() <= expected.abs() * 1e-14 + 1e-15, "{value:e}");
            let (size, rate) = ((random >> (random % 60)).max(1), (random >> 20 & 0xf_ffff) + 2);
            let expected = -(-(size as f64) / rate as f64).exp_m1();
            let own = probability(size, rate);
            assert!((own - expected).abs() <= expected * 1e-13, "{size} {rate}");
        }
    }

    #[test]
    fn distances_have_the_mean_and_the_spread_of_an_exponential_distribution() {
        let (rate, count) = (512 * 1024, 1_000_000);
        let distances = randoms(count).map(|random| distance(rate, random) as f64);
        let (mut sum, mut squares, mut beyond) = (0.0, 0.0, 0);
        for distance in distances {
            sum += distance;
            squares += distance * distance;
            beyond += usize::from(distance > 3.0 * rate as f64);
        }
        let mean = sum / count as f64;
        let deviation = (squares / count as f64 - mean * mean).sqrt();
        assert!((mean / rate as f64 - 1.0).abs() < 0.005, "{mean}");
        assert!((deviation / rate as f64 - 1.0).abs() < 0.005, "{deviation}");
        // exp(-3) of them.
        assert!((beyond as f64 / count as f64 - 0.0498).abs() < 0.001, "{beyond}");
    }

    #[test]
    fn weights_add_up_to_what_was_allocated_whatever_the_sizes() {
        let rate = 10_000;
        for size in [1u64, 16, 500, 9_000, 10_000, 60_000, 1_000_000] {
            let count = 40_000_000 / size.max(200);
            let mut random = randoms(usize::MAX);
            let mut left = distance(rate, random.next().unwrap());
            let (mut objects, mut bytes) = (0, 0);
            for _ in 0..count {
                left -= size as i64;
                if left < 0 {
                    let weight = weigh(size, rate);
                    objects += weight.objects;
                    bytes += weight.bytes;
                    left = distance(rate, random.next().unwrap());
                }
            }
            // Samples are some count · p, and their number's spread is the root of that.
            let samples = count as f64 * probability(size, rate);
            let noise = 4.0 / samples.sqrt();
            let ratio = objects as f64 / (PARTS * count) as f64;
            assert!((ratio - 1.0).abs() < noise, "{size}: {ratio}, {samples} samples");
            assert!((bytes as f64 / objects as f64 / size as f64 - 1.0).abs() < 0.01, "{size}");
        }
    }

    #[test]
    fn a_rate_of_one_takes_every_block_as_what_it_is() {
        assert!(randoms(100).all(|random| distance(1, random) == 0));
        assert_eq!(weigh(1, 1), Weight { objects: PARTS, bytes: PARTS });
        assert_eq!(weigh(1000, 1), Weight { objects: PARTS, bytes: 1000 * PARTS });
    }

    #[test]
    fn huge_blocks_count_once() {
        let size = 1 << 45;
        assert_eq!(weigh(size, 512 * 1024), Weight { objects: PARTS, bytes: size * PARTS });
        assert_eq!(distance(u64::MAX, 0), i64::MAX, "as far as a countdown goes");
    }
}

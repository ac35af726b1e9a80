//! Random numbers that no secret depends on.

use std::hash::{BuildHasher, Hasher, RandomState};

/// SplitMix64, the generator of Steele, Lea and Flood (OOPSLA 2014).
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// Starts from a seed that differs in every process and for every call.
    pub(crate) fn new() -> Self {
        // The standard library's keys for hash maps: random bits without a dependency. They are
        // drawn once a thread and then counted up, so a forked child could get its parent's: the
        // process id and the time tell them apart.
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u32(std::process::id());
        hasher.write_u64(sondage_sampler::ticks());
        Self { state: hasher.finish() }
    }

    /// The numbers of this seed, always the same.
    #[cfg(test)]
    pub(crate) fn from_seed(state: u64) -> Self {
        Self { state }
    }

    /// 64 random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to below 1.
    pub(crate) fn fraction(&mut self) -> f64 {
        // 53 bits: every value is exact in an f64, and below 1.
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
}

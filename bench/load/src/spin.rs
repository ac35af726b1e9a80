//! 64 functions that only use the processor, told apart by name: thread `n` runs `spin_n`.

use std::hint::black_box;

/// Uses the processor for `rounds` multiplications in function `index`.
pub fn spin(index: usize, rounds: u64) -> u64 {
    SPINS[index % SPINS.len()](rounds)
}

/// The number in the name of a `spin_n` function, whatever else a symbol carries around it.
pub fn index_in(name: &str) -> Option<usize> {
    let at = name.find("spin_")?;
    name.get(at + 5..at + 7)?.parse().ok()
}

macro_rules! spins {
    ($($name:ident $factor:literal)*) => {
        $(
            #[inline(never)]
            fn $name(rounds: u64) -> u64 {
                (0..rounds).fold(rounds, |sum, round| {
                    black_box(sum.wrapping_mul(31 + 2 * $factor).wrapping_add(round))
                })
            }
        )*
        static SPINS: [fn(u64) -> u64; 64] = [$($name),*];
    };
}

spins! {
    spin_00 0 spin_01 1 spin_02 2 spin_03 3
    spin_04 4 spin_05 5 spin_06 6 spin_07 7
    spin_08 8 spin_09 9 spin_10 10 spin_11 11
    spin_12 12 spin_13 13 spin_14 14 spin_15 15
    spin_16 16 spin_17 17 spin_18 18 spin_19 19
    spin_20 20 spin_21 21 spin_22 22 spin_23 23
    spin_24 24 spin_25 25 spin_26 26 spin_27 27
    spin_28 28 spin_29 29 spin_30 30 spin_31 31
    spin_32 32 spin_33 33 spin_34 34 spin_35 35
    spin_36 36 spin_37 37 spin_38 38 spin_39 39
    spin_40 40 spin_41 41 spin_42 42 spin_43 43
    spin_44 44 spin_45 45 spin_46 46 spin_47 47
    spin_48 48 spin_49 49 spin_50 50 spin_51 51
    spin_52 52 spin_53 53 spin_54 54 spin_55 55
    spin_56 56 spin_57 57 spin_58 58 spin_59 59
    spin_60 60 spin_61 61 spin_62 62 spin_63 63
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_s_function_is_found_in_every_way_to_write_a_symbol() {
        for name in ["bench_load::spin::spin_07", "_ZN10bench_load4spin7spin_0717h0123456789E"] {
            assert_eq!(index_in(name), Some(7), "{name}");
        }
        assert_eq!(index_in("bench_load::spin::spin"), None);
    }
}

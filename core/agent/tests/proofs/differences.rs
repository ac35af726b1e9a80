//! Profiles of the same work differ by chance only, and one function that became slower is found.

use crate::child::{PATIENCE, full, isolated, size};
use crate::shares::rounds;
use crate::{sys, workload};
use sondage::Agent;
use sondage::profile::Profile;
use sondage::profile::diff::{Diff, Options};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// A function whose cost is its argument.
type Part = fn(u64) -> u64;

/// Defines functions that are alike, each with a constant of its own, and lists them.
macro_rules! parts {
    ($($name:ident $weight:literal $constant:literal;)*) => {
        $(
            #[inline(never)]
            fn $name(n: u64) -> u64 {
                rounds(n, $constant)
            }
        )*

        /// Each function with its part of the work, in percent.
        const PARTS: &[(&str, u64, Part)] = &[$((stringify!($name), $weight, $name),)*];
    };
}

parts! {
    part_a 20 0x5851_f42d_4c95_7f2d;
    part_b 15 0x9e37_79b9_7f4a_7c15;
    part_c 12 0xbf58_476d_1ce4_e5b9;
    part_d 10 0x94d0_49bb_1331_11eb;
    part_e 8 0xd6e8_feb8_6659_fd93;
    part_f 8 0xa076_1d64_78bd_642f;
    part_g 7 0xe703_7ed1_a0b4_28db;
    part_h 6 0x8ebc_6af0_9c88_c6e3;
    part_i 5 0x5899_65cc_7537_4cc3;
    part_j 4 0x1d8e_4e27_c47d_124f;
    part_k 3 0xeb44_acca_b455_d165;
    part_l 2 0xc2b2_ae3d_27d4_eb4f;
}

/// The function that becomes slower.
const SLOWED: &str = "part_d";

/// CPU time of one profile, of two threads together: 2,500 samples at the kernel's tick.
const CPU: Duration = Duration::from_secs(10);

/// Does the work until the process has used the time. `SLOWED` costs `more` percent of the whole on top.
fn work(time: Duration, more: u64) {
    let stop = AtomicBool::new(false);
    let end = sys::process_cpu() + time;
    std::thread::scope(|scope| {
        for thread in 1..=2_u32 {
            let stop = &stop;
            scope.spawn(move || {
                let mut random = thread;
                while !stop.load(Relaxed) {
                    for (name, weight, part) in PARTS {
                        // Of random length: a constant one could run in step with the timers.
                        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        let weight = weight + if *name == SLOWED { more } else { 0 };
                        black_box(part(weight * u64::from(500 + (random >> 8) % 3_000)));
                    }
                }
            });
        }
        while sys::process_cpu() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        stop.store(true, Relaxed);
    });
}

fn profile(agent: &Agent, more: u64) -> Arc<Profile> {
    work(size(CPU / 3, CPU), more);
    agent.flush().expect("the agent answers")
}

/// Pairs of profiles of the work, the later one with `more` of the slowed function.
fn pairs(more: u64) -> Vec<Diff> {
    let agent = workload::start(250);
    // What threads and tables cost at first is in no pair.
    profile(&agent, 0);
    let pairs = (0..size(2, 40)).map(|_| {
        let (before, after) = (profile(&agent, 0), profile(&agent, more));
        Diff::new(&before, &after, &Options::default()).unwrap()
    });
    pairs.collect()
}

fn changed(diff: &Diff) -> Vec<&str> {
    diff.changed().map(|function| function.name.rsplit(':').next().unwrap_or_default()).collect()
}

#[test]
fn nothing_is_called_changed_between_profiles_of_the_same_work() {
    isolated(PATIENCE, || {
        let pairs = pairs(0);
        let quiet = pairs.iter().filter(|diff| changed(diff).is_empty()).count();
        println!("{quiet} of {} pairs of the same work show no change", pairs.len());
        // One of a few pairs may be the one of twenty.
        let allowed = if full() { pairs.len() / 20 } else { 1 };
        let seen: Vec<_> = pairs.iter().map(changed).collect();
        assert!(pairs.len() - quiet <= allowed, "{seen:?}");
    });
}

#[test]
fn a_function_that_became_slower_is_found() {
    isolated(PATIENCE, || {
        // Short profiles have a third of the samples, so that it takes more to tell.
        let more = size(25, 10);
        let pairs = pairs(more);
        let found = pairs.iter().filter(|diff| {
            diff.changed().any(|function| {
                // What it does is inlined into it, and counts as its own to nobody but the compiler.
                let total = function.total;
                function.name.ends_with(SLOWED) && total.is_significant && total.share > 0.0
            })
        });
        let found = found.count();
        println!("{found} of {} pairs show the function slowed by {more} %", pairs.len());
        let allowed = if full() { pairs.len() / 20 } else { 0 };
        let seen: Vec<_> = pairs.iter().map(changed).collect();
        assert!(pairs.len() - found <= allowed, "{seen:?}");
    });
}

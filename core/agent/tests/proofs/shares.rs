//! Measured shares of CPU time against known ones.

use crate::child::{PATIENCE, isolated, size};
use crate::{sys, workload};
use sondage::profile::Profile;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A function whose cost is its argument.
type Part = fn(u64) -> u64;

/// Parts of each thread's time; the names are what the profile must show.
const PARTS: [(&str, u64, Part); 3] =
    [("first_part", 6, first_part), ("second_part", 3, second_part), ("third_part", 1, third_part)];

/// One multiplication with a large constant after the other: every part takes the same time for
/// each of its `n` rounds, so that rounds tell the CPU time without asking the kernel. A system
/// call between the parts would be where a busy kernel likes to switch threads, and the ticks,
/// which find the threads that run, would then favour long parts.
#[inline(always)]
pub fn rounds(n: u64, constant: u64) -> u64 {
    (0..n).fold(1, |a, i| black_box(a.wrapping_mul(constant).wrapping_add(i)))
}

#[inline(never)]
fn first_part(n: u64) -> u64 {
    rounds(n, 0x5851_f42d_4c95_7f2d)
}

#[inline(never)]
fn second_part(n: u64) -> u64 {
    rounds(n, 0x9e37_79b9_7f4a_7c15)
}

#[inline(never)]
fn third_part(n: u64) -> u64 {
    rounds(n, 0xbf58_476d_1ce4_e5b9)
}

/// What one configuration has shown.
#[derive(Debug)]
struct Measured {
    /// The largest difference between a part's share of the samples and of the CPU time.
    error: f64,
    /// Twice the standard deviation that as many samples give by chance.
    noise: f64,
    /// CPU time without a sample, as a share, before reconciliation.
    unsampled: f64,
    samples: u64,
}

/// Runs the parts on `threads` threads until the process has used `time`, and returns the rounds
/// of each part.
fn work(threads: usize, time: Duration) -> [u64; PARTS.len()] {
    let truth: [AtomicU64; PARTS.len()] = std::array::from_fn(|_| AtomicU64::new(0));
    let stop = AtomicBool::new(false);
    let end = sys::process_cpu() + time;
    std::thread::scope(|scope| {
        for thread in 1..=threads {
            let (truth, stop) = (&truth, &stop);
            scope.spawn(move || {
                let mut random = u32::try_from(thread).unwrap();
                while !stop.load(Relaxed) {
                    for ((_, share, part), truth) in PARTS.iter().zip(truth) {
                        // Shorter than a period and of random length: a constant one could run
                        // in step with the timers.
                        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        let rounds = share * u64::from(5_000 + (random >> 8) % 30_000);
                        black_box(part(rounds));
                        truth.fetch_add(rounds, Relaxed);
                    }
                }
            });
        }
        while sys::process_cpu() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        stop.store(true, Relaxed);
    });
    truth.map(AtomicU64::into_inner)
}

/// CPU time that a profile gives to functions of a name.
pub fn attributed(profile: &Profile, name: &str) -> i64 {
    let names = |location: usize| {
        let lines = profile.locations()[location].lines.iter();
        lines.map(|line| profile.text(profile.functions()[line.function.index()].name))
    };
    let has = |sample: &&sondage::profile::Sample| {
        let mut frames = profile.frames(sample.stack).iter();
        frames.any(|frame| names(frame.index()).any(|n| n.ends_with(name)))
    };
    profile.samples().iter().filter(has).map(|sample| sample.values[1]).sum()
}

fn measure(hz: u32, threads: usize, time: Duration) -> Measured {
    let agent = workload::start(hz);
    let truth = work(threads, time);
    let profile = agent.flush().expect("the agent answers");
    let stats = agent.stats();
    let found = PARTS.map(|(name, ..)| attributed(&profile, name) as f64);
    let (all_found, all) = (found.iter().sum::<f64>(), truth.iter().sum::<u64>() as f64);
    // Samples that stand for several periods are as noisy as that much fewer of them.
    let period = stats.interval.as_nanos() as f64;
    let samples = (stats.samples as f64).powi(2) * period / (stats.sampled_cpu as f64).max(1.0);
    let shares = found.iter().zip(truth).map(|(f, t)| (f / all_found, t as f64 / all));
    let error = shares.clone().map(|(found, truth)| (found - truth).abs()).fold(0.0, f64::max);
    let deviation = |truth: f64| (truth * (1.0 - truth) / samples).sqrt();
    let noise = shares.map(|(_, truth)| 2.0 * deviation(truth)).fold(0.0, f64::max);
    let host = stats.host_cpu as f64;
    let unsampled = (host - stats.sampled_cpu as f64) / host;
    Measured { error, noise, unsampled, samples: stats.samples }
}

#[test]
fn threads_that_live_shorter_than_a_period_are_sampled_too() {
    isolated(PATIENCE, || {
        let agent = workload::start(100);
        let threads = size(300, 3_000);
        let cpu: Duration = (0..threads)
            .map(|_| {
                let short = std::thread::spawn(|| {
                    sondage::register_thread();
                    workload::burn(Duration::from_millis(6));
                    sys::thread_cpu()
                });
                short.join().unwrap()
            })
            .sum();
        let stats = workload::flushed(&agent, 1);
        let sampled = Duration::from_nanos(stats.sampled_cpu);
        println!(
            "{threads} threads used {cpu:?}, {sampled:?} of it sampled, {} samples",
            stats.samples
        );
        // What falls after a thread's last tick is lost: with 250 ticks a second, a third here, and
        // most of it where other processes leave each thread less than a tick at a time.
        assert!(sampled > cpu / size(12, 3), "{sampled:?} of {cpu:?}");
        assert!(sampled < cpu * 3 / 2, "{sampled:?} of {cpu:?}");
    });
}

/// Measures at both rates, prints what came out, and checks it.
fn check(threads: usize, published: Limits) {
    println!("threads    Hz  samples  error, points  noise, points  unsampled, %");
    // Short runs have few samples, and what a thread used since its last tick weighs more.
    let limits = size(Limits { seconds: 4.0, error: 5.0, unsampled: 100.0 }, published);
    for hz in [100, 1000] {
        let measured = measure(hz, threads, Duration::from_secs_f64(limits.seconds));
        let Measured { error, noise, unsampled, samples } = measured;
        let [error, noise, unsampled] = [error, noise, unsampled].map(|share| share * 100.0);
        println!("{threads:>7} {hz:>5} {samples:>8} {error:>14.2} {noise:>14.2} {unsampled:>13.2}");
        let few = (limits.seconds * f64::from(hz.min(250)) / 4.0) as u64;
        assert!(samples >= few, "{samples} samples, {few} needed");
        assert!(error <= limits.error + noise, "{error} points");
        assert!((-5.0..=limits.unsampled).contains(&unsampled), "{unsampled} %");
    }
}

/// How long to measure, in seconds of CPU time, and what is accepted, in points and percent.
#[derive(Clone, Copy, Debug)]
struct Limits {
    seconds: f64,
    error: f64,
    unsampled: f64,
}

#[test]
fn the_shares_of_one_thread_s_functions_are_right_and_little_is_unsampled() {
    isolated(PATIENCE, || check(1, Limits { seconds: 40.0, error: 2.0, unsampled: 2.0 }));
}

#[test]
fn the_shares_of_eight_threads_functions_are_right_and_little_is_unsampled() {
    isolated(PATIENCE, || check(8, Limits { seconds: 80.0, error: 2.0, unsampled: 2.0 }));
}

#[test]
fn the_shares_of_sixty_four_threads_functions_are_right_and_little_is_unsampled() {
    // On two processors that is 42 seconds at each rate.
    isolated(PATIENCE, || check(64, Limits { seconds: 84.0, error: 2.0, unsampled: 5.0 }));
}

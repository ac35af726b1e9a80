//! The scenarios. Each returns its figures: times in nanoseconds, memory in kB.

use crate::load::{self, Kind, Load};
use crate::pprof::{self, Stack};
use crate::signal::ProfilingSignal;
use crate::{Profiler, Settings, chain, clock, memory as resident, spin};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Profiles are uploaded this often where a scenario is not about uploads.
const INTERVAL: Duration = Duration::from_secs(10);

/// Signals in a row: what the smallest buffer of anyone holds, with room to spare.
const BATCH: u32 = 100;

/// Time for buffers to be drained.
const PAUSE: Duration = Duration::from_millis(120);

fn nanos(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

fn stacks(profiles: &[Vec<u8>]) -> Vec<Stack> {
    profiles.iter().flat_map(|profile| pprof::read(profile)).collect()
}

fn kind(settings: &Settings) -> Kind {
    let depth = settings.number("depth", 24);
    match settings.number("kind", 0) {
        0 => Kind::Busy,
        1 => Kind::Bursty,
        _ => Kind::Deep(depth),
    }
}

/// The profiles of a load that runs for so many seconds, unless the settings say otherwise.
fn profiles_of<P: Profiler>(load: &Load, settings: &Settings, seconds: f64) -> Vec<Vec<u8>> {
    let profiler = P::start(settings.number("hz", 100), INTERVAL);
    std::thread::sleep(Duration::from_millis(300));
    load.start();
    std::thread::sleep(settings.seconds("seconds", seconds));
    load.stop();
    profiler.stop()
}

/// CPU time by thread as the profile tells it and as the threads' clocks tell it. `cpu` counts
/// only samples of the load's functions: not what a profiler adds to make sums agree.
pub fn accuracy<P: Profiler>(settings: &Settings) -> Value {
    let load = Load::gather(settings.number("threads", 8), kind(settings));
    let profiles = profiles_of::<P>(&load, settings, 5.0);
    let truth: Vec<u64> = load.dismiss().iter().map(|account| nanos(account.cpu)).collect();
    let mut told = vec![0i64; truth.len()];
    let mut samples = 0;
    for stack in stacks(&profiles) {
        let index = stack.frames.iter().find_map(|name| spin::index_in(name));
        if let Some(cpu) = index.and_then(|index| told.get_mut(index)) {
            *cpu += stack.cpu;
            samples += stack.samples;
        }
    }
    json!({ "truth": truth, "told": told, "samples": samples })
}

/// CPU time that a profiler spends outside of the threads it samples: in its own threads, and in
/// the thread that asks for the profile, over one interval. An interval before warms it up. Eight
/// threads send themselves 25 signals a second: as many samples as two busy processors make at
/// 100 Hz, whatever else this machine does. With `quiet=1` they only sleep.
pub fn background<P: Profiler>(settings: &Settings) -> Value {
    let interval = settings.seconds("interval", 10.0);
    let kind = match settings.number("quiet", 0) {
        0 => Kind::Signals(settings.number("depth", 24)),
        _ => Kind::Quiet,
    };
    let load = Load::gather(settings.number("threads", 8), kind);
    let mut profiler = P::start(1, interval);
    std::thread::sleep(Duration::from_millis(300));
    load.start();
    profiler.interval(interval);
    let before = load::cpu_elsewhere();
    let (profiles, asking) = profiler.interval(interval);
    let background = load::cpu_elsewhere().saturating_sub(before) + asking;
    load.stop();
    profiler.stop();
    load.dismiss();
    let stacks = stacks(&profiles);
    let samples: i64 = stacks.iter().map(|stack| stack.samples).sum();
    let bytes: usize = profiles.iter().map(Vec::len).sum();
    json!({ "background": nanos(background), "samples": samples, "stacks": stacks.len(), "bytes": bytes })
}

/// A fixed amount of work: the process' CPU time for it, and with starting and stopping.
pub fn fixed<P: Profiler>(settings: &Settings) -> Value {
    let kind = Kind::Fixed(settings.number("depth", 24), settings.number("rounds", 60_000));
    let load = Load::gather(settings.number("threads", 8), kind);
    let begin = clock::process_cpu();
    let profiler = P::start(settings.number("hz", 100), INTERVAL);
    std::thread::sleep(Duration::from_millis(300));
    let (before, start) = (clock::process_cpu(), Instant::now());
    load.start();
    load.finish();
    let (wall, cpu) = (start.elapsed(), clock::process_cpu() - before);
    let mut profiler = profiler;
    if settings.number("accounts", 0) == 1 {
        profiler.interval(Duration::ZERO);
    }
    let accounts = profiler.accounts();
    profiler.stop();
    let whole = clock::process_cpu() - begin;
    load.dismiss();
    json!({ "wall": nanos(wall), "cpu": nanos(cpu), "whole": nanos(whole), "accounts": accounts })
}

/// CPU time to set a label and to remove it again.
pub fn labels<P: Profiler>(settings: &Settings) -> Value {
    let profiler = P::start(settings.number("hz", 100), INTERVAL);
    let rounds = settings.number("rounds", 100);
    if !profiler.change_labels(10) {
        return Value::Null;
    }
    let times: Vec<f64> = (0..20)
        .map(|_| {
            let before = clock::thread_cpu();
            profiler.change_labels(rounds);
            nanos(clock::thread_cpu() - before) as f64 / f64::from(rounds)
        })
        .collect();
    profiler.stop();
    json!({ "times": times })
}

/// Resident memory before the profiler starts and under load.
pub fn memory<P: Profiler>(settings: &Settings) -> Value {
    let load =
        Load::gather(settings.number("threads", 8), Kind::Deep(settings.number("depth", 24)));
    std::thread::sleep(Duration::from_millis(100));
    resident::reset_peak();
    let before = resident::resident().now;
    let interval = settings.seconds("interval", 10.0);
    let mut profiler = P::start(settings.number("hz", 100), interval);
    load.start();
    profiler.report(interval);
    std::thread::sleep(Duration::from_secs(2));
    let after = resident::resident();
    load.stop();
    profiler.stop();
    load.dismiss();
    json!({ "before": before, "after": after.now, "peak": after.peak })
}

/// The size of a profile of given stacks, each taken a number of times.
pub fn payload<P: Profiler>(settings: &Settings) -> Value {
    let (distinct, repeat) = (settings.number("stacks", 250), settings.number("repeat", 8));
    let depth = settings.number("depth", 24);
    let mut profiler = P::start(1, INTERVAL);
    std::thread::sleep(Duration::from_millis(300));
    let signal = ProfilingSignal::of_this_thread();
    for count in 0..distinct * repeat {
        let path = u64::from(count % distinct);
        chain::descend(depth, path, &mut || {
            signal.send();
            0
        });
        if count % BATCH == BATCH - 1 {
            std::thread::sleep(PAUSE);
        }
    }
    let _ = profiler.accounts();
    let profiles = match settings.number("wait", 0) {
        0 => profiler.stop(),
        _ => profiler.interval(INTERVAL).0,
    };
    let bytes: usize = profiles.iter().map(Vec::len).sum();
    let plain: usize = profiles.iter().map(|profile| pprof::gunzip(profile).len()).sum();
    let compressed: usize =
        profiles.iter().map(|profile| pprof::gzip(&pprof::gunzip(profile)).len()).sum();
    let stacks = stacks(&profiles);
    let samples: i64 = stacks.iter().map(|stack| stack.samples).sum();
    let depth = stacks.iter().map(|stack| stack.depth).sum::<usize>() / stacks.len().max(1);
    json!({
        "bytes": bytes, "plain": plain, "gz": compressed, "samples": samples,
        "stacks": stacks.len(), "depth": depth,
    })
}

/// Time to deliver a signal and handle it, in a row and one at a time with cold caches, and the
/// same system call without a delivery.
pub fn signal<P: Profiler>(settings: &Settings) -> Value {
    let profiler = P::start(1, INTERVAL);
    std::thread::sleep(Duration::from_millis(300));
    let depth = settings.number("depth", 32);
    let batches = settings.number("batches", 15);
    let signal = ProfilingSignal::of_this_thread();
    let (mut warm, mut cold) = (Vec::new(), Vec::new());
    let mut cache = vec![1u8; 64 << 20];
    // `main`, the runtime's start and this function are 15 frames.
    chain::descend(depth.saturating_sub(15), 5, &mut || {
        in_a_row(&signal, true);
        for _ in 0..batches {
            std::thread::sleep(PAUSE);
            let nothing = in_a_row(&signal, false);
            warm.push(in_a_row(&signal, true) - nothing);
            std::thread::sleep(PAUSE);
            cold.extend(cold_shots(&signal, &mut cache));
        }
        0
    });
    let profiles = profiler.stop();
    let stacks = stacks(&profiles);
    let deepest = stacks.iter().map(|stack| stack.depth).max();
    let samples: i64 = stacks.iter().map(|stack| stack.samples).sum();
    json!({ "warm": warm, "cold": cold, "depth": deepest, "samples": samples })
}

fn in_a_row(signal: &ProfilingSignal, deliver: bool) -> f64 {
    let start = Instant::now();
    for _ in 0..BATCH {
        if deliver { signal.send() } else { signal.send_nothing() }
    }
    start.elapsed().as_nanos() as f64 / f64::from(BATCH)
}

/// Single signals after 64 MiB of other memory were touched, twice what this processor caches: the
/// median of ten, less that of ten without delivery.
fn cold_shots(signal: &ProfilingSignal, cache: &mut [u8]) -> Option<f64> {
    let scale = clock::nanos_per_tick();
    let mut median = |deliver: bool| {
        let mut times: Vec<u64> = (0..BATCH / 10)
            .map(|_| {
                cache.iter_mut().step_by(64).for_each(|byte| *byte = byte.wrapping_add(1));
                let start = clock::ticks();
                if deliver {
                    signal.send()
                } else {
                    signal.send_nothing()
                }
                clock::ticks() - start
            })
            .collect();
        times.sort_unstable();
        times.get(times.len() / 2).copied()
    };
    let nothing = median(false)?;
    Some((median(true)? as f64 - nothing as f64) * scale)
}

/// Whether it lives through panics in every thread, and what it saw of their CPU time.
pub fn survive<P: Profiler>(settings: &Settings) -> Value {
    let load = Load::gather(settings.number("threads", 8), Kind::Panics);
    let profiles = profiles_of::<P>(&load, settings, 10.0);
    let truth: u64 = load.dismiss().iter().map(|account| nanos(account.cpu)).sum();
    let panics = |stack: &&Stack| stack.frames.iter().any(|name| name.contains("load::panics"));
    let stacks = stacks(&profiles);
    let placed: i64 = stacks.iter().filter(panics).map(|stack| stack.cpu).sum();
    // `[unsampled]` and its like stand alone; `[truncated]` is the root of a sampled stack.
    let sampled = |stack: &&Stack| stack.frames.len() > 1;
    let told: i64 = stacks.iter().filter(sampled).map(|stack| stack.cpu).sum();
    json!({ "truth": truth, "told": told, "placed": placed })
}

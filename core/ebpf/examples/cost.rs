//! Prints what the eBPF program costs on this machine: its size, the time to load it, and the
//! time of a sample and of an interrupt that finds another process, at two rates.
//!
//! `cargo run -p sondage-ebpf --example cost`, as root: it switches on the kernel's statistics of
//! BPF programs while it runs.

#![allow(clippy::unwrap_used, reason = "the helpers it shares with the tests")]

#[path = "../tests/it/own_modules.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod own_modules;
#[path = "../tests/it/tower.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod tower;

use aya::sys::{Stats, enable_stats};
use own_modules::{entries, own_modules};
use sondage_ebpf::{Engine, Error, Options};
use sondage_sampler::{End, RawSample};
use std::num::NonZeroU32;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tower::{Tower, Work};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _statistics = enable_stats(Stats::RunTime)?;
    for hertz in [99, 999].into_iter().filter_map(NonZeroU32::new) {
        let other = Options { process: u32::MAX, hertz, ..Options::own_process() };
        let (missed, _) = measure(&other, tower::burn)?;
        println!("{hertz} Hz: another process {:.0} ns a run", missed.nanos_per_run());
        let own = Options { hertz, ..Options::own_process() };
        let works = [tower::burn as Work, tower::churn, tower::read_zeros];
        for (name, work) in ["compute", "allocate", "system calls"].into_iter().zip(works) {
            for _ in 0..3 {
                let (run, start) = measure(&own, work)?;
                run.print(name, missed.nanos_per_run());
                println!("        load {} ms", start.as_millis());
            }
        }
    }
    Ok(())
}

#[derive(Default)]
struct Run {
    samples: u64,
    complete: u64,
    frames: u64,
    runs: u64,
    nanos: f64,
}

impl Run {
    fn nanos_per_run(&self) -> f64 {
        self.nanos / self.runs.max(1) as f64
    }

    fn print(&self, name: &str, missed: f64) {
        let samples = self.samples.max(1) as f64;
        let others = self.runs.saturating_sub(self.samples) as f64;
        let each = (self.nanos - others * missed) / samples;
        let frames = self.frames as f64 / samples;
        println!(
            "    {name}: {} samples, {:.2} % complete, {frames:.1} frames, {each:.0} ns a sample, \
             {:.0} ns a frame",
            self.samples,
            100.0 * self.complete as f64 / samples,
            each / frames,
        );
    }
}

/// Samples two threads for five seconds.
fn measure(options: &Options, work: Work) -> Result<(Run, Duration), Error> {
    let _towers = [Tower::of(work), Tower::of(work)];
    let modules = own_modules();
    let begin = Instant::now();
    let mut engine = Engine::start(options, entries(&modules))?;
    let start = begin.elapsed();
    let mut run = Run::default();
    for _ in 0..50 {
        sleep(Duration::from_millis(100));
        engine.drain(|_, words| {
            let Some((sample, _)) = RawSample::read(words) else { return };
            run.samples += 1;
            run.complete += u64::from(sample.end == End::Root);
            run.frames += sample.frames.len() as u64;
        });
    }
    let footprint = engine.footprint()?;
    run.runs = footprint.runs;
    run.nanos = footprint.run_time.as_nanos() as f64;
    if run.samples == 0 {
        println!("{footprint:?}");
    }
    Ok((run, start))
}

//! Stacks of Go programs, seen from outside.

use crate::gate;
use crate::go_program::{Build, GoProgram, has_go};
use crate::other_process::{OtherModule, entries, modules_of, names};
use sondage_ebpf::{Engine, Options};
use sondage_sampler::{End, RawSample};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::num::NonZeroU32;
use std::thread::sleep;
use std::time::{Duration, Instant};

const PLAIN: Build = Build { name: "plain", cgo: false, flags: &[] };
const STRIPPED: Build =
    Build { name: "stripped", cgo: false, flags: &["-buildmode=pie", "-ldflags=-s -w"] };
const WITH_C: Build = Build { name: "cgo", cgo: true, flags: &[] };

struct Sample {
    end: End,
    frames: Vec<u64>,
}

impl Sample {
    /// Addresses in the instructions that ran and in the calls.
    fn inside(&self) -> impl Iterator<Item = u64> {
        self.frames.iter().enumerate().map(|(at, frame)| if at == 0 { *frame } else { frame - 1 })
    }
}

/// Stacks that are looked at, and far more time than they take.
const WANTED: usize = 6000;
const LONGEST: Duration = Duration::from_secs(120);

/// Samples a program, and ends it.
fn sample(program: &mut GoProgram, hertz: u32) -> (Vec<Sample>, Vec<OtherModule>) {
    let modules = modules_of(program.pid);
    let options = Options {
        process: program.pid,
        hertz: NonZeroU32::new(hertz).unwrap(),
        max_depth: 512,
        ring_bytes: 16 << 20,
        ..Options::own_process()
    };
    let mut engine = Engine::start(&options, entries(&modules)).unwrap();
    let mut samples = Vec::new();
    let started = Instant::now();
    while samples.len() < WANTED && started.elapsed() < LONGEST {
        sleep(Duration::from_millis(20));
        engine.drain(|_, words| {
            let (sample, _) = RawSample::read(words).expect("a whole sample");
            samples.push(Sample { end: sample.end, frames: sample.frames.to_vec() });
        });
    }
    program.stop();
    println!("{:?}, {:?}", engine.counters().unwrap(), engine.losses().unwrap());
    (samples, modules)
}

type Names = HashMap<u64, Vec<String>>;

fn all_names(samples: &[Sample], modules: &[OtherModule]) -> Names {
    let addresses: HashSet<u64> = samples.iter().flat_map(Sample::inside).collect();
    let addresses: Vec<u64> = addresses.into_iter().collect();
    names(modules, &addresses)
}

/// The outermost functions of stacks that end with `end`, and how many there are of each.
fn outermost(samples: &[Sample], names: &Names, end: End) -> BTreeMap<String, usize> {
    let mut roots = BTreeMap::new();
    for sample in samples.iter().filter(|sample| sample.end == end) {
        let name = |address: u64| match names.get(&address).and_then(|it| it.last()) {
            Some(name) => name.clone(),
            None => format!("{address:x}"),
        };
        let outer: Vec<String> = sample.inside().map(name).collect();
        if end != End::Root && outer.len() <= 3 {
            *roots.entry(format!("{} frames, {:x?}", outer.len(), sample.frames)).or_insert(0) += 1;
        }
        let outer = outer.iter().rev().take(3).cloned().collect::<Vec<_>>().join(" < ");
        *roots.entry(outer).or_insert(0) += 1;
    }
    roots
}

/// The share of samples in which each function is.
fn shares(samples: &[Sample], names: &Names) -> HashMap<String, f64> {
    let mut shares: HashMap<String, f64> = HashMap::new();
    for sample in samples {
        let mut within: HashSet<&String> = HashSet::new();
        within.extend(sample.inside().filter_map(|it| names.get(&it)).flatten());
        for name in within {
            *shares.entry(name.clone()).or_default() += 1.0 / samples.len() as f64;
        }
    }
    shares
}

/// What came of sampling a program once.
struct Outcome {
    samples: usize,
    complete: usize,
    /// The largest difference from Go's own profile, of functions of the program.
    worst: f64,
}

fn run(build: Build) -> Outcome {
    let mut program = GoProgram::start(build);
    let (samples, modules) = sample(&mut program, 999);
    let names = all_names(&samples, &modules);
    let complete = samples.iter().filter(|it| it.end == End::Root).count();
    println!("{build:?}: {complete} of {} complete", samples.len());
    for end in [End::Depth, End::UnknownCode, End::Unsupported, End::Memory, End::Corrupt] {
        for (outer, count) in outermost(&samples, &names, end) {
            println!("  {end:?} {count} × {outer}");
        }
    }
    let mut roots = BTreeMap::new();
    for (outer, count) in outermost(&samples, &names, End::Root) {
        let root = outer.split(" < ").next().unwrap().to_owned();
        *roots.entry(root).or_insert(0) += count;
    }
    println!("  roots: {roots:?}");
    let found = shares(&samples, &names);
    let mut worst: f64 = 0.0;
    for (name, own) in program.own_shares().into_iter().filter(|it| it.0.starts_with("main.")) {
        let share = found.get(&name).copied().unwrap_or_default();
        if own + share > 0.04 {
            println!("  {name}: {:.1} %, Go says {:.1} %", 100.0 * share, 100.0 * own);
            worst = worst.max((own - share).abs());
        }
    }
    Outcome { samples: samples.len(), complete, worst }
}

fn check(build: Build) -> Outcome {
    let outcome = run(build);
    assert!(outcome.samples >= 5000, "{}", outcome.samples);
    let share = outcome.complete as f64 / outcome.samples as f64;
    assert!(share >= 0.99, "{share}");
    outcome
}

#[test]
fn stacks_of_go_are_complete_and_as_go_itself_says() {
    let test = "stacks_of_go_are_complete_and_as_go_itself_says";
    let Some(_turn) = gate::enter(test).filter(|_| has_go(test)) else { return };
    // Go takes a hundred samples a second, by the kernel's ticks. Where other programs take the
    // processors, both are off by some points.
    let mut worst = f64::INFINITY;
    for _ in 0..3 {
        worst = worst.min(check(PLAIN).worst);
        if worst < 0.05 {
            return;
        }
    }
    assert!(worst < 0.1, "{worst}");
}

#[test]
fn stacks_of_go_that_is_stripped_and_may_lie_anywhere_are_complete() {
    let test = "stacks_of_go_that_is_stripped_and_may_lie_anywhere_are_complete";
    let Some(_turn) = gate::enter(test).filter(|_| has_go(test)) else { return };
    check(STRIPPED);
}

#[test]
fn stacks_of_go_with_c_in_it_are_complete() {
    let test = "stacks_of_go_with_c_in_it_are_complete";
    let Some(_turn) = gate::enter(test).filter(|_| has_go(test)) else { return };
    check(WITH_C);
}

//! Stacks of programs in C++ and Rust, seen from outside: built as their compilers do unless asked
//! otherwise, without frame pointers.

use crate::gate;
use crate::other_process::{entries, modules_of, names};
use sondage_ebpf::{Engine, Options};
use sondage_sampler::{End, RawSample};
use std::collections::BTreeMap;
use std::io::Write;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Stacks that are looked at, and far more time than they take.
const WANTED: usize = 5000;
const LONGEST: Duration = Duration::from_secs(120);

struct Program {
    child: Child,
    path: PathBuf,
}

impl Program {
    /// Builds and starts a source of `tests/native`.
    fn start(source: &str) -> Self {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/native").join(source);
        let name = format!("{}-{}", source.replace('.', "-"), std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let mut compiler = match source.ends_with(".rs") {
            true => Command::new("rustc"),
            false => Command::new("g++"),
        };
        match source.ends_with(".rs") {
            true => compiler.args(["--edition=2024", "-Copt-level=2"]),
            false => compiler.args(["-O2", "-std=c++17", "-pthread"]),
        };
        let output = compiler.arg("-o").arg(&path).arg(&from).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let child = Command::new(&path).spawn().unwrap();
        let program = Self { child, path };
        // Its libraries are mapped before it begins to work.
        sleep(Duration::from_millis(300));
        program
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Whether there is a compiler of C++; where there is none, a line says so that no capture hides.
fn has_cpp(test: &str) -> bool {
    if Command::new("g++").arg("--version").output().is_ok() {
        return true;
    }
    let line = format!("\n*** SKIPPED {test}: there is no `g++`\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    false
}

/// The share of samples whose stack reaches `root`, and prints where the others end.
fn share_complete(source: &str, root: &str) -> f64 {
    let program = Program::start(source);
    let pid = program.child.id();
    let modules = modules_of(pid);
    let options =
        Options { process: pid, hertz: NonZeroU32::new(1999).unwrap(), ..Options::own_process() };
    let mut engine = Engine::start(&options, entries(&modules)).unwrap();
    let mut samples: Vec<(End, Vec<u64>)> = Vec::new();
    let started = Instant::now();
    while samples.len() < WANTED && started.elapsed() < LONGEST {
        sleep(Duration::from_millis(20));
        engine.drain(|_, words| {
            let (sample, _) = RawSample::read(words).expect("a whole sample");
            samples.push((sample.end, sample.frames.to_vec()));
        });
    }
    assert!(samples.len() >= WANTED, "{}", samples.len());
    let mut addresses: Vec<u64> =
        samples.iter().flat_map(|(_, frames)| frames.iter().map(|frame| frame - 1)).collect();
    addresses.sort_unstable();
    addresses.dedup();
    let names = names(&modules, &addresses);
    let name = |frame: &u64| match names.get(&(frame - 1)).and_then(|names| names.last()) {
        Some(name) => name.clone(),
        None => format!("{frame:x}"),
    };
    let mut others: BTreeMap<String, usize> = BTreeMap::new();
    let mut complete = 0;
    for (end, frames) in &samples {
        if *end == End::Root && frames.iter().any(|frame| name(frame).contains(root)) {
            complete += 1;
            continue;
        }
        let last: Vec<String> = frames.iter().rev().take(3).map(name).collect();
        *others.entry(format!("{end:?} after {}", last.join(" < "))).or_default() += 1;
    }
    println!("{source}: {complete} of {} complete; {:?}", samples.len(), engine.footprint());
    others.iter().for_each(|(other, count)| println!("    {count} {other}"));
    complete as f64 / samples.len() as f64
}

#[test]
fn stacks_of_cpp_are_complete() {
    let test = "stacks_of_cpp_are_complete";
    let Some(_turn) = gate::enter(test).filter(|_| has_cpp(test)) else { return };
    let share = share_complete("calm.cpp", "work");
    assert!(share >= 0.99, "{share}");
}

#[test]
fn stacks_of_cpp_that_throws_are_complete() {
    let test = "stacks_of_cpp_that_throws_are_complete";
    let Some(_turn) = gate::enter(test).filter(|_| has_cpp(test)) else { return };
    let share = share_complete("throws.cpp", "main");
    assert!(share >= 0.98, "{share}");
}

#[test]
fn stacks_of_rust_that_panics_are_complete() {
    let Some(_turn) = gate::enter("stacks_of_rust_that_panics_are_complete") else { return };
    let share = share_complete("panics.rs", "main");
    assert!(share >= 0.98, "{share}");
}

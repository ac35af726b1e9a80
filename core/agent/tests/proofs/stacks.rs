//! The walker against framehop, at asynchronous interrupts of real code.
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    reason = "one static probe, written by the one thread that is interrupted"
)]

use crate::child::{PATIENCE, isolated, size};
use crate::oracle::{CodeMap, Frames, Oracle, Stack};
use crate::{sys, workload};
use sondage_sampler::ModuleEntry;
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

type Work = fn(u64) -> u64;

/// What is interrupted, and which code the interrupt must have hit to count for it.
const KINDS: [(&str, Work, &str); 6] = [
    ("malloc", |seed| workload::allocate(seed) as u64, "libc.so"),
    ("formatting", |seed| workload::format(seed) as u64, "it-"),
    ("hashing", workload::hash, "it-"),
    ("libm", |seed| workload::mathematics(seed) as u64, "libm.so"),
    ("vDSO", workload::read_clock, "[vdso]"),
    ("panic", |seed| workload::panic(seed) as u64, "libgcc_s"),
];

#[derive(Debug, Default)]
struct Counts {
    taken: AtomicU64,
    /// Interrupts whose stack has a frame in the code that the kind is about.
    inside: AtomicU64,
    identical: AtomicU64,
    ours_complete: AtomicU64,
    theirs_complete: AtomicU64,
}

struct Mismatch {
    kind: usize,
    ours: Frames,
    theirs: Frames,
}

struct Probe {
    modules: Vec<ModuleEntry<'static>>,
    target: [Vec<std::ops::Range<u64>>; KINDS.len()],
    oracle: Oracle,
    stack: Stack,
    kind: AtomicUsize,
    counts: [Counts; KINDS.len()],
    ours: Frames,
    theirs: Frames,
    /// Filled up to its capacity, which never grows.
    mismatches: Vec<Mismatch>,
}

static PROBE: AtomicPtr<Probe> = AtomicPtr::new(std::ptr::null_mut());

unsafe extern "C" fn compare(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    let Some(probe) = (unsafe { PROBE.load(Relaxed).as_mut() }) else { return };
    let registers = unsafe { sys::interrupted(context) };
    let stack = probe.stack.in_use(registers);
    probe.ours.walk(&probe.modules, registers, &mut stack.clone());
    probe.oracle.walk(registers, &stack, &mut probe.theirs);
    let kind = probe.kind.load(Relaxed);
    let counts = &probe.counts[kind];
    let (ours, theirs) = (&probe.ours, &probe.theirs);
    let hit = |pc: &u64| probe.target[kind].iter().any(|range| range.contains(pc));
    // Unwinding is driven from libgcc but runs elsewhere too; the other kinds are about leaves.
    let depth = if KINDS[kind].0 == "panic" { ours.count } else { 1 };
    counts.inside.fetch_add(u64::from(ours.as_slice()[..depth].iter().any(hit)), Relaxed);
    counts.ours_complete.fetch_add(u64::from(ours.complete), Relaxed);
    counts.theirs_complete.fetch_add(u64::from(theirs.complete), Relaxed);
    if ours.as_slice() == theirs.as_slice() {
        counts.identical.fetch_add(1, Relaxed);
    } else if probe.mismatches.len() < probe.mismatches.capacity() {
        let copy = |f: &Frames| Frames { pcs: f.pcs, ..*f };
        probe.mismatches.push(Mismatch { kind, ours: copy(ours), theirs: copy(theirs) });
    }
    counts.taken.fetch_add(1, Relaxed);
}

/// Interrupts the calling thread a few thousand times a second while it does each kind of work,
/// until each has `each` interrupts in the code it is about.
fn interrupt(probe: &'static Probe, each: u64) {
    let stop = AtomicBool::new(false);
    let victim = unsafe { libc::pthread_self() };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let taken = || probe.counts.iter().map(|c| c.taken.load(Relaxed)).sum::<u64>();
            let mut wait = 0u64;
            while !stop.load(Relaxed) {
                let before = taken();
                unsafe { libc::pthread_kill(victim, libc::SIGUSR1) };
                while taken() == before && !stop.load(Relaxed) {
                    std::thread::sleep(Duration::from_micros(20));
                }
                wait = wait.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                std::thread::sleep(Duration::from_micros(30 + (wait >> 58)));
            }
        });
        for (kind, (_, work, _)) in KINDS.iter().enumerate() {
            let goal = probe.counts[kind].inside.load(Relaxed) + each;
            probe.kind.store(kind, Relaxed);
            let mut seed = 1;
            while probe.counts[kind].inside.load(Relaxed) < goal {
                std::hint::black_box(work(seed));
                seed += 1;
            }
        }
        stop.store(true, Relaxed);
    });
}

fn probe(map: &'static CodeMap, stack: std::ops::Range<u64>) -> Probe {
    let executable = std::env::current_exe().unwrap().display().to_string();
    let target = KINDS.map(|(_, _, name)| {
        let name = if name == "it-" { executable.as_str() } else { name };
        let code = map.code.iter().filter(|code| code.name.contains(name));
        code.map(|code| code.range.clone()).collect()
    });
    Probe {
        modules: map.entries(),
        target,
        oracle: map.oracle(),
        stack: Stack(stack),
        kind: AtomicUsize::new(0),
        counts: std::array::from_fn(|_| Counts::default()),
        ours: Frames::EMPTY,
        theirs: Frames::EMPTY,
        mismatches: Vec::with_capacity(64),
    }
}

/// Runs the comparison on the calling thread and adds its counts to `sum`.
fn measure(map: &'static CodeMap, each: u64, sum: &mut [[u64; 5]; KINDS.len()]) {
    let probe = Box::into_raw(Box::new(probe(map, sys::own_stack())));
    PROBE.store(probe, Relaxed);
    sys::install(libc::SIGUSR1, compare, libc::SA_RESTART);
    interrupt(unsafe { &*probe }, each);
    PROBE.store(std::ptr::null_mut(), Relaxed);
    let probe = unsafe { &*probe };
    for (counts, sum) in probe.counts.iter().zip(sum) {
        let Counts { taken, inside, identical, ours_complete, theirs_complete } = counts;
        let counts = [taken, inside, identical, ours_complete, theirs_complete];
        sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count.load(Relaxed));
    }
    for Mismatch { kind, ours, theirs } in &probe.mismatches {
        println!("differs in {}:", KINDS[*kind].0);
        for (name, frames) in [("ours", ours), ("framehop", theirs)] {
            println!("  {name}, complete: {}", frames.complete);
            frames.as_slice().iter().for_each(|pc| println!("    {}", map.describe(*pc)));
        }
        let in_libgcc = map.find(ours.pcs[0]).is_some_and(|code| code.name.contains("libgcc"));
        assert!(in_libgcc && !ours.complete, "a stack that differs outside of a landing");
    }
}

#[test]
fn stacks_at_asynchronous_interrupts_equal_framehop_s() {
    isolated(PATIENCE, || {
        // Symbols are bound and every library is loaded before the picture is taken.
        KINDS.iter().for_each(|(_, work, _)| _ = std::hint::black_box(work(1)));
        let map: &'static CodeMap = Box::leak(Box::new(CodeMap::of_this_process()));
        let each = size(150, 4_000);
        let mut sum = [[0; 5]; KINDS.len()];
        measure(map, each, &mut sum);
        let sum = std::thread::spawn(move || {
            measure(map, each, &mut sum);
            sum
        });
        let sum = sum.join().unwrap();
        println!(
            "{:>10} {:>7} {:>7} {:>9} {:>9} {:>9}",
            "kind", "taken", "inside", "identical", "complete", "framehop"
        );
        let mut total = [0; 5];
        for ((kind, _, _), row) in KINDS.iter().zip(sum).chain([(&("all", KINDS[0].1, ""), [0; 5])])
        {
            total.iter_mut().zip(row).for_each(|(total, count)| *total += count);
            let [taken, inside, identical, complete, theirs] =
                if *kind == "all" { total } else { row };
            println!("{kind:>10} {taken:>7} {inside:>7} {identical:>9} {complete:>9} {theirs:>9}");
        }
        let [taken, _, identical, complete, _] = total;
        assert!(sum.iter().all(|row| row[1] >= 2 * each));
        // In the last instructions of a landing libgcc has overwritten the slots it saved the
        // caller in: no unwinder can tell it, ours says that the stack ends early. Those are a
        // percent of the panicking samples; nothing else may differ.
        let lost_in_landings = sum[KINDS.len() - 1][0] / 20;
        assert!(identical >= taken - size(lost_in_landings, taken / 1000));
        assert!(complete >= taken - size(lost_in_landings, taken / 200));
    });
}

//! The walker at every instruction of prologues, bodies and epilogues, against a shadow stack.
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    reason = "the running thread's own stack is read"
)]

use crate::child::{PATIENCE, isolated};
use crate::oracle::{CodeMap, Frames, Stack};
use crate::stepper::{is_call, step_through};
use crate::{sys, workload};
use sondage_sampler::{End, MemoryReader, ModuleEntry, Registers};
use std::collections::BTreeMap;

/// Functions of every shape that C compilers give to frames.
const SHAPES: &str = r#"
#include <alloca.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#define SHAPE __attribute__((noinline))
SHAPE static long leaf(long a) { return a * 31 + 7; }
SHAPE long exported_leaf(long a) { return a ^ 0x55; }
SHAPE static long framed(long a) {
    volatile long x[20];
    for (int i = 0; i < 3; i++) x[i] = leaf(a + i);
    return x[0] + x[2];
}
SHAPE static long with_alloca(long n) {
    char *p = alloca(n * 16 + 8);
    memset(p, (int)n, n * 16);
    return leaf(p[3]) + p[8];
}
SHAPE static long realigned(long a) {
    _Alignas(64) volatile char x[192];
    x[a & 127] = (char)a;
    return leaf((long)x & 63) + x[a & 127];
}
SHAPE static long realigned_alloca(long a) {
    _Alignas(64) volatile char x[128];
    volatile char *p = alloca(a * 8 + 16);
    p[a] = 1;
    x[a & 63] = p[a];
    return leaf((long)x & 63) + x[a & 63];
}
SHAPE static long tail(long a) { return framed(a + 1); }
SHAPE static long saves_many(long a, long b, long c, long d) {
    long e = leaf(a), f = leaf(b), g = leaf(c), h = leaf(d), i = leaf(a + b);
    return leaf(e + f) + leaf(g + h) + e * f * g * h * i;
}
SHAPE static long early_return(long a) {
    if (a < 3) return a;
    volatile long x[8];
    x[a & 7] = leaf(a);
    if (a & 1) return x[a & 7];
    return framed(x[a & 7]);
}
SHAPE static long recursive(long n) { return n < 2 ? n : recursive(n - 1) + recursive(n - 2); }
SHAPE static long stack_arguments(long a, long b, long c, long d, long e, long f, long g, long h,
                                  long i) {
    return leaf(a + b + c + d) + e + f + g + h + i;
}
static int order(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
SHAPE static long through_the_c_library(long a) {
    int numbers[6] = {5, (int)a, 1, 9, 2, 8};
    qsort(numbers, 6, sizeof *numbers, order);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    char *block = malloc(100 + a);
    block[0] = (char)numbers[0];
    long sum = strtol("-1234x", 0, 10) + labs(-a) + block[0] + exported_leaf(a);
    free(block);
    return sum;
}
long every_shape(long a) {
    long sum = framed(a) + with_alloca(a) + realigned(a) + realigned_alloca(a) + tail(a);
    sum += saves_many(a, a + 1, a + 2, a + 3) + recursive(5);
    sum += early_return(2) + early_return(5) + early_return(6);
    sum += stack_arguments(a, 2, 3, 4, 5, 6, 7, 8, 9);
    return sum + through_the_c_library(a) + through_the_c_library(a + 1);
}
"#;

/// Compiler options; the shapes differ with each.
const OPTIONS: [&[&str]; 9] = [
    &["-O0"],
    &["-O1"],
    &["-O2"],
    &["-O2", "-fno-omit-frame-pointer"],
    &["-Os"],
    &["-O2", "-fstack-protector-all", "-fstack-clash-protection"],
    &["-O2", "-fcf-protection=full", "-Wl,-z,ibtplt"],
    &["-O2", "-fuse-ld=lld"],
    &["-O2", "-fuse-ld=lld", "-fcf-protection=full", "-Wl,-z,force-ibt"],
];

type Work = fn(u64) -> u64;

/// A call that has not returned: its return address, and where on the stack that lies.
#[derive(Clone, Copy)]
struct Call {
    return_address: u64,
    at: u64,
}

const MAX_CALLS: usize = 128;

/// What the walker must say, kept from calls and the stack pointer alone.
struct Shadow {
    calls: [Call; MAX_CALLS],
    depth: usize,
    before: Option<Registers>,
    /// The frames above the first instruction's function.
    outer: Frames,
}

impl Shadow {
    const fn new() -> Self {
        let none = Call { return_address: 0, at: 0 };
        Self { calls: [none; MAX_CALLS], depth: 0, before: None, outer: Frames::EMPTY }
    }

    fn follow(&mut self, now: Registers, stack: &mut Stack) {
        while self.depth > 0 && self.calls[self.depth - 1].at < now.sp {
            self.depth -= 1;
        }
        if let Some(before) = self.before
            && now.sp == before.sp - 8
            && unsafe { is_call(before.pc) }
            && let Some(return_address) = stack.word(now.sp)
            && (before.pc + 2..before.pc + 10).contains(&return_address)
        {
            self.calls[self.depth] = Call { return_address, at: now.sp };
            self.depth += 1;
        }
        self.before = Some(now);
    }

    /// Frame `index` of the stack, the leaf being 0.
    fn frame(&self, index: usize, pc: u64) -> Option<u64> {
        match index {
            0 => Some(pc),
            i if i <= self.depth => Some(self.calls[self.depth - i].return_address),
            i => self.outer.as_slice().get(i - self.depth).copied(),
        }
    }

    fn len(&self) -> usize {
        self.depth + self.outer.count
    }
}

#[derive(Default)]
struct Outcome {
    exact: u64,
    /// Correct as far as it goes, and said to be incomplete.
    truncated: u64,
    wrong: u64,
    /// Where the last two went wrong; filled up to its capacity.
    faults: Vec<Fault>,
}

/// A walk that does not equal the shadow stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Fault {
    /// The last frame that was right: its caller is what the walk did not find.
    lost_at: u64,
    wrong: bool,
    frames_right: usize,
    frames: usize,
}

/// Steps through `work` and compares the walk with the shadow stack before each instruction.
fn check(modules: &[ModuleEntry<'_>], work: &mut dyn FnMut()) -> Outcome {
    let mut stack = Stack(sys::own_stack());
    let mut outcome = Outcome { faults: Vec::with_capacity(32_768), ..Outcome::default() };
    let mut shadow = Box::new(Shadow::new());
    let mut frames = Box::new(Frames::EMPTY);
    step_through(work, &mut |registers, _| {
        let walked = frames.walk(modules, registers, &mut stack.in_use(registers));
        if shadow.before.is_none() {
            let outer = &mut shadow.outer;
            outer.pcs = frames.pcs;
            outer.count = frames.count;
        }
        shadow.follow(registers, &mut stack);
        let pairs = frames.as_slice().iter().enumerate();
        let agrees = |(i, pc): (usize, &u64)| shadow.frame(i, registers.pc) == Some(*pc);
        let right = pairs.clone().take_while(|(i, pc)| agrees((*i, pc))).count();
        if right == frames.count && right == shadow.len() && frames.complete {
            outcome.exact += 1;
            return;
        }
        let wrong = right < frames.count || walked.end == End::Root;
        outcome.wrong += u64::from(wrong);
        outcome.truncated += u64::from(!wrong);
        if outcome.faults.len() < outcome.faults.capacity() {
            let lost_at = frames.pcs[right.saturating_sub(1)];
            let frames = shadow.len();
            outcome.faults.push(Fault { lost_at, wrong, frames_right: right, frames });
        }
    });
    outcome
}

/// Where a walk may end early, and says so: file and function.
///
/// * `_dl_runtime_resolve` of the loader addresses its frame by a register that only it uses. It
///   runs once for each function of a lazily bound library.
/// * The few instructions that build a frame both realigned and of variable size, the same.
const KNOWN_TO_END_EARLY: [(&str, &str); 2] = [("ld-linux", ""), ("shapes", "realigned_alloca")];

/// Prints an outcome by the functions in which walks were lost. Returns its counts: exact,
/// truncated where that is known, all else.
fn report(name: &str, map: &CodeMap, outcome: &Outcome) -> [u64; 3] {
    let Outcome { exact, truncated, wrong, faults } = outcome;
    println!("{exact:>8} exact {truncated:>6} truncated {wrong:>6} wrong  {name}");
    let mut places: BTreeMap<(bool, String, String), (Fault, u64)> = BTreeMap::new();
    let addresses: Vec<u64> = faults.iter().map(|fault| fault.lost_at).collect();
    for (fault, (file, function)) in faults.iter().zip(map.places(&addresses)) {
        places.entry((fault.wrong, file, function)).or_insert((*fault, 0)).1 += 1;
    }
    let mut known = 0;
    for ((wrong, file, function), (fault, times)) in &places {
        let is_known = |(f, name): &(&str, &str)| file.starts_with(f) && function == name;
        let accepted = !wrong && KNOWN_TO_END_EARLY.iter().any(is_known);
        known += if accepted { *times } else { 0 };
        let Fault { frames_right, frames, .. } = fault;
        let example = map.describe(fault.lost_at);
        let kind = if *wrong { "WRONG" } else { "truncated" };
        println!("    {times} × {kind}, first at {example}: {frames_right} of {frames} frames");
    }
    [*exact, known, truncated + wrong - known]
}

#[test]
fn every_instruction_of_prologues_and_epilogues_gives_the_callers_of_a_shadow_stack() {
    isolated(PATIENCE, || {
        let mut total = [0; 3];
        for flags in OPTIONS {
            let path = workload::compile("shapes", SHAPES, &[flags, &["-Wl,-z,lazy"]].concat());
            let library = workload::Library::open(&path);
            let every_shape = library.function("every_shape");
            let map = CodeMap::of_this_process();
            let outcome = check(&map.entries(), &mut || _ = std::hint::black_box(every_shape(7)));
            let counts = report(&flags.join(" "), &map, &outcome);
            total.iter_mut().zip(counts).for_each(|(total, count)| *total += count);
            let _ = std::fs::remove_file(path);
        }
        let [exact, _, others] = total;
        assert!(exact > 15_000, "{exact} instructions stepped");
        assert_eq!(others, 0, "walks that are wrong, or end early where they should not");
    });
}

#[test]
fn every_instruction_of_rust_s_own_library_gives_the_callers_of_a_shadow_stack() {
    isolated(PATIENCE, || {
        let works: [(&str, Work); 4] = [
            ("malloc", |seed| workload::allocate(seed) as u64),
            ("formatting", |seed| workload::format(seed) as u64),
            ("hashing", workload::hash),
            ("libm", |seed| workload::mathematics(seed) as u64),
        ];
        works.iter().for_each(|(_, work)| _ = std::hint::black_box(work(1)));
        let map = CodeMap::of_this_process();
        let mut total = [0; 3];
        for (name, work) in works {
            let outcome = check(&map.entries(), &mut || _ = std::hint::black_box(work(3)));
            let counts = report(name, &map, &outcome);
            total.iter_mut().zip(counts).for_each(|(total, count)| *total += count);
        }
        assert!(total[0] > 20_000, "{} instructions stepped", total[0]);
        assert_eq!(total[1..], [0, 0]);
    });
}

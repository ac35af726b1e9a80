//! Both walks over random stacks with random tables: every rule, every end, every edge.

use crate::engine::Engine;
use crate::options::Options;
use crate::replay_tests::{CAPTURE, gate};
use aya::TestRun;
use aya::programs::RawTracePoint;
use aya::programs::RawTracePointRunOptions as RunOptions;
use sondage_sampler::walk::walk;
use sondage_sampler::{End, ModuleEntry, RawSample, Registers, Rule, SelfMemory, Table};

/// A generator of numbers that look random (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }

    fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// Where the invented modules lie. No code is there; it is not needed.
const CODE: u64 = 0x2_0000_0000;
const MODULE: u64 = 0x5_0000;
const MODULES: u64 = 5;

struct Arrays {
    pages: Vec<u32>,
    rows: Vec<u32>,
    rules: Vec<Rule>,
}

/// A table of 3 pages, of which one may be empty and one may point beyond the rows.
fn random_arrays(dice: &mut Dice) -> Arrays {
    let rules = (0..64).map(|_| random_rule(dice)).collect();
    let (mut pages, mut rows) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        pages.push(rows.len() as u32);
        let mut lows: Vec<u32> = (0..dice.below(300)).map(|_| dice.below(1 << 16) as u32).collect();
        lows.push(0);
        lows.sort_unstable();
        lows.dedup();
        // A rule that does not exist, now and then.
        rows.extend(lows.iter().map(|low| low | (dice.below(65) as u32) << 16));
    }
    pages.push(if dice.one_in(4) { u32::MAX } else { rows.len() as u32 });
    if dice.one_in(4) {
        pages[1] = 0;
    }
    Arrays { pages, rows, rules }
}

fn random_rule(dice: &mut Dice) -> Rule {
    let kinds = [1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 0, 0, 7, 7, 5, 5, 9, 9, 4, 6, 200];
    let cfa = kinds[dice.below(kinds.len() as u64) as usize];
    let usual = !dice.one_in(8);
    let any = dice.below(40) as i32 * 8 - 16 + i32::from(dice.one_in(5));
    let offset = if usual { 16 + dice.below(8) as i32 * 16 } else { any };
    let any = dice.below(44) as i16 - 40;
    let fp = if usual { -2 * dice.below(4) as i16 } else { any };
    let ra = match cfa {
        Rule::SP_DEREF => dice.below(4) as i8 - 1,
        _ if dice.one_in(8) => Rule::INTERRUPTED,
        _ => 0,
    };
    Rule { cfa, ra, fp, offset }
}

/// Words of the stack, and of those, how many on each side are never pointed to.
const STACK: usize = 1 << 15;
const MARGIN: usize = 1 << 13;

/// What a stack holds: return addresses and, between them, pointers to a place above.
fn random_stack(dice: &mut Dice, stack: u64) -> Vec<u64> {
    let word = |index: u64| match index % 2 {
        _ if dice.one_in(12) => random_word(dice, stack),
        1 => random_code(dice),
        _ => stack + (index + 2 * dice.below(20)) * 8,
    };
    (0..STACK as u64).map(word).collect()
}

fn random_code(dice: &mut Dice) -> u64 {
    CODE + dice.below(MODULES) * 2 * MODULE + dice.below(MODULE)
}

/// An address of code, of its edges, of the stack, or of nothing.
fn random_word(dice: &mut Dice, stack: u64) -> u64 {
    let inside = dice.below(2 * MARGIN as u64);
    match dice.below(8) {
        0 => random_code(dice),
        1 | 2 => CODE + dice.below(2 * MODULES) * MODULE + dice.below(3) - 1,
        3 | 4 => stack + (MARGIN as u64 + inside) * 8 + u64::from(dice.one_in(8)),
        5 => dice.below(4097),
        _ => [0, 0, 8, 1 << 47, u64::MAX, 0xffff_8880_0000_0000][dice.below(6) as usize],
    }
}

fn program(engine: &mut Engine) -> &mut RawTracePoint {
    engine.loaded().0.program_mut("walk_given").unwrap().try_into().unwrap()
}

#[test]
fn both_walks_agree_on_random_stacks_and_tables() {
    let Some(_turn) = gate::enter("both_walks_agree_on_random_stacks_and_tables") else { return };
    let mut ends = [0usize; 6];
    let mut longest = 0;
    for seed in 0..20 {
        let dice = &mut Dice(seed);
        let arrays: Vec<Arrays> = (0..MODULES).map(|_| random_arrays(dice)).collect();
        let modules: Vec<ModuleEntry<'_>> =
            (0..MODULES).zip(&arrays).map(|(index, arrays)| module(index, arrays)).collect();
        let options = Options { max_depth: 16, ..Options::own_process() };
        let mut engine = Engine::prepare(CAPTURE, &options, modules.iter().copied()).unwrap();
        program(&mut engine).load().unwrap();
        let mut stack = vec![0u64; STACK];
        let start = stack.as_ptr() as u64;
        for _ in 0..20 {
            stack.copy_from_slice(&random_stack(dice, start));
            for _ in 0..50 {
                let registers = random_registers(dice, start);
                let (end, frames) = walk_both(&mut engine, &modules, registers);
                ends[end as usize] += 1;
                longest = longest.max(frames);
            }
        }
    }
    println!(
        "{ends:?} (root, depth, unknown, unsupported, memory, corrupt), up to {longest} frames"
    );
    assert!(ends.iter().all(|end| *end > 30), "{ends:?}");
    assert_eq!(longest, 16);
}

fn module(index: u64, arrays: &Arrays) -> ModuleEntry<'_> {
    let start = CODE + index * 2 * MODULE;
    let base = 0x10000 * (index + 1);
    let Arrays { pages, rows, rules } = arrays;
    // The table lacks the last two pages of the module; one module has no table at all.
    let table = (index != 3).then_some(Table { base, pages, rows, rules });
    ModuleEntry { start, end: start + MODULE, bias: start - base, table }
}

fn random_registers(dice: &mut Dice, stack: u64) -> Registers {
    let pc = if dice.one_in(20) { random_word(dice, stack) } else { random_code(dice) };
    let sp = stack + (MARGIN as u64 + 2 * dice.below(MARGIN as u64 / 2)) * 8;
    let sp = if dice.one_in(20) { random_word(dice, stack) } else { sp };
    Registers { pc, sp, fp: sp.wrapping_add(dice.below(50) * 16).wrapping_sub(32), lr: None }
}

fn walk_both(
    engine: &mut Engine,
    modules: &[ModuleEntry<'_>],
    registers: Registers,
) -> (End, usize) {
    let mut args = [0; 12];
    let process = u64::from(std::process::id());
    args[..4].copy_from_slice(&[registers.pc, registers.sp, registers.fp, process]);
    program(engine).test_run(RunOptions { args, cpu: None }).unwrap();
    let mut frames = Vec::new();
    let mut memory = SelfMemory::probing();
    let walked = walk(modules, registers, &mut memory, 16, |_, frame| frames.push(frame));
    let taken = engine.drain(|_, words| {
        let (sample, _) = RawSample::read(words).unwrap();
        assert_eq!((sample.end, sample.frames), (walked.end, &frames[..]), "{registers:x?}");
    });
    assert_eq!(taken, 1);
    (walked.end, walked.frames)
}

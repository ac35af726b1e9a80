//! The walk over hand-made stacks; `core/agent/tests/it` compares it with framehop on real ones.

use super::native::{Walked, walk};
use crate::arch::{Registers, SIGNAL_FRAME};
use crate::memory::MemoryReader;
use crate::sample::End;
use crate::table::{ModuleEntry, Rule, Table};
use std::collections::HashMap;

/// Words by address; everything else cannot be read.
struct Words(HashMap<u64, u64>);

impl MemoryReader for Words {
    fn word(&mut self, address: u64) -> Option<u64> {
        self.0.get(&address).copied()
    }
}

const STACK: u64 = 0x7000_0000;
const CODE: u64 = 0x10000;

/// One function each 16 bytes, in this order.
const RULES: [Rule; 13] = [
    Rule { cfa: Rule::SP, ra: -1, fp: 0, offset: 16 },
    Rule { cfa: Rule::SP, ra: 1, fp: -2, offset: 32 },
    Rule { cfa: Rule::FP, ra: 1, fp: -2, offset: 16 },
    Rule { cfa: Rule::ROOT, ra: 0, fp: 0, offset: 0 },
    Rule { cfa: Rule::SIGNAL, ra: 0, fp: 0, offset: 0 },
    Rule { cfa: Rule::UNSUPPORTED, ra: 0, fp: 0, offset: 0 },
    Rule { cfa: Rule::NONE, ra: 0, fp: 0, offset: 0 },
    Rule {
        cfa: Rule::SP_DEREF,
        ra: if cfg!(target_arch = "x86_64") { 0 } else { -1 },
        fp: 0,
        offset: 8,
    },
    Rule { cfa: Rule::PLT, ra: -1, fp: 0, offset: 0 },
    Rule { cfa: Rule::FP_DEREF, ra: -1, fp: 0, offset: -8 },
    Rule { cfa: Rule::FP_ANY_STACK, ra: 1, fp: -2, offset: 16 },
    Rule { cfa: Rule::SP, ra: Rule::INTERRUPTED, fp: -2, offset: 32 },
    Rule { cfa: Rule::SP_DEREF, ra: 1, fp: -2, offset: 88 },
];

const fn code(function: u64) -> u64 {
    CODE + function * 16 + 4
}
const SP16: u64 = code(0);
const SP32_SAVES_FP: u64 = code(1);
const FP16_SAVES_FP: u64 = code(2);
const ROOT: u64 = code(3);
const SIGNAL: u64 = code(4);
const UNSUPPORTED: u64 = code(5);
const NO_RULE: u64 = code(6);
const DEREF: u64 = code(7);
const REALIGNED: u64 = code(9);
const SWITCHES_STACK: u64 = code(10);
#[cfg(target_arch = "x86_64")]
const INJECTED: u64 = code(11);
#[cfg(target_arch = "x86_64")]
const KEEPS_RETURN_ADDRESS: u64 = code(12);

fn run(registers: Registers, words: &[(u64, u64)], limit: usize) -> (Vec<u64>, Walked) {
    let rows: Vec<u32> = (0..RULES.len() as u32).map(|rule| (rule * 16) | (rule << 16)).collect();
    let pages = [0, rows.len() as u32];
    let table = Table { base: CODE, pages: &pages, rows: &rows, rules: &RULES };
    let module = ModuleEntry { start: CODE, end: CODE + 0x1000, bias: 0, table: Some(table) };
    let mut memory = Words(words.iter().copied().collect());
    let mut frames = Vec::new();
    let walked = walk(&[module], registers, &mut memory, limit, |index, frame| {
        assert_eq!(index, frames.len());
        frames.push(frame);
    });
    assert_eq!(walked.frames, frames.len());
    (frames, walked)
}

fn at(pc: u64) -> Registers {
    Registers { pc, sp: STACK, fp: STACK + 0x100, lr: None }
}

#[test]
fn a_stack_of_every_kind_of_frame_ends_at_its_root() {
    let words = [
        (STACK + 8, SP32_SAVES_FP),
        (STACK + 32, STACK + 64),
        (STACK + 40, FP16_SAVES_FP),
        (STACK + 64, 0x1234),
        (STACK + 72, ROOT),
    ];
    let (frames, walked) = run(at(SP16), &words, 100);
    assert_eq!(frames, [SP16, SP32_SAVES_FP, FP16_SAVES_FP, ROOT]);
    assert_eq!((walked.end, walked.root), (End::Root, Some(STACK + 80)));
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_frame_pointer_that_was_popped_is_taken_from_the_register() {
    // After `pop rbp` the slot lies below the stack pointer, and may hold anything by now.
    let registers = Registers { pc: FP16_SAVES_FP, sp: STACK + 8, fp: STACK, lr: None };
    let words = [(STACK + 8, NO_RULE), (STACK, 0xbad), (STACK + 24, ROOT)];
    let popped = Registers { fp: STACK + 16, ..registers };
    // CFA = fp + 16 with the old fp; the caller's fp would be read from STACK.
    let (frames, _) = run(registers, &words, 100);
    assert_eq!(frames, [FP16_SAVES_FP, NO_RULE], "the slot at sp - 8 must not be used");
    let (_, walked) =
        run(Registers { pc: NO_RULE, ..popped }, &[(STACK + 24, ROOT), (STACK + 16, 1)], 9);
    assert_eq!(walked.end, End::Root);
}

#[test]
fn the_interrupted_function_below_a_signal_frame_is_looked_up_at_its_own_address() {
    let other_stack = 0x9000_0000;
    let mut words = vec![
        (STACK + 8, SIGNAL),
        (STACK + 16 + SIGNAL_FRAME.pc, CODE),
        (STACK + 16 + SIGNAL_FRAME.sp, other_stack),
        (STACK + 16 + SIGNAL_FRAME.fp, 0),
        (other_stack + 8, ROOT),
    ];
    if let Some(lr) = SIGNAL_FRAME.lr {
        words.push((STACK + 16 + lr, 0x5555));
    }
    let (frames, walked) = run(at(SP16), &words, 100);
    assert_eq!(frames, [SP16, SIGNAL, CODE, ROOT], "CODE - 1 would lie outside the module");
    assert_eq!((walked.end, walked.root), (End::Root, None), "the walk left its first stack");
}

#[test]
fn a_realigned_frame_of_variable_size_is_left_by_the_address_it_keeps() {
    let (fp, cfa, outer) = (STACK + 64, STACK + 128, STACK + 256);
    let words =
        [(fp, outer), (fp - 8, cfa), (cfa - 8, FP16_SAVES_FP), (outer, 0), (outer + 8, ROOT)];
    let (frames, walked) = run(Registers { fp, ..at(REALIGNED) }, &words, 9);
    assert_eq!(frames, [REALIGNED, FP16_SAVES_FP, ROOT]);
    assert_eq!(walked.end, End::Root);
    let end = |words: &[(u64, u64)]| run(Registers { fp, ..at(REALIGNED) }, words, 9).1.end;
    assert_eq!(end(&words[..1]), End::Memory);
    assert_eq!(end(&[(fp, outer), (fp - 8, STACK - 64)]), End::Corrupt);
    let below = Registers { fp: STACK, ..at(REALIGNED) };
    assert_eq!(run(below, &[], 9).1.end, End::Corrupt, "it keeps it below its last word");
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_realigned_frame_of_assembly_is_left_by_the_place_of_its_return_address() {
    let (kept, outer) = (STACK + 248, STACK + 512);
    let words = [
        (STACK + 88, kept),
        (kept, FP16_SAVES_FP),
        (kept - 8, outer),
        (outer, 0),
        (outer + 8, ROOT),
    ];
    let (frames, walked) = run(at(KEEPS_RETURN_ADDRESS), &words, 9);
    assert_eq!(frames, [KEEPS_RETURN_ADDRESS, FP16_SAVES_FP, ROOT]);
    assert_eq!(walked.end, End::Root);
}

#[test]
fn what_cannot_be_walked_is_named() {
    let end = |registers, words: &[(u64, u64)]| run(registers, words, 100).1.end;
    assert_eq!(end(at(UNSUPPORTED), &[]), End::Unsupported);
    assert_eq!(end(at(0x99_0000), &[]), End::UnknownCode);
    assert_eq!(end(at(SP16), &[]), End::Memory);
    assert_eq!(end(at(SP16), &[(STACK + 8, 7)]), End::Corrupt, "no code below 4096");
    assert_eq!(end(at(SP16), &[(STACK + 8, 0)]), End::Root, "a null return address");
    let no_rule = Registers { fp: STACK + 8, ..at(NO_RULE) };
    assert_eq!(end(no_rule, &[(STACK + 16, 0)]), End::Corrupt, "no table says it is one");
    let below = Registers { fp: STACK - 64, ..at(FP16_SAVES_FP) };
    assert_eq!(end(below, &[]), End::Corrupt, "a frame below the last one");
    let unaligned = Registers { fp: STACK + 3, ..at(FP16_SAVES_FP) };
    assert_eq!(end(unaligned, &[]), End::Corrupt);
    assert_eq!(end(at(DEREF), &[(STACK + 8, STACK - 16)]), End::Corrupt);
}

#[test]
fn a_walk_in_a_circle_stops_at_the_limit() {
    // Every frame's return address is the same function; the stack still grows.
    let words: Vec<_> = (0..1000).map(|n| (STACK + 8 + n * 16, SP16)).collect();
    let (frames, walked) = run(at(SP16), &words, 64);
    assert_eq!((frames.len(), walked.end), (64, End::Depth));
}

#[cfg(target_arch = "aarch64")]
#[test]
fn only_the_innermost_frame_may_have_its_return_address_in_the_link_register() {
    let leaf = Rule { cfa: Rule::SP, ra: 0, fp: 0, offset: 0 };
    let rules = [leaf];
    let rows = [0u32];
    let table = Table { base: CODE, pages: &[0, 1], rows: &rows, rules: &rules };
    let module = ModuleEntry { start: CODE, end: CODE + 0x1000, bias: 0, table: Some(table) };
    let registers = Registers { lr: Some(CODE + 8), ..at(CODE + 4) };
    let mut frames = Vec::new();
    let mut memory = Words(HashMap::new());
    let walked = walk(&[module], registers, &mut memory, 10, |_, frame| frames.push(frame));
    assert_eq!((frames, walked.end), (vec![CODE + 4, CODE + 8], End::Corrupt));
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_lazy_binding_stub_is_left_from_both_sides_of_its_push() {
    const STUB: u64 = CODE + 8 * 16;
    assert_eq!(run(at(STUB + 6), &[(STACK, ROOT)], 9).0, [STUB + 6, ROOT]);
    assert_eq!(run(at(STUB + 11), &[(STACK + 8, ROOT)], 9).0, [STUB + 11, ROOT]);
}

#[test]
fn a_function_on_another_stack_is_followed_by_its_frame_record() {
    // The thread's own stack lies above the goroutine's.
    let goroutine = STACK - 0x10_0000;
    let words = [
        (STACK + 16, goroutine),
        (STACK + 24, SWITCHES_STACK),
        (goroutine, STACK + 0x77),
        (goroutine + 8, SP32_SAVES_FP),
        (goroutine + 16 + 16, 7),
        (goroutine + 16 + 24, ROOT),
    ];
    let registers = Registers { pc: SP32_SAVES_FP, sp: STACK, fp: 0, lr: None };
    let (frames, walked) = run(registers, &words, 10);
    assert_eq!(frames, [SP32_SAVES_FP, SWITCHES_STACK, SP32_SAVES_FP, ROOT]);
    assert_eq!((walked.end, walked.root), (End::Root, None), "not on the stack it began on");
    // Frame records that lead to each other end at the limit.
    let words = [(STACK, STACK), (STACK + 8, SWITCHES_STACK)];
    let registers = Registers { pc: SWITCHES_STACK, sp: STACK, fp: STACK, lr: None };
    assert_eq!(run(registers, &words, 20).1.end, End::Depth);
    let nowhere = Registers { fp: u64::MAX - 7, ..registers };
    assert_ne!(run(nowhere, &words, 20).1.end, End::Root);
}

#[test]
#[cfg(target_arch = "x86_64")]
fn what_was_put_in_place_of_an_instruction_returns_to_it_and_not_behind_it() {
    // The first instruction of the root function: one byte below it another one lies.
    let first = ROOT & !15;
    let words = [(STACK + 16, 7), (STACK + 24, first)];
    let registers = Registers { pc: INJECTED, sp: STACK, fp: 0, lr: None };
    let (frames, walked) = run(registers, &words, 10);
    assert_eq!((&frames[..], walked.end), (&[INJECTED, first][..], End::Root));
    let called = Registers { pc: SP32_SAVES_FP, ..registers };
    assert_ne!(run(called, &words, 10).1.end, End::Root);
}

//! One step of a walk: a frame of HotSpot on the native stack.
//!
//! Compiled code has frames of one size each, whose saved frame pointer and return address are at
//! their upper end, but for the first and the last instructions; the frame pointer may be used for
//! anything in between. The interpreter's frames begin at the frame pointer. Stubs have either of
//! the two, or none.

use super::chunk::Continuations;
use super::code_cache::{Blob, Code, Kind};
use super::compiled::{At, Scope};
use super::labels::ThreadLocals;
use super::layout::Facts;
use super::method::Method;
use super::word::{HotspotFrame, Tier};
use crate::arch::Registers;
use crate::interner::Interner;
use crate::memory::MemoryReader;
use crate::sample::End;
use crate::walk::runtime::{Recovered, Runtime};
use core::ops::Range;

/// In a frame of the interpreter, in words from the frame pointer (`frame_x86.hpp`): the stack
/// pointer of the caller, the method, and the running instruction where that is written down.
pub(super) const CALLER_SP: u64 = 8;
pub(super) const METHOD: u64 = 24;
pub(super) const INSTRUCTION: u64 = 64;

/// In the frame of what calls Java, the same: what it knows of the call.
const CALL_WRAPPER: u64 = 48;

/// The largest frame of the interpreter: 65,535 values and as many variables.
pub(super) const MAX_FRAME: u64 = 1 << 20;

/// Bytes of the instructions with which compiled code makes its frame.
const PROLOGUE: u64 = 64;

/// The calling thread, which runs Java.
#[derive(Debug)]
pub(crate) struct Running<'p, M> {
    pub(super) code: Code<'p, M>,
    known: &'p Interner,
    /// Its `JavaThread`, or 0.
    pub(super) thread: u64,
    registers: Interrupted,
    continuations: Option<&'p Continuations>,
    pub(super) thread_locals: Option<&'p ThreadLocals>,
    pub(super) stubs: &'p [Range<u64>],
    /// Where it is written down how Java was left further root-ward than the walk is; 0 for nowhere.
    outer: u64,
    /// Since the call with which a virtual thread leaves its carrier: where that returns to, and the
    /// frames that were walked from there on.
    pub(super) frozen: Option<(u64, u32)>,
    /// Frames that could not be read.
    pub(crate) lost: u32,
}

/// What registers held where the thread was interrupted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Interrupted {
    /// r13: the instruction that the interpreter runs; the caller's stack pointer while a frame is
    /// made, the return address while one is left.
    pub(crate) r13: u64,
    /// rbx: the method while a frame is made, the caller's stack pointer while one is left.
    pub(crate) rbx: u64,
    /// rax: the return address while a frame is made.
    pub(crate) rax: u64,
}

/// How much of a frame of compiled code stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// All.
    Whole,
    /// All, but the frame pointer is the caller's still.
    Unsaved,
    /// The caller's frame pointer and the return address are on top of the stack.
    Saved,
    /// The return address is.
    Nothing,
}

impl<'p, M: MemoryReader> Running<'p, M> {
    /// A thread, whose structures are read by `memory`.
    #[inline(always)]
    pub(crate) fn new(facts: &'p Facts, known: &'p Interner, thread: u64, memory: M) -> Self {
        let code = Code { memory, layout: &facts.layout, cache: &facts.code };
        Self {
            code,
            known,
            thread,
            registers: Interrupted::default(),
            continuations: facts.continuations.as_ref(),
            thread_locals: facts.thread_locals.as_ref(),
            stubs: facts.stubs,
            outer: match thread {
                0 => 0,
                thread => thread.wrapping_add(facts.layout.thread_anchor.into()),
            },
            frozen: None,
            lost: 0,
        }
    }

    /// Where the thread has left Java; `None` if it runs it, or none.
    pub(crate) fn left(&mut self) -> Option<Registers> {
        let anchor = self.thread.wrapping_add(self.code.layout.thread_anchor.into());
        if self.thread == 0 { None } else { self.code.left(anchor)? }
    }

    /// What registers held where the thread was interrupted.
    #[inline(always)]
    pub(crate) fn interrupted(self, registers: Interrupted) -> Self {
        Self { registers, ..self }
    }

    /// The word of a method at an instruction.
    #[inline(always)]
    fn word(&mut self, method: u64, place: Option<u16>, tier: Tier) -> u64 {
        match self.code.method(method) {
            Some(method) => self.word_of(&method, place, tier),
            None => self.lost(),
        }
    }

    /// As [`Running::word`], of a method that was looked at.
    #[inline(always)]
    pub(super) fn word_of(&mut self, method: &Method, place: Option<u16>, tier: Tier) -> u64 {
        match self.code.number(self.known, method) {
            Some(number) => HotspotFrame::Method { number, place, tier }.to_word(),
            None => self.lost(),
        }
    }

    #[cold]
    fn lost(&mut self) -> u64 {
        self.lost = self.lost.saturating_add(1);
        HotspotFrame::Lost.to_word()
    }

    /// Whether an address may be one that is returned to.
    pub(super) fn is_return(&mut self, address: u64) -> bool {
        let Code { cache, .. } = self.code;
        cache.interpreter.contains(&address)
            || cache.range.contains(&address) && self.code.follows_call(address)
    }

    /// A frame of the interpreter.
    fn interpreted<S: MemoryReader>(
        &mut self,
        registers: &mut Registers,
        interrupted: bool,
        stack: &mut S,
        put: &mut impl FnMut(u64),
    ) -> Result<(), End> {
        if self.is_unpacking() {
            return Err(End::Corrupt);
        }
        let Registers { sp, fp, .. } = *registers;
        let stands =
            fp & 7 == 0 && sp.wrapping_add(INSTRUCTION) <= fp && fp.wrapping_sub(sp) < MAX_FRAME;
        let method = if stands { stack.word(fp.wrapping_sub(METHOD)) } else { None };
        let Some(method) = method.and_then(|method| self.code.method(method)) else {
            return match interrupted {
                true => self.begun_or_ended(registers, stack, put),
                false => Err(End::Corrupt),
            };
        };
        let bytecode = self.code.bytecode(&method).ok_or(End::Memory)?;
        let running =
            [interrupted.then_some(self.registers.r13), stack.word(fp.wrapping_sub(INSTRUCTION))];
        let running = running.into_iter().flatten().find(|at| bytecode.contains(at));
        let place = running.map(|at| at.wrapping_sub(bytecode.start) as u16);
        put(self.word_of(&method, place, Tier::Interpreter));
        let mut saved = |address: u64| stack.word(address).ok_or(End::Memory);
        *registers = Registers {
            pc: saved(fp.wrapping_add(8))?,
            sp: saved(fp.wrapping_sub(CALLER_SP))?,
            fp: saved(fp)?,
            lr: None,
        };
        Ok(())
    }

    /// Whether frames of compiled code are being made into those of the interpreter.
    fn is_unpacking(&mut self) -> bool {
        let offset = self.code.layout.thread_unpacking;
        self.thread != 0 && self.code.word(self.thread, offset) != Some(0)
    }

    /// The interpreter where its frame does not stand yet, or not any more.
    #[cold]
    fn begun_or_ended<S: MemoryReader>(
        &mut self,
        registers: &mut Registers,
        stack: &mut S,
        put: &mut impl FnMut(u64),
    ) -> Result<(), End> {
        let Registers { sp, fp, .. } = *registers;
        let Interrupted { r13, rbx, rax } = self.registers;
        let top = stack.word(sp).ok_or(End::Memory)?;
        let begins = self.code.method(rbx).is_some();
        if begins {
            put(self.word(rbx, Some(0), Tier::Interpreter));
        }
        let near = |wanted: u64, least: u64| {
            let near = wanted & 7 == 0 && wanted >= least && wanted.wrapping_sub(least) < MAX_FRAME;
            if near { wanted } else { least }
        };
        let above = sp.wrapping_add(8);
        if begins && fp >= sp && fp.wrapping_sub(sp) < INSTRUCTION.wrapping_add(8) {
            let pc = stack.word(fp.wrapping_add(8)).ok_or(End::Memory)?;
            if self.is_return(pc) {
                let sp = near(r13, fp.wrapping_add(16));
                let fp = stack.word(fp).ok_or(End::Memory)?;
                *registers = Registers { pc, sp, fp, lr: None };
                return Ok(());
            }
        }
        let (pc, sp) = if self.is_return(top) {
            (top, near(if begins { r13 } else { rbx }, above))
        } else if begins && self.is_return(rax) {
            (rax, near(r13, above))
        } else if !begins && self.is_return(r13) {
            (r13, near(rbx, above))
        } else {
            return Err(End::Corrupt);
        };
        *registers = Registers { pc, sp, fp, lr: None };
        Ok(())
    }

    /// A frame of compiled code that has called, or of what calls a native method.
    fn compiled_caller<S: MemoryReader>(
        &mut self,
        blob: &Blob,
        registers: &mut Registers,
        stack: &mut S,
        put: &mut impl FnMut(u64),
    ) -> Result<(), End> {
        let Registers { pc, sp, .. } = *registers;
        let pc = self.code.original_pc(blob, pc, sp);
        self.put_methods(blob, At::Return(pc), put);
        leave(registers, blob, Standing::Whole, stack)
    }

    /// The same where it was interrupted.
    fn compiled_leaf<S: MemoryReader>(
        &mut self,
        blob: &Blob,
        registers: &mut Registers,
        stack: &mut S,
        put: &mut impl FnMut(u64),
    ) -> Result<(), End> {
        let pc = registers.pc;
        let standing = match self.is_complete(blob, pc) {
            true => {
                self.put_methods(blob, At::Interrupted(pc), put);
                self.leaving(pc)
            }
            false => {
                self.put_methods(blob, At::Beginning, put);
                self.entering(blob, pc).ok_or(End::Corrupt)?
            }
        };
        leave(registers, blob, standing, stack)
    }

    /// Hands out what runs at an address of compiled code.
    pub(super) fn put_compiled(&mut self, pc: u64, put: &mut impl FnMut(u64)) {
        if let Some(blob) = self.code.blob(pc)
            && blob.is_method()
        {
            self.put_methods(&blob, At::Return(pc), put);
        }
    }

    /// Hands out what runs in compiled code.
    pub(super) fn put_methods(&mut self, blob: &Blob, at: At, put: &mut impl FnMut(u64)) {
        let level = self
            .code
            .memory
            .byte(blob.address.wrapping_add(u64::from(self.code.layout.compiled_level)));
        let tier = match (blob.kind, level) {
            (Kind::Native, _) => Tier::Native,
            (_, Some(1..=3)) => Tier::C1,
            _ => Tier::C2,
        };
        let known = self.known;
        let mut lost = 0u32;
        let mut any = false;
        if blob.kind == Kind::Compiled {
            self.code.scopes(blob, at, |code, Scope { method, place, inlined }| {
                any = true;
                let number = code.method(method).and_then(|it| code.number(known, &it));
                let tier = if inlined { Tier::Inlined } else { tier };
                put(match number {
                    Some(number) => HotspotFrame::Method { number, place, tier }.to_word(),
                    None => {
                        lost = lost.saturating_add(1);
                        HotspotFrame::Lost.to_word()
                    }
                });
            });
        }
        self.lost = self.lost.saturating_add(lost);
        if !any {
            let method = self.code.word(blob.address, self.code.layout.compiled_method);
            let place = if matches!(at, At::Beginning) { Some(0) } else { None };
            put(self.word(method.unwrap_or(0), place, tier));
        }
    }

    /// Whether the instructions that make the frame have run.
    pub(super) fn is_complete(&mut self, blob: &Blob, pc: u64) -> bool {
        let offset = self.code.short(blob.address, self.code.layout.blob_frame_complete);
        let offset = offset.map(|offset| offset as i16).filter(|offset| *offset >= 0);
        offset.is_some_and(|offset| pc >= blob.code.wrapping_add(offset as u64))
    }

    /// How much of a complete frame stands still: all, unless it is about to return.
    pub(super) fn leaving(&mut self, pc: u64) -> Standing {
        let mut byte =
            |offset: i64| self.code.memory.byte(pc.wrapping_add(offset as u64)).unwrap_or(0);
        let bytes = [byte(0), byte(1), byte(2)];
        // `ret`, or the check for a safepoint before it, in the forms of 11 to 25.
        let polls = match bytes {
            [0x49, 0x3b, 0x67 | 0xa7] | [0x4d, 0x8b, 0x97] => byte(-1) == 0x5d,
            [0x0f, 0x87, _] => byte(6) == 0xc3,
            [0x41, 0x85, 0x02] => byte(3) == 0xc3,
            [0x85, 0x05, _] => byte(6) == 0xc3,
            _ => false,
        };
        match bytes {
            [0xc3, ..] => Standing::Nothing,
            _ if polls => Standing::Nothing,
            // `pop rbp`
            [0x5d, ..] => Standing::Saved,
            _ => Standing::Whole,
        }
    }

    /// How much of a frame stands that is being made.
    fn entering(&mut self, blob: &Blob, pc: u64) -> Option<Standing> {
        let layout = self.code.layout;
        let entry = if layout.tables_are_apart {
            let offset = self.code.short(blob.address, layout.compiled_entry)?;
            blob.code.wrapping_add(u64::from(offset))
        } else {
            self.code.word(blob.address, layout.compiled_entry)?
        };
        let mut byte = |at: u64| self.code.memory.byte(at);
        // `push rbp`
        if pc <= entry || byte(pc)? == 0x55 || blob.frame_words == 0 {
            return Some(Standing::Nothing);
        }
        if byte(pc.wrapping_sub(1))? == 0x55 {
            return Some(Standing::Saved);
        }
        // `sub rsp, …`, of one byte or of four, is behind.
        let from = entry.max(pc.saturating_sub(PROLOGUE));
        let is_sub = |at: u64, byte: &mut dyn FnMut(u64) -> Option<u8>| {
            let length = match (byte(at), byte(at.wrapping_add(1)), byte(at.wrapping_add(2))) {
                (Some(0x48), Some(0x83), Some(0xec)) => 4,
                (Some(0x48), Some(0x81), Some(0xec)) => 7,
                _ => return false,
            };
            at.wrapping_add(length) <= pc
        };
        let made = (from..pc).any(|at| is_sub(at, &mut byte));
        Some(if made { Standing::Unsaved } else { Standing::Nothing })
    }
}

/// Moves to the caller of compiled code.
pub(super) fn leave<S: MemoryReader>(
    registers: &mut Registers,
    blob: &Blob,
    standing: Standing,
    stack: &mut S,
) -> Result<(), End> {
    let Registers { sp, fp, .. } = *registers;
    let size = u64::from(blob.frame_words).wrapping_mul(8);
    // One past the return address, and whether the frame pointer stands before that.
    let (end, saved) = match standing {
        Standing::Whole if size >= 16 => (sp.wrapping_add(size), true),
        Standing::Unsaved if size >= 16 => (sp.wrapping_add(size), false),
        Standing::Saved => (sp.wrapping_add(16), true),
        Standing::Nothing => (sp.wrapping_add(8), false),
        _ => return Err(End::Corrupt),
    };
    let pc = stack.word(end.wrapping_sub(8)).ok_or(End::Memory)?;
    let fp = match saved {
        true => stack.word(end.wrapping_sub(16)).ok_or(End::Memory)?,
        false => fp,
    };
    if pc < 4096 {
        return Err(End::Corrupt);
    }
    *registers = Registers { pc, sp: end, fp, lr: None };
    Ok(())
}

impl<M: MemoryReader> Runtime for Running<'_, M> {
    #[inline(always)]
    fn covers(&self, address: u64) -> bool {
        self.code.covers(address)
    }

    fn step<S: MemoryReader>(
        &mut self,
        registers: &mut Registers,
        interrupted: bool,
        stack: &mut S,
        put: &mut impl FnMut(u64),
    ) -> Result<(), End> {
        let Registers { pc, fp, .. } = *registers;
        if let Some((_, frames)) = &mut self.frozen {
            *frames = frames.saturating_add(1);
        }
        if self.code.cache.interpreter.contains(&pc) {
            return self.interpreted(registers, interrupted, stack, put);
        }
        if pc == self.code.cache.call_stub_return && !interrupted {
            let mut saved = |address: u64| stack.word(address).ok_or(End::Memory);
            let (pc, caller) = (saved(fp.wrapping_add(8))?, saved(fp)?);
            let wrapper = saved(fp.wrapping_sub(CALL_WRAPPER)).unwrap_or(0);
            self.outer = match wrapper {
                0 => 0,
                wrapper => wrapper.wrapping_add(self.code.layout.wrapper_anchor.into()),
            };
            *registers = Registers { pc, sp: fp.wrapping_add(16), fp: caller, lr: None };
            return Ok(());
        }
        let blob = self.code.blob(pc).ok_or(End::UnknownCode)?;
        match blob.kind {
            Kind::Compiled | Kind::Native if interrupted => {
                self.compiled_leaf(&blob, registers, stack, put)
            }
            Kind::Compiled => self.compiled_caller(&blob, registers, stack, put),
            Kind::Native => {
                self.compiled_caller(&blob, registers, stack, put)?;
                if self.continuations.is_some() && self.code.yields(&blob) {
                    self.frozen = Some((registers.pc, 0));
                }
                Ok(())
            }
            Kind::Fetching if !interrupted => {
                let Some(continuations) = self.continuations else { return Err(End::UnknownCode) };
                Err(self.put_chunks(continuations, registers.sp, stack, put))
            }
            Kind::Fetching | Kind::Other => {
                if interrupted {
                    put(pc);
                    if self.stub_leaf(&blob, registers, stack)? {
                        return Ok(());
                    }
                }
                self.stub(&blob, registers, stack)
            }
        }
    }

    /// Where a thread leaves Java, its machine notes where that was; and what calls Java keeps the
    /// last such note, which is an empty one in the thread's first call.
    fn recover<S: MemoryReader>(&mut self, registers: &mut Registers, _stack: &mut S) -> Recovered {
        let first = self.thread.wrapping_add(self.code.layout.thread_anchor.into());
        match core::mem::replace(&mut self.outer, 0) {
            0 => Recovered::Nowhere,
            outer => match self.code.left(outer) {
                Some(Some(left)) if left.sp > registers.sp && self.code.covers(left.pc) => {
                    *registers = left;
                    Recovered::Elsewhere
                }
                Some(None) if outer != first => Recovered::Root,
                _ => Recovered::Nowhere,
            },
        }
    }
}

impl<M: MemoryReader> Code<'_, M> {
    /// Where Java was left, by a note of that; `Some(None)` for an empty one.
    pub(super) fn left(&mut self, anchor: u64) -> Option<Option<Registers>> {
        let layout = self.layout;
        let (sp, pc) = (self.word(anchor, layout.anchor_sp)?, self.word(anchor, layout.anchor_pc)?);
        let fp = self.word(anchor, layout.anchor_fp)?;
        if sp == 0 {
            return Some(None);
        }
        // Where it is not written down, it is what a call has pushed.
        let pc = if pc == 0 { self.memory.word(sp.wrapping_sub(8))? } else { pc };
        Some(Some(Registers { pc, sp, fp, lr: None }))
    }
}

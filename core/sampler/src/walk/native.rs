//! The walk over native frames by compact unwind tables.

use crate::arch::{self, Registers};
use crate::memory::MemoryReader;
use crate::rules::Modules;
use crate::sample::End;
use crate::table::{ModuleEntry, Rule};
use crate::walk::runtime::{Recovered, Runtime};

/// Addresses below this cannot be code.
const LOWEST_CODE: u64 = 4096;

/// Nor can these: the top byte of a frame word is its kind.
const BEYOND_CODE: u64 = 1 << 56;

/// The outcome of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walked {
    /// Frames handed out.
    pub frames: usize,
    /// Why it stopped.
    pub end: End,
    /// Where the walk reached the root without leaving the stack it started on: the stack
    /// pointer of the root frame, above which the thread has no frames.
    pub root: Option<u64>,
}

/// Walks the stack from `registers` and gives each frame's address to `emit`, leaf first, at most
/// `limit` of them. The first address is the interrupted instruction; the others are return
/// addresses.
///
/// `modules` must be sorted by address. Costs about 12 ns a frame with warm tables.
#[inline(always)]
pub fn walk<M: MemoryReader>(
    modules: &[ModuleEntry<'_>],
    registers: Registers,
    memory: &mut M,
    limit: usize,
    emit: impl FnMut(usize, u64),
) -> Walked {
    walk_with(
        Code { modules: Modules::new(modules), runtime: &mut () },
        registers,
        memory,
        limit,
        emit,
    )
}

/// What is known of the code that runs.
pub(crate) struct Code<'c, 't, R> {
    pub(crate) modules: Modules<'c, 't>,
    /// Asked first.
    pub(crate) runtime: &'c mut R,
}

/// As [`walk`], where frames of a runtime lie between the others: it hands out their words.
#[inline(always)]
pub(crate) fn walk_with<M: MemoryReader, R: Runtime>(
    code: Code<'_, '_, R>,
    registers: Registers,
    memory: &mut M,
    limit: usize,
    emit: impl FnMut(usize, u64),
) -> Walked {
    let cursor = Cursor { registers, interrupted: true, left_stack: false, module: None };
    walk_from(code, cursor, memory, limit, emit)
}

/// As [`walk_with`], from a frame whose address is one that is returned to.
pub(crate) fn walk_returning<M: MemoryReader, R: Runtime>(
    code: Code<'_, '_, R>,
    registers: Registers,
    memory: &mut M,
    limit: usize,
    emit: impl FnMut(usize, u64),
) -> Walked {
    let cursor = Cursor { registers, interrupted: false, left_stack: false, module: None };
    walk_from(code, cursor, memory, limit, emit)
}

#[inline(always)]
fn walk_from<'m, 't, M: MemoryReader, R: Runtime>(
    code: Code<'m, 't, R>,
    mut cursor: Cursor<'m, 't>,
    memory: &mut M,
    limit: usize,
    mut emit: impl FnMut(usize, u64),
) -> Walked {
    let Code { modules, runtime } = code;
    let mut frames = 0usize;
    // Steps of the runtime that handed out nothing: they count, too, or a corrupt stack could have
    // any number of them.
    let mut silent = 0usize;
    while frames < limit && silent <= limit {
        if runtime.covers(cursor.inside()) {
            let (before, pc) = (frames, cursor.registers.pc);
            let stepped = cursor.step_in(runtime, memory, |word| {
                if frames < limit {
                    emit(frames, word);
                    frames = frames.wrapping_add(1);
                }
            });
            if let Err(end) = stepped {
                if frames == 0 {
                    // What ran is known by its address at least.
                    emit(0, pc);
                    frames = 1;
                }
                match cursor.recover(runtime, end, memory) {
                    Ok(()) => continue,
                    Err(end) => return Walked { frames, end, root: None },
                }
            }
            if frames == before {
                silent = silent.wrapping_add(1);
            }
            continue;
        }
        emit(frames, cursor.registers.pc);
        frames = frames.wrapping_add(1);
        if let Err(end) = cursor.step(runtime, &modules, memory) {
            let root = (end == End::Root && !cursor.left_stack).then_some(cursor.registers.sp);
            match cursor.recover(runtime, end, memory) {
                Ok(()) => continue,
                Err(end) => return Walked { frames, end, root },
            }
        }
    }
    Walked { frames, end: End::Depth, root: None }
}

struct Cursor<'m, 't> {
    registers: Registers,
    /// The pc is an instruction that has not run yet, not a return address.
    interrupted: bool,
    /// It is on another stack than it began on, or may be.
    left_stack: bool,
    module: Option<&'m ModuleEntry<'t>>,
}

impl<'m, 't> Cursor<'m, 't> {
    /// An address in the instruction that runs, or in the call that is returned from.
    #[inline(always)]
    fn inside(&self) -> u64 {
        let Registers { pc, .. } = self.registers;
        if self.interrupted { pc } else { pc.wrapping_sub(1) }
    }

    /// Moves to where a walk goes on that has come to an end before the root, or says with which end
    /// it stays.
    #[inline(always)]
    fn recover<M: MemoryReader, R: Runtime>(
        &mut self,
        runtime: &mut R,
        end: End,
        memory: &mut M,
    ) -> Result<(), End> {
        if matches!(end, End::Root | End::Depth) {
            return Err(end);
        }
        self.interrupted = false;
        match runtime.recover(&mut self.registers, memory) {
            Recovered::Elsewhere => Ok(()),
            Recovered::Root => Err(End::Root),
            Recovered::Nowhere => Err(end),
        }
    }

    /// Moves to the caller's frame from one of a runtime.
    #[inline(always)]
    fn step_in<M: MemoryReader, R: Runtime>(
        &mut self,
        runtime: &mut R,
        memory: &mut M,
        mut put: impl FnMut(u64),
    ) -> Result<(), End> {
        let before = self.registers;
        let interrupted = core::mem::replace(&mut self.interrupted, false);
        runtime.step(&mut self.registers, interrupted, memory, &mut put)?;
        // So a walk ends; and the next frame's word must not look like one of another kind.
        if self.registers.sp > before.sp && check_return_address(self.registers.pc).is_ok() {
            return Ok(());
        }
        // What the runtime recovers to must lie above where the walk was.
        self.registers = before;
        Err(End::Corrupt)
    }

    /// Moves to the caller's frame.
    #[inline(always)]
    fn step<M: MemoryReader, R: Runtime>(
        &mut self,
        runtime: &R,
        modules: &Modules<'m, 't>,
        memory: &mut M,
    ) -> Result<(), End> {
        let inside = self.inside();
        let Registers { pc, sp, fp, .. } = self.registers;
        self.interrupted = false;
        let rule = match modules.rule(inside, &mut self.module) {
            Some(rule) => rule,
            None if runtime.has_frame_pointers() => return self.step_by_frame_pointer(memory),
            None => return Err(End::UnknownCode),
        };
        let offset = i64::from(rule.offset) as u64;
        let cfa = match rule.cfa {
            Rule::SP => sp.wrapping_add(offset),
            Rule::FP => fp.wrapping_add(offset),
            Rule::ROOT => return Err(End::Root),
            Rule::NONE => return self.step_by_frame_pointer(memory),
            Rule::SIGNAL => return self.step_over_signal(memory),
            Rule::PLT => {
                let pushed = if pc & 15 >= 11 { 8 } else { 0 };
                sp.wrapping_add(8).wrapping_add(pushed)
            }
            Rule::SP_DEREF => {
                let kept = memory.word(sp.wrapping_add(offset)).ok_or(End::Memory)?;
                let words = if cfg!(target_arch = "x86_64") { i64::from(rule.ra) } else { 0 };
                kept.wrapping_add(words.wrapping_mul(8) as u64)
            }
            Rule::FP_DEREF => return self.step_over_realigned(rule, memory),
            Rule::FP_ANY_STACK => return self.step_to_another_stack(rule, memory),
            _ => return Err(End::Unsupported),
        };
        self.return_to_caller(rule, cfa, memory)
    }

    /// Restores the caller's registers, given the frame's CFA.
    #[inline(always)]
    fn return_to_caller<M: MemoryReader>(
        &mut self,
        rule: Rule,
        cfa: u64,
        memory: &mut M,
    ) -> Result<(), End> {
        let Registers { sp, .. } = self.registers;
        self.check_cfa(cfa)?;
        let slot = |words: i64| cfa.wrapping_add(words.wrapping_mul(8) as u64);
        let return_address = self.return_address(rule, cfa, memory)?;
        // A slot below the stack pointer was popped already: compilers do not describe the
        // instructions of an epilogue after `pop rbp`, so the register holds the caller's value.
        let fp_slot = slot(i64::from(rule.fp));
        if rule.fp != 0 && fp_slot >= sp {
            self.registers.fp = memory.word(fp_slot).ok_or(End::Memory)?;
        }
        self.registers.pc = return_address;
        self.registers.sp = cfa;
        self.interrupted = cfg!(target_arch = "x86_64") && rule.ra == Rule::INTERRUPTED;
        Ok(())
    }

    /// A null one marks the end of the stack by convention, where a table says that it is one.
    #[inline(always)]
    fn return_address<M: MemoryReader>(
        &mut self,
        rule: Rule,
        cfa: u64,
        memory: &mut M,
    ) -> Result<u64, End> {
        let address = if cfg!(target_arch = "x86_64") {
            memory.word(cfa.wrapping_sub(8)).ok_or(End::Memory)?
        } else if rule.ra == 0 {
            // Only the innermost frame may still have it in the register.
            self.registers.lr.take().ok_or(End::Corrupt)?
        } else {
            self.registers.lr = None;
            let words = i64::from(rule.fp).wrapping_add(i64::from(rule.ra));
            let slot = cfa.wrapping_add(words.wrapping_mul(8) as u64);
            strip_authentication(memory.word(slot).ok_or(End::Memory)?)
        };
        if address == 0 {
            return Err(End::Root);
        }
        check_return_address(address)
    }

    /// Code without a table: a frame record (saved frame pointer, return address) lies where the
    /// frame pointer points.
    #[cold]
    fn step_by_frame_pointer<M: MemoryReader>(&mut self, memory: &mut M) -> Result<(), End> {
        let fp = self.registers.fp;
        let cfa = fp.wrapping_add(16);
        self.check_cfa(cfa)?;
        let return_address = memory.word(fp.wrapping_add(8)).ok_or(End::Memory)?;
        let return_address = check_return_address(strip_authentication(return_address))?;
        let caller = memory.word(fp).ok_or(End::Memory)?;
        self.registers = Registers { pc: return_address, sp: cfa, fp: caller, lr: None };
        Ok(())
    }

    /// See [`Rule::FP_DEREF`].
    #[cold]
    fn step_over_realigned<M: MemoryReader>(
        &mut self,
        rule: Rule,
        memory: &mut M,
    ) -> Result<(), End> {
        let Registers { sp, fp, .. } = self.registers;
        let cfa_slot = fp.wrapping_add(i64::from(rule.offset) as u64);
        if cfa_slot < sp || fp < sp {
            return Err(End::Corrupt);
        }
        let cfa = memory.word(cfa_slot).ok_or(End::Memory)?;
        let caller = memory.word(fp).ok_or(End::Memory)?;
        self.return_to_caller(rule, cfa, memory)?;
        self.registers.fp = caller;
        Ok(())
    }

    /// See [`Rule::FP_ANY_STACK`]. The walk's limit is all that bounds a chain of these.
    #[cold]
    fn step_to_another_stack<M: MemoryReader>(
        &mut self,
        rule: Rule,
        memory: &mut M,
    ) -> Result<(), End> {
        let cfa = self.registers.fp.wrapping_add(i64::from(rule.offset) as u64);
        self.registers.sp = cfa.wrapping_sub(16);
        self.left_stack = true;
        self.return_to_caller(rule, cfa, memory)
    }

    /// The kernel's signal trampoline: the interrupted registers lie in the signal frame, and the
    /// interrupted stack may be any other one.
    #[cold]
    fn step_over_signal<M: MemoryReader>(&mut self, memory: &mut M) -> Result<(), End> {
        let frame = arch::SIGNAL_FRAME;
        let sp = self.registers.sp;
        let mut saved = |offset: u64| memory.word(sp.wrapping_add(offset)).ok_or(End::Memory);
        let registers = Registers {
            pc: saved(frame.pc)?,
            sp: saved(frame.sp)?,
            fp: saved(frame.fp)?,
            lr: frame.lr.map(&mut saved).transpose()?,
        };
        self.registers = registers;
        self.interrupted = true;
        self.left_stack = true;
        Ok(())
    }

    /// Stacks grow down: a caller's frame lies strictly above.
    #[inline(always)]
    fn check_cfa(&self, cfa: u64) -> Result<(), End> {
        let moves_up = if cfg!(target_arch = "x86_64") {
            cfa > self.registers.sp
        } else {
            // A leaf function with a link register may have no frame at all.
            cfa >= self.registers.sp
        };
        if moves_up && cfa & 7 == 0 { Ok(()) } else { Err(End::Corrupt) }
    }
}

#[inline(always)]
fn check_return_address(address: u64) -> Result<u64, End> {
    if (LOWEST_CODE..BEYOND_CODE).contains(&address) { Ok(address) } else { Err(End::Corrupt) }
}

/// Removes a pointer authentication code; a no-op on processors without.
#[inline(always)]
fn strip_authentication(address: u64) -> u64 {
    if cfg!(target_arch = "aarch64") { address & 0x0000_ffff_ffff_ffff } else { address }
}

//! Frames of stubs, adapters and parts of the runtime: of one size each, or behind a frame pointer, or
//! none.

use super::code_cache::Blob;
use super::step::{MAX_FRAME, Running, Standing, leave};
use crate::arch::Registers;
use crate::memory::MemoryReader;
use crate::sample::End;

/// Words of a stub's frame among which a return address is looked for.
const STUB_WORDS: u64 = 32;

/// `push rbp; mov rbp, rsp`.
const PUSH_AND_MOVE: [u8; 4] = [0x55, 0x48, 0x8b, 0xec];

/// Bytes at the beginning of a stub in which these are looked for.
const STUB_BEGINNING: u64 = 32;

/// Bytes of a stub of which nothing was told, among which the instructions are looked for that make a frame.
const STUB_BYTES: u64 = 2048;

/// What is known of a stub's frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// It is made by the instructions at this address, the first of which is one byte long.
    Made(u64),
    /// There is none, or not one of that kind.
    No,
    /// Where the stub begins was not told.
    Nothing,
}

impl<M: MemoryReader> Running<'_, M> {
    /// Leaves a stub that was interrupted where its caller is on top of the stack, or below the
    /// frame pointer there: at its first and last instructions, and in those without a frame.
    pub(super) fn stub_leaf<S: MemoryReader>(
        &mut self,
        blob: &Blob,
        registers: &mut Registers,
        stack: &mut S,
    ) -> Result<bool, End> {
        let Registers { pc, sp, fp, .. } = *registers;
        if blob.frame_words != 0 {
            let standing = self.standing(blob, pc);
            return leave(registers, blob, standing, stack).map(|()| true);
        }
        let next = self.code.memory.byte(pc);
        let word = |stack: &mut S, at: u64| stack.word(sp.wrapping_add(at)).ok_or(End::Memory);
        let (top, second) = match self.known(pc) {
            // `ret`, and `pop rbp`.
            Known::Made(start) => (
                pc <= start || next == Some(0xc3),
                pc == start.wrapping_add(1) || next == Some(0x5d),
            ),
            Known::No => {
                let (first, second) = (word(stack, 0)?, word(stack, 8)?);
                // Native code calls some, too.
                let is_native = !self.code.covers(first) && self.code.follows_call(first);
                (is_native || self.is_return(first), self.is_return(second))
            }
            Known::Nothing => {
                let (first, second) = (word(stack, 0)?, word(stack, 8)?);
                (self.is_return(first), self.is_return(second))
            }
        };
        if top {
            let pc = word(stack, 0)?;
            *registers = Registers { pc, sp: sp.wrapping_add(8), fp, lr: None };
        } else if second {
            let (fp, pc) = (word(stack, 0)?, word(stack, 8)?);
            *registers = Registers { pc, sp: sp.wrapping_add(16), fp, lr: None };
        }
        Ok(top || second)
    }

    /// How much stands of the frame of a stub that was interrupted, and has frames of one size.
    fn standing(&mut self, blob: &Blob, pc: u64) -> Standing {
        match self.is_complete(blob, pc) {
            // `pop rdx`, which takes the return address
            true if self.code.memory.byte(pc) == Some(0x5a) => Standing::Nothing,
            true => self.leaving(pc),
            false if pc <= blob.code => Standing::Nothing,
            false => Standing::Unsaved,
        }
    }

    /// A stub, an adapter or a part of the runtime.
    pub(super) fn stub<S: MemoryReader>(
        &mut self,
        blob: &Blob,
        registers: &mut Registers,
        stack: &mut S,
    ) -> Result<(), End> {
        let Registers { pc, sp, fp, .. } = *registers;
        if blob.frame_words != 0 {
            return leave(registers, blob, Standing::Whole, stack);
        }
        let known = self.known(pc);
        let made = match known {
            Known::Made(_) => true,
            Known::No => false,
            Known::Nothing => self.made_frame(pc),
        };
        if made && fp & 7 == 0 && fp >= sp && fp.wrapping_sub(sp) < MAX_FRAME {
            let caller = stack.word(fp.wrapping_add(8)).ok_or(End::Memory)?;
            // Native code calls some, too.
            if known != Known::Nothing || self.is_return(caller) {
                let saved = stack.word(fp).ok_or(End::Memory)?;
                let sp = fp.wrapping_add(16);
                *registers = Registers { pc: caller, sp, fp: saved, lr: None };
                return Ok(());
            }
        }
        for index in 0..STUB_WORDS {
            let slot = sp.wrapping_add(index.wrapping_mul(8));
            let caller = stack.word(slot).ok_or(End::Memory)?;
            if self.is_return(caller) {
                *registers = Registers { pc: caller, sp: slot.wrapping_add(8), fp, lr: None };
                return Ok(());
            }
        }
        Err(End::Corrupt)
    }

    /// What is known of the frame of the stub at an address.
    #[cold]
    fn known(&mut self, pc: u64) -> Known {
        let after = self.stubs.partition_point(|stub| stub.start <= pc);
        let stub = after.checked_sub(1).and_then(|at| self.stubs.get(at));
        match stub.filter(|stub| stub.contains(&pc)) {
            Some(stub) => {
                let end = stub.end.min(stub.start.wrapping_add(STUB_BEGINNING));
                let start = (stub.start..end).find(|at| self.begins_frame(*at));
                start.map_or(Known::No, Known::Made)
            }
            None => Known::Nothing,
        }
    }

    fn begins_frame(&mut self, at: u64) -> bool {
        let mut bytes = PUSH_AND_MOVE.into_iter().zip(at..);
        bytes.all(|(byte, address)| self.code.memory.byte(address) == Some(byte))
    }

    /// Whether the same instructions stand somewhere before an address, with no `ret` in between that
    /// ends another stub.
    fn made_frame(&mut self, pc: u64) -> bool {
        for at in (pc.saturating_sub(STUB_BYTES)..pc.saturating_sub(3)).rev() {
            let Some(byte) = self.code.memory.byte(at) else { return false };
            if byte == 0x55 && self.begins_frame(at) {
                return true;
            }
            let next = if byte == 0xc3 { self.code.memory.byte(at.wrapping_add(1)) } else { None };
            if matches!(next, Some(0x90 | 0x0f | 0x66 | 0xf4)) {
                return false;
            }
        }
        false
    }
}

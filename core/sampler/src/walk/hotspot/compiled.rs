//! Frames of compiled code, with the methods that were put into it.

use super::code_cache::{Blob, Code};
use crate::memory::MemoryReader;

/// Methods at one address, put into one another.
const MAX_DEPTH: usize = 256;

/// Bytes of one entry of the table of addresses: the offset of an address, and where its methods
/// are described.
const PC_BYTES: u64 = 16;

/// Entries of it.
const MAX_PCS: u64 = 1 << 20;

/// A method at an address, and the instruction of its bytecode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) method: u64,
    pub(super) place: Option<u16>,
    /// Whether it was put into the next one.
    pub(super) inlined: bool,
}

/// Where a frame is in its code.
#[derive(Clone, Copy, Debug)]
pub(super) enum At {
    /// Nothing of the method has run.
    Beginning,
    /// What it called returns to this address.
    Return(u64),
    /// The instruction at this address was interrupted.
    Interrupted(u64),
}

/// One method at an address, as it is described.
struct Description {
    /// Where the method is described that this one was put into; 0 for none.
    caller: u32,
    /// Of the method, counted from 1.
    number: u32,
    /// One more than the instruction, so that 0 is before the first.
    place: u32,
}

/// Where the tables of compiled code are.
struct Tables {
    pcs: u64,
    pcs_end: u64,
    scopes: u64,
    metadata: u64,
}

impl<M: MemoryReader> Code<'_, M> {
    fn tables(&mut self, blob: &Blob) -> Option<Tables> {
        let layout = self.layout;
        let start = u64::from(self.half(blob.address, layout.compiled_pcs)?);
        let end = u64::from(self.half(blob.address, layout.compiled_pcs.checked_add(4)?)?);
        if layout.tables_are_apart {
            let fixed = self.pointer(blob.address, layout.compiled_immutable)?;
            let scopes = u64::from(self.half(blob.address, layout.compiled_scopes)?);
            let mutable = self.pointer(blob.address, layout.blob_mutable)?;
            let relocations = self.half(blob.address, layout.blob_relocation_size)?;
            Some(Tables {
                pcs: fixed.wrapping_add(start),
                pcs_end: fixed.wrapping_add(end),
                scopes: fixed.wrapping_add(scopes),
                metadata: mutable.wrapping_add(u64::from(relocations)),
            })
        } else {
            let metadata = self.half(blob.address, layout.compiled_metadata)?;
            Some(Tables {
                pcs: blob.address.wrapping_add(start),
                pcs_end: blob.address.wrapping_add(end),
                scopes: self.word(blob.address, layout.compiled_scopes)?,
                metadata: blob.address.wrapping_add(u64::from(metadata)),
            })
        }
    }

    /// Hands out the methods that run in compiled code, leaf first. The table has where instructions
    /// end: return addresses, and more than the address of an instruction.
    pub(super) fn scopes(
        &mut self,
        blob: &Blob,
        at: At,
        mut put: impl FnMut(&mut Self, Scope),
    ) -> Option<()> {
        let tables = self.tables(blob)?;
        let mut offset = match at {
            At::Beginning => return None,
            At::Return(pc) => {
                let index = self.index_of(&tables, pc.checked_sub(blob.code)?)?;
                self.described_at(&tables, index)?
            }
            At::Interrupted(pc) => self.interrupted_at(&tables, pc.checked_sub(blob.code)?)?,
        };
        for _ in 0..MAX_DEPTH {
            let Description { caller, number, place } = self.description(&tables, offset)?;
            let slot = u64::from(number.checked_sub(1)?).wrapping_mul(8);
            let method = self.memory.word(tables.metadata.wrapping_add(slot))?;
            let place = place.checked_sub(1).and_then(|place| u16::try_from(place).ok());
            put(self, Scope { method, place, inlined: caller != 0 });
            // A caller is described before what was put into it.
            if caller == 0 || caller >= offset {
                break;
            }
            offset = caller;
        }
        Some(())
    }

    /// What is described at `offset`: a method, and who called it.
    fn description(&mut self, tables: &Tables, offset: u32) -> Option<Description> {
        let mut at = tables.scopes.wrapping_add(u64::from(offset));
        let (caller, number) = (self.unsigned5(&mut at)?, self.unsigned5(&mut at)?);
        Some(Description { caller, number, place: self.unsigned5(&mut at)? })
    }

    /// Where the methods are described of an instruction that was interrupted. Of C1's code calls and
    /// checks for safepoints are known: behind the last one of a loop may come what is at no
    /// instruction of bytecode, or nothing at all. Then it is where the last one was, unless that is in
    /// a method that was put into this one.
    fn interrupted_at(&mut self, tables: &Tables, offset: u64) -> Option<u32> {
        let index = self.index_of(tables, offset.checked_add(1)?)?;
        let next = self.described_at(tables, index);
        let of_next = next.and_then(|next| self.description(tables, next));
        if of_next.is_some_and(|it| it.caller != 0 || it.place != 0) {
            return next;
        }
        let last = index.checked_sub(1).and_then(|index| self.described_at(tables, index));
        let of_last = last.and_then(|last| self.description(tables, last));
        if of_last.is_some_and(|it| it.caller == 0 && it.place != 0) { last } else { next }
    }

    /// Where in the table the first address is that is not below `offset`. It ends with one that is
    /// above all, and described nowhere.
    fn index_of(&mut self, tables: &Tables, offset: u64) -> Option<u64> {
        let count = tables.pcs_end.checked_sub(tables.pcs)? / PC_BYTES;
        if count > MAX_PCS {
            return None;
        }
        let offset = i64::try_from(offset).ok()?;
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low.midpoint(high);
            if i64::from(self.entry(tables, middle)? as u32 as i32) < offset {
                low = middle.wrapping_add(1);
            } else {
                high = middle;
            }
        }
        (low < count).then_some(low)
    }

    /// Where the methods are described of an entry of the table.
    fn described_at(&mut self, tables: &Tables, index: u64) -> Option<u32> {
        let scope = (self.entry(tables, index)? >> 32) as u32;
        (scope != 0).then_some(scope)
    }

    fn entry(&mut self, tables: &Tables, index: u64) -> Option<u64> {
        self.memory.word(tables.pcs.wrapping_add(index.wrapping_mul(PC_BYTES)))
    }

    /// Where a frame returns to whose return address was replaced because its code was found to be
    /// wrong; else the return address itself.
    pub(super) fn original_pc(&mut self, blob: &Blob, pc: u64, sp: u64) -> u64 {
        let layout = self.layout;
        let handler = if layout.tables_are_apart {
            self.half(blob.address, layout.compiled_deopt)
                .map(|offset| blob.address.wrapping_add(u64::from(offset)))
        } else {
            self.word(blob.address, layout.compiled_deopt)
        };
        if handler != Some(pc) {
            return pc;
        }
        let original = self
            .half(blob.address, layout.compiled_original_pc)
            .and_then(|offset| self.memory.word(sp.wrapping_add(u64::from(offset))));
        original.filter(|original| *original >= blob.code && self.covers(*original)).unwrap_or(pc)
    }
}

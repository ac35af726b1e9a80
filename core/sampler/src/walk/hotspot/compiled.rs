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

    /// Hands out the methods that run at an address of compiled code, leaf first, and says how many.
    /// `pc` is that of a return address, or one more than that of the instruction that runs: the
    /// table has where instructions end.
    pub(super) fn scopes(
        &mut self,
        blob: &Blob,
        pc: u64,
        mut put: impl FnMut(&mut Self, Scope),
    ) -> Option<()> {
        let tables = self.tables(blob)?;
        let offset = self.scope_at(&tables, pc.checked_sub(blob.code)?)?;
        let mut offset = offset;
        for _ in 0..MAX_DEPTH {
            let mut at = tables.scopes.wrapping_add(u64::from(offset));
            let caller = self.unsigned5(&mut at)?;
            let number = self.unsigned5(&mut at)?;
            let place = self.unsigned5(&mut at)?;
            let slot = u64::from(number.checked_sub(1)?).wrapping_mul(8);
            let method = self.memory.word(tables.metadata.wrapping_add(slot))?;
            // One more than the instruction, so that 0 is before the first.
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

    /// Where the methods are described of the first address that is not below `offset`.
    fn scope_at(&mut self, tables: &Tables, offset: u64) -> Option<u32> {
        let count = tables.pcs_end.checked_sub(tables.pcs)? / PC_BYTES;
        if count > MAX_PCS {
            return None;
        }
        let mut entry = |index: u64| {
            let word = self.memory.word(tables.pcs.wrapping_add(index.wrapping_mul(PC_BYTES)))?;
            Some((i64::from(word as u32 as i32), (word >> 32) as u32))
        };
        let offset = i64::try_from(offset).ok()?;
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low.midpoint(high);
            if entry(middle)?.0 < offset {
                low = middle.wrapping_add(1);
            } else {
                high = middle;
            }
        }
        if low == count {
            return None;
        }
        entry(low).map(|(_, scope)| scope).filter(|scope| *scope != 0)
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

//! Code objects of another process: what each is recognised by, and reading them from outside.

use super::code::{self, Run};
use super::frames::{self, Frames, Thread, WalkedPython, field};
use super::outside::Outside;
use crate::interner::mix;
use crate::memory::MemoryReader;

/// What a code object is recognised by. An object that takes the place of one that is gone has
/// another check, or the same name, file and lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CodeIdentity {
    /// The address of the object.
    pub address: u64,
    /// A hash of its first line, of where its name, file and line table are, of the lengths and
    /// hashes of both texts as the interpreter keeps them, and of the table's length and first bytes.
    pub check: u64,
}

impl Outside {
    /// Walks the frames of the thread whose `PyThreadState` is at `state`, leaf first, at most
    /// `limit` of them: one more word says when there were more, or when some could not be read.
    /// `registers` are what the thread's registers hold, where that is known: on 3.11 and 3.12 the
    /// frames of a call that has just begun are found through them.
    ///
    /// The thread must be stopped, or what is found is of different moments.
    pub fn frames<M: MemoryReader, F: Frames<M>>(
        &self,
        memory: &mut M,
        (state, registers): (u64, &[u64]),
        limit: usize,
        sink: &mut F,
    ) -> WalkedPython {
        frames::walk(&self.python, memory, Thread { state, registers }, limit, sink)
    }

    /// The identity of the code object at an address. `None` for what is none, is freed, or cannot be
    /// read.
    pub fn identity<M: MemoryReader>(&self, memory: &mut M, code: u64) -> Option<CodeIdentity> {
        let is_living = is_count(memory.word(code)?) && self.python.is_code(memory, code);
        if is_living { self.check(memory, code) } else { None }
    }

    /// The identity of a code object that a running frame has: it lives, and its type was looked at.
    pub fn check<M: MemoryReader>(&self, memory: &mut M, code: u64) -> Option<CodeIdentity> {
        let offsets = self.python.layout.offsets;
        let at = |offset: u16| code.wrapping_add(u64::from(offset));
        let name = memory.word(at(offsets.code_name))?;
        let file = memory.word(at(offsets.code_file))?;
        let table = memory.word(at(offsets.code_line_table))?;
        // `PyASCIIObject.hash` follows the length.
        let text_hash = offsets.text_length.wrapping_add(8);
        let mut check = u64::from(memory.half(at(offsets.code_first_line))?);
        for word in [
            name,
            file,
            table,
            field(memory, table, offsets.object_size)?,
            field(memory, table, offsets.bytes_start)?,
            field(memory, name, offsets.text_length)?,
            field(memory, name, text_hash)?,
            field(memory, file, offsets.text_length)?,
            field(memory, file, text_hash)?,
        ] {
            check = mix(check ^ word);
        }
        Some(CodeIdentity { address: code, check })
    }

    /// Hands out the pieces of a code object's [`CodeDefinition`](super::CodeDefinition), one after
    /// the other. `None` where it cannot be read; then pieces may have been handed out.
    pub fn define<M: MemoryReader>(
        &self,
        memory: &mut M,
        code: u64,
        mut put: impl FnMut(&[u8]),
    ) -> Option<()> {
        let parts = code::parts(&self.python, memory, code)?;
        parts.shape.header().into_iter().for_each(|word| put(&word.to_ne_bytes()));
        for Run { start, bytes } in [parts.name, parts.file, parts.line_table] {
            let mut at = start;
            let mut left = bytes as usize;
            while left > 0 {
                let piece = memory.bytes_from(at)?.to_le_bytes();
                let length = left.min(8usize.saturating_sub((at & 7) as usize));
                put(piece.get(..length)?);
                at = at.wrapping_add(length as u64);
                left = left.saturating_sub(length);
            }
        }
        Some(())
    }
}

/// Whether the first word of an object is a count of references. In freed memory the interpreter's
/// allocator keeps the address of the next free piece there, or null.
fn is_count(word: u64) -> bool {
    // Flags of 3.14 lie above what can be an address.
    word != 0 && !(1 << 40..1 << 47).contains(&word)
}

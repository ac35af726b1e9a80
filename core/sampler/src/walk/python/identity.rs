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
    /// A hash of its first line, of where its name, file and line table are, of the length and the
    /// end of both texts, and of the table's length and first bytes.
    pub check: u64,
}

impl CodeIdentity {
    /// The bits of a check for which a record of the eBPF program has room: 28 high and 12 low ones.
    pub const RECORDED: u64 = 0xffff_fff0_0000_0fff;
}

/// A frame of Python as a record of the eBPF program has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedFrame {
    /// The address of the code object.
    pub address: u64,
    /// The bits [`CodeIdentity::RECORDED`] of its check when it was sampled.
    pub check: u64,
    /// The instruction, in code units of two bytes.
    pub unit: u32,
    /// As in [`PythonFrame::Code`](super::PythonFrame::Code).
    pub entry: bool,
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
        let mut check = u64::from(memory.half(at(offsets.code_first_line))?);
        for word in [
            name,
            file,
            table,
            field(memory, table, offsets.object_size)?,
            field(memory, table, offsets.bytes_start)?,
        ] {
            check = mix(check ^ word);
        }
        for text in [name, file] {
            check = self.mix_text(memory, text, check)?;
        }
        Some(CodeIdentity { address: code, check })
    }

    /// Mixes what a text is into a check: its length, its kind, its end. Not the hash that the
    /// interpreter keeps, which most files and names get late or never.
    fn mix_text<M: MemoryReader>(&self, memory: &mut M, text: u64, check: u64) -> Option<u64> {
        let layout = self.python.layout;
        let length = field(memory, text, layout.offsets.text_length).filter(|it| it >> 32 == 0)?;
        let state = field(memory, text, layout.offsets.text_state)? as u32;
        let kind = u64::from(state >> (layout.text_kind_shift & 31) & 31);
        let start = match kind & 16 {
            0 => layout.offsets.text_compact,
            _ => layout.offsets.text_ascii,
        };
        let mut end = 0;
        if kind & 8 != 0 && matches!(kind & 7, 1 | 2 | 4) && length > 0 {
            let bytes = length.wrapping_mul(kind & 7);
            end = tail(memory, text.wrapping_add(u64::from(start)), bytes)?;
        }
        Some(mix(mix(check ^ length ^ kind << 56) ^ end))
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

/// The last 8 bytes of `bytes` that begin at `start`, or as many as there are.
fn tail<M: MemoryReader>(memory: &mut M, start: u64, bytes: u64) -> Option<u64> {
    let from = start.wrapping_add(bytes.saturating_sub(8));
    let skipped = (from & 7) as u32;
    let mut word = memory.bytes_from(from)?;
    if skipped > 0 {
        let high = u64::from_le(memory.word((from & !7).wrapping_add(8))?);
        word |= high << 64u32.wrapping_sub(skipped.wrapping_mul(8));
    }
    let unused = 64u64.saturating_sub(bytes.saturating_mul(8)) as u32;
    Some(word & u64::MAX.checked_shr(unused).unwrap_or(0))
}

/// Whether the first word of an object is a count of references. In freed memory the interpreter's
/// allocator keeps the address of the next free piece there, or null.
fn is_count(word: u64) -> bool {
    // Flags of 3.14 lie above what can be an address.
    word != 0 && !(1 << 40..1 << 47).contains(&word)
}

//! Code objects: what tells one from another, and copying what names and lines need.

use super::definition::CodeShape;
use super::frames::field;
use super::interpreter::Interpreter;
use crate::interner::{Key, Room, mix};
use crate::memory::MemoryReader;

/// Characters of a name or a file that are copied; the rest is left out.
const MAX_CHARACTERS: u64 = 4096;

/// Bytes of a line table that are copied: about 50,000 lines. Beyond, lines are not known.
const MAX_TABLE: u64 = 256 << 10;

/// A run of bytes in the interpreter's memory.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Run {
    pub(crate) start: u64,
    pub(crate) bytes: u32,
}

/// The parts of a code object that are copied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts {
    pub(crate) shape: CodeShape,
    pub(crate) name: Run,
    pub(crate) file: Run,
    pub(crate) line_table: Run,
}

/// What a code object is recognised by: where it is, and what it consists of. An object that takes
/// the place of one that is gone differs in one of them, or is the same to us.
#[inline(always)]
pub(crate) fn key<M: MemoryReader>(python: &Interpreter, memory: &mut M, code: u64) -> Option<Key> {
    let offsets = python.layout.offsets;
    let at = |offset: u16| code.wrapping_add(u64::from(offset));
    let table = memory.word(at(offsets.code_line_table))?;
    let mut hash = u64::from(memory.half(at(offsets.code_first_line))?);
    for word in [
        memory.word(at(offsets.code_name))?,
        memory.word(at(offsets.code_file))?,
        table,
        field(memory, table, offsets.object_size)?,
        field(memory, table, offsets.bytes_start)?,
    ] {
        hash = mix(hash ^ word);
    }
    Some(Key { address: code, fingerprint: hash })
}

/// Finds the parts of a code object.
pub(crate) fn parts<M: MemoryReader>(
    python: &Interpreter,
    memory: &mut M,
    code: u64,
) -> Option<Parts> {
    let offsets = python.layout.offsets;
    let at = |offset: u16| code.wrapping_add(u64::from(offset));
    let first_line = memory.half(at(offsets.code_first_line))? as i32;
    let name = memory.word(at(offsets.code_name))?;
    let (name_width, name) = text(python, memory, name)?;
    let file = memory.word(at(offsets.code_file))?;
    let (file_width, file) = text(python, memory, file)?;
    let table = memory.word(at(offsets.code_line_table))?;
    let line_table = Run {
        start: table.wrapping_add(u64::from(offsets.bytes_start)),
        bytes: field(memory, table, offsets.object_size)?.min(MAX_TABLE) as u32,
    };
    let shape = CodeShape {
        first_line,
        format: python.layout.line_table,
        name: (name_width, name.bytes),
        file: (file_width, file.bytes),
        line_table: line_table.bytes,
    };
    Some(Parts { shape, name, file, line_table })
}

/// Where the characters of a text are, and how wide they are; width 0 for a text whose characters
/// lie elsewhere (instances of subclasses of `str`), or that makes no sense.
fn text<M: MemoryReader>(python: &Interpreter, memory: &mut M, text: u64) -> Option<(u8, Run)> {
    let offsets = python.layout.offsets;
    let length = field(memory, text, offsets.text_length)?;
    let state = memory.half(text.wrapping_add(u64::from(offsets.text_state)))?;
    let bits = state.checked_shr(u32::from(python.layout.text_kind_shift)).unwrap_or(0);
    let (width, compact, ascii) = (bits & 7, bits & 8 != 0, bits & 16 != 0);
    if !compact || !matches!(width, 1 | 2 | 4) {
        return Some((0, Run::default()));
    }
    let start = if ascii { offsets.text_ascii } else { offsets.text_compact };
    let bytes = length.min(MAX_CHARACTERS).wrapping_mul(u64::from(width)) as u32;
    Some((width as u8, Run { start: text.wrapping_add(u64::from(start)), bytes }))
}

impl Parts {
    /// Copies the parts in the form of a [`CodeDefinition`](super::CodeDefinition). `false` if they
    /// cannot be read after all.
    pub(crate) fn copy<M: MemoryReader>(&self, memory: &mut M, room: &mut Room<'_>) -> bool {
        self.shape.header().into_iter().for_each(|word| room.put(word, 8));
        let runs = [self.name, self.file, self.line_table];
        runs.into_iter().all(|run| room.copy(memory, run.start, run.bytes as usize))
    }
}

//! `_Py_DebugOffsets`: from 3.13 on, `_PyRuntime` starts with a table of the build's own offsets.
//!
//! Source: `Include/internal/pycore_runtime.h` (3.13), `pycore_debug_offsets.h` (3.14). Groups of
//! 64-bit numbers follow a cookie, the version and whether the build has no GIL. What the table
//! does not have (contexts) is taken from the row of the version.

use super::interpreter::Unsupported;
use super::layout::{Layout, Offsets};
use crate::memory::MemoryReader;

/// `xdebugpy`.
const COOKIE: u64 = u64::from_ne_bytes(*b"xdebugpy");

/// Positions of the first fields, in words.
const VERSION: u64 = 1;
const FREE_THREADED: u64 = 2;

/// Positions in words, as far as a version differs from another.
struct Positions {
    /// `thread_state.current_frame`.
    current_frame: u64,
    /// `interpreter_frame.previous`, followed by `.executable` and `.instr_ptr`.
    previous: u64,
    /// `interpreter_frame.owner`.
    owner: u64,
    /// `code_object.filename`, followed by others.
    filename: u64,
    /// `pyobject.ob_type`.
    object_type: u64,
    /// `bytes_object.ob_size`, followed by `.ob_sval`.
    bytes_size: u64,
    /// `unicode_object.state`, followed by `.length` and `.asciiobject_size`.
    text_state: u64,
}

/// 3.13: groups of 3, 13, 9, 6, 10, 2, 4, 3, 3, 3, 2, 3, 3 and 4 numbers behind the first three.
const V3_13: Positions = Positions {
    current_frame: 23,
    previous: 29,
    owner: 33,
    filename: 35,
    object_type: 45,
    bytes_size: 65,
    text_state: 68,
};

/// Replaces what the table knows better than the row of the version.
pub(super) fn apply<M: MemoryReader>(
    layout: Layout,
    minor: u8,
    memory: &mut M,
    table: u64,
) -> Result<Layout, Unsupported> {
    let mut word = |index: u64| {
        let address = table.wrapping_add(index.wrapping_mul(8));
        memory.word(address).ok_or(Unsupported::NoDebugOffsets)
    };
    let version = 3 << 8 | u64::from(minor);
    if word(0)? != COOKIE || word(VERSION)? >> 16 != version {
        return Err(Unsupported::NoDebugOffsets);
    }
    if word(FREE_THREADED)? != 0 {
        return Err(Unsupported::FreeThreaded);
    }
    // The row of a later version has groups that differ; its self-test tells whether it fits.
    if minor != 13 {
        return Ok(layout);
    }
    let at = V3_13;
    let mut offset =
        |index: u64| u16::try_from(word(index)?).map_err(|_| Unsupported::NoDebugOffsets);
    let offsets = Offsets {
        object_type: offset(at.object_type)?,
        object_size: offset(at.bytes_size)?,
        thread_frame: offset(at.current_frame)?,
        frame_previous: offset(at.previous)?,
        frame_code: offset(at.previous.wrapping_add(1))?,
        frame_instruction: offset(at.previous.wrapping_add(2))?,
        frame_owner: offset(at.owner)?,
        code_file: offset(at.filename)?,
        code_name: offset(at.filename.wrapping_add(2))?,
        code_line_table: offset(at.filename.wrapping_add(3))?,
        code_first_line: offset(at.filename.wrapping_add(4))?,
        code_start: offset(at.filename.wrapping_add(8))?,
        bytes_start: offset(at.bytes_size.wrapping_add(1))?,
        text_state: offset(at.text_state)?,
        text_length: offset(at.text_state.wrapping_add(1))?,
        text_ascii: offset(at.text_state.wrapping_add(2))?,
        ..layout.offsets
    };
    Ok(Layout { offsets, ..layout })
}

/// Where `_PyRuntime` points to the first interpreter, and in an interpreter the next one and its
/// first thread state: `runtime_state.interpreters_head`, `interpreter_state.next` and
/// `.threads_head`, which have the same places in every version so far.
pub(super) fn lists<M: MemoryReader>(memory: &mut M, table: u64) -> Option<(u64, u64, u64)> {
    let mut offset = |index: u64| {
        let offset = memory.word(table.wrapping_add(index.wrapping_mul(8)))?;
        (offset < 1 << 20).then_some(offset)
    };
    Some((table.wrapping_add(offset(5)?), offset(8)?, offset(9)?))
}

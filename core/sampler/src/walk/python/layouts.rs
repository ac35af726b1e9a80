//! The layouts of CPython's versions, one row each.
//!
//! Sources: `Include/cpython/pystate.h`, `frameobject.h`, `code.h` and `unicodeobject.h`,
//! `Include/internal/pycore_frame.h` (3.14: `pycore_interpframe_structs.h`), `pycore_context.h` and
//! `pycore_hamt.h`, and `Python/hamt.c` of each version. The rows hold for 64-bit builds with the
//! GIL; [`Interpreter::check`](super::Interpreter::check) finds builds for which they don't.

use super::definition::LineTable;
use super::layout::{Entry, Instruction, Layout, Offsets, Root, UNUSED};

/// The layouts that releases of CPython 3.`minor` have had, of which the self-test finds the right
/// one; none if no row is known.
pub fn layouts(minor: u8) -> &'static [Layout] {
    match minor {
        8 | 9 => &[V3_9],
        10 => &[V3_10],
        11 => &[V3_11],
        12 => &[V3_12],
        13 => &[V3_13],
        14 => &[V3_14_10, V3_14_0],
        15 => &[V3_15],
        _ => &[],
    }
}

/// 3.8 and 3.9, which differ in nothing that is read here.
const V3_9: Layout = Layout {
    root: Root::ThreadState,
    instruction: Instruction::Bytes,
    entry: Entry::Always,
    tag_bits: 0,
    text_kind_shift: 2,
    line_table: LineTable::Lnotab,
    offsets: Offsets {
        object_type: 8,
        object_size: 16,
        type_name: 24,
        thread_frame: 24,
        thread_context: 240,
        cframe_frame: UNUSED,
        cframe_previous: UNUSED,
        frame_code: 32,
        frame_previous: 24,
        frame_instruction: 104,
        frame_owner: UNUSED,
        frame_entry: UNUSED,
        code_first_line: 40,
        code_name: 112,
        code_file: 104,
        code_line_table: 120,
        code_start: UNUSED,
        text_length: 16,
        text_state: 32,
        text_ascii: 48,
        text_compact: 72,
        bytes_start: 32,
        context_variables: 24,
        hamt_root: 16,
        array_nodes: 16,
        bitmap_bits: 24,
        pairs: 32,
    },
};

const V3_10: Layout = Layout {
    instruction: Instruction::Units,
    line_table: LineTable::Ranges,
    offsets: Offsets { frame_instruction: 96, ..V3_9.offsets },
    ..V3_9
};

const V3_11: Layout = Layout {
    root: Root::CFrame,
    instruction: Instruction::Pointer,
    entry: Entry::Flag,
    line_table: LineTable::Locations,
    offsets: Offsets {
        thread_frame: 56,
        thread_context: 224,
        cframe_frame: 8,
        cframe_previous: 16,
        frame_code: 32,
        frame_previous: 48,
        frame_instruction: 56,
        frame_owner: 69,
        frame_entry: 68,
        code_first_line: 72,
        code_name: 128,
        code_file: 112,
        code_line_table: 136,
        code_start: 184,
        ..V3_9.offsets
    },
    ..V3_9
};

const V3_12: Layout = Layout {
    entry: Entry::Below(3),
    offsets: Offsets {
        thread_context: 208,
        cframe_frame: 0,
        cframe_previous: 8,
        frame_code: 0,
        frame_previous: 8,
        frame_owner: 70,
        frame_entry: UNUSED,
        code_first_line: 68,
        code_start: 192,
        text_ascii: 40,
        text_compact: 56,
        ..V3_11.offsets
    },
    ..V3_11
};

const V3_13: Layout = Layout {
    root: Root::ThreadState,
    offsets: Offsets {
        thread_frame: 72,
        cframe_frame: UNUSED,
        cframe_previous: UNUSED,
        code_start: 200,
        ..V3_12.offsets
    },
    ..V3_12
};

/// 3.14.0: the first 16 bits of a text's state say whether it is interned.
const V3_14_0: Layout = Layout { text_kind_shift: 16, ..V3_14_10 };

/// 3.14.10, where that takes two bits again, as before 3.14.
const V3_14_10: Layout = Layout {
    entry: Entry::Below(4),
    tag_bits: 3,
    offsets: Offsets { frame_owner: 74, code_start: 208, ..V3_13.offsets },
    ..V3_13
};

const V3_15: Layout =
    Layout { offsets: Offsets { thread_context: 232, ..V3_14_10.offsets }, ..V3_14_10 };

//! Where CPython keeps what a walk reads: offsets in its structures, and what their values mean.

use super::definition::LineTable;

/// How a version of CPython lays out frames, code objects, texts and contexts.
///
/// Plain data: every field can be wrong, in which case a walk finds nothing or nonsense, and never
/// faults. [`Interpreter::check`](super::Interpreter::check) tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// How the running frame is found from the thread state.
    pub root: Root,
    /// How a frame says which instruction it runs.
    pub instruction: Instruction,
    /// How a frame says that the evaluation function was entered for it.
    pub entry: Entry,
    /// The low bits of a frame's pointer to its code object that are a tag.
    pub tag_bits: u8,
    /// The lowest bit of the 5 in a text's state that are the width of its characters (3 bits),
    /// whether it is compact, and whether it is ASCII.
    pub text_kind_shift: u8,
    /// How line tables are written.
    pub line_table: LineTable,
    /// Offsets in bytes.
    pub offsets: Offsets,
}

/// How the running frame is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// The thread state has it: `frame` up to 3.10, `current_frame` from 3.13 on.
    ThreadState,
    /// The thread state points to a `_PyCFrame` on the C stack, which has it: 3.11 and 3.12.
    ///
    /// The evaluation function makes the thread state point there before it fills the structure
    /// in, so that for a few instructions it is garbage.
    CFrame,
}

/// How a frame says which instruction it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// A 32-bit number of bytes from the start of the code (3.9 and earlier).
    Bytes,
    /// A 32-bit number of code units of two bytes (3.10).
    Units,
    /// A pointer into the code object's `co_code_adaptive` (3.11 and later).
    Pointer,
}

/// How a frame says that the evaluation function was entered for it from C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Every frame has its own call (3.10 and earlier).
    Always,
    /// `is_entry` is not 0 (3.11).
    Flag,
    /// Such a frame's caller is one that has no code of its own: its owner is from 3 up to this
    /// (3.12: `FRAME_OWNED_BY_CSTACK`, 3; 3.14 has `FRAME_OWNED_BY_INTERPRETER` beside it).
    Below(u8),
}

/// An offset that a version has no use for.
pub const UNUSED: u16 = u16::MAX;

macro_rules! offsets {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Offsets in bytes from the start of the structure that each one's name begins with;
        /// [`UNUSED`] for what a version does not have.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the macro passes the documentation of each field on")]
        pub struct Offsets {
            $($(#[$doc])* pub $name: u16,)*
        }

        impl Offsets {
            /// Every offset with its name.
            pub fn each(&mut self) -> [(&'static str, &mut u16); [$(stringify!($name)),*].len()] {
                [$((stringify!($name), &mut self.$name)),*]
            }
        }
    };
}

offsets! {
    /// `PyObject.ob_type`.
    object_type,
    /// `PyVarObject.ob_size`.
    object_size,
    /// `PyTypeObject.tp_name`.
    type_name,
    /// `PyThreadState.frame` (3.10 and earlier), `.cframe` (3.11, 3.12) or `.current_frame`.
    thread_frame,
    /// `PyThreadState.context`.
    thread_context,
    /// `_PyCFrame.current_frame`.
    cframe_frame,
    /// `_PyCFrame.previous`.
    cframe_previous,
    /// `PyFrameObject.f_code`, `_PyInterpreterFrame.f_code` or `.f_executable`.
    frame_code,
    /// `PyFrameObject.f_back` or `_PyInterpreterFrame.previous`.
    frame_previous,
    /// `PyFrameObject.f_lasti`, `_PyInterpreterFrame.prev_instr` or `.instr_ptr`.
    frame_instruction,
    /// `_PyInterpreterFrame.owner`, one byte.
    frame_owner,
    /// `_PyInterpreterFrame.is_entry`, one byte (3.11).
    frame_entry,
    /// `PyCodeObject.co_firstlineno`, 4 bytes.
    code_first_line,
    /// `PyCodeObject.co_qualname`, or `co_name` where there is none (3.10 and earlier).
    code_name,
    /// `PyCodeObject.co_filename`.
    code_file,
    /// `PyCodeObject.co_lnotab` (3.9 and earlier) or `.co_linetable`.
    code_line_table,
    /// `PyCodeObject.co_code_adaptive`, the first instruction.
    code_start,
    /// `PyASCIIObject.length`.
    text_length,
    /// `PyASCIIObject.state`, 4 bytes.
    text_state,
    /// The characters of an ASCII text: the size of `PyASCIIObject`.
    text_ascii,
    /// The characters of any other compact text: the size of `PyCompactUnicodeObject`.
    text_compact,
    /// `PyBytesObject.ob_sval`.
    bytes_start,
    /// `PyContext.ctx_vars`, a `PyHamtObject`.
    context_variables,
    /// `PyHamtObject.h_root`.
    hamt_root,
    /// `PyHamtNode_Array.a_array`, 32 nodes.
    array_nodes,
    /// `PyHamtNode_Bitmap.b_bitmap`, 4 bytes.
    bitmap_bits,
    /// `PyHamtNode_Bitmap.b_array`, pairs of a key and a value, or of null and a node; and
    /// `PyHamtNode_Collision.c_array`, pairs of a key and a value.
    pairs,
}

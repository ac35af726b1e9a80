//! The self-test: an interpreter's layout is used only if it reads known frames as they are.

use super::code::{self, Run};
use super::context;
use super::definition::CodeShape;
use super::frames::{self, Frames, Thread};
use super::interpreter::Interpreter;
use super::layout::{Entry, UNUSED};
use super::thread_state;
use super::word::PythonFrame;
use crate::labels::Labels;
use crate::memory::{MemoryReader, SelfMemory};

/// `FRAME_OWNED_BY_GENERATOR`.
const OWNED_BY_GENERATOR: u8 = 1;

/// Frames that a walk looks at.
const MAX_DEPTH: usize = 4096;

/// A frame as the interpreter describes it.
#[derive(Clone, Copy, Debug)]
pub struct ExpectedFrame<'a> {
    /// `co_qualname`, or `co_name` before 3.11.
    pub name: &'a str,
    /// `co_filename`.
    pub file: &'a str,
    /// `co_firstlineno`.
    pub first_line: i32,
    /// `co_linetable`, or `co_lnotab` before 3.10.
    pub line_table: &'a [u8],
    /// Half of `f_lasti`.
    pub unit: u32,
    /// Whether C code called the function (or generator); from 3.11 on, Python code that calls
    /// another function stays in the same evaluation. Not looked at for earlier versions.
    pub entry: bool,
    /// Whether it is the frame of a generator. Not looked at for versions before 3.11.
    pub generator: bool,
}

/// The calling thread as the interpreter describes it.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The leaf frames, leaf first.
    pub frames: &'a [ExpectedFrame<'a>],
    /// All frames of the thread.
    pub depth: usize,
    /// The labels in the running context.
    pub labels: Option<Labels>,
}

/// What was not found as expected; where there is a number, in which of the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// The calling thread has no thread state.
    NoThreadState,
    /// Frames could not be read to the end.
    Unreadable,
    /// There are more or fewer frames, or fewer than expected ones.
    Depth(usize),
    /// A function's name.
    Name(usize),
    /// A function's file.
    File(usize),
    /// A function's first line.
    FirstLine(usize),
    /// A function's line table.
    LineTable(usize),
    /// A frame's instruction.
    Instruction(usize),
    /// Whether the evaluation function was entered for a frame.
    Entry(usize),
    /// Whether a frame is a generator's.
    Owner(usize),
    /// The labels of the running context.
    Labels,
}

impl core::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (what, frame) = match self {
            Self::NoThreadState => return f.write_str("the thread has no state"),
            Self::Unreadable => return f.write_str("frames cannot be read"),
            Self::Depth(found) => return write!(f, "{found} frames are read"),
            Self::Labels => return f.write_str("the labels of the context are not found"),
            Self::Name(frame) => ("name", frame),
            Self::File(frame) => ("file", frame),
            Self::FirstLine(frame) => ("first line", frame),
            Self::LineTable(frame) => ("line table", frame),
            Self::Instruction(frame) => ("instruction", frame),
            Self::Entry(frame) => ("entry", frame),
            Self::Owner(frame) => ("owner", frame),
        };
        write!(f, "the {what} of frame {frame} is read wrongly")
    }
}

impl Interpreter {
    /// Reads the calling thread's frames and labels and compares them with what the interpreter
    /// says of them. To be called, with the GIL, in a native function that Python code calls. Reads
    /// every word by a system call first, so that a wrong layout cannot fault: some milliseconds.
    ///
    /// # Errors
    /// The first [`Mismatch`]. The layout must then not be used.
    pub fn check(&self, expected: &Expected<'_>) -> Result<(), Mismatch> {
        let own = self.own_state().ok_or(Mismatch::NoThreadState)?;
        let mut memory = SelfMemory::probing();
        let state = thread_state::running(self, &mut memory, own);
        let from = Thread { state, registers: &[] };
        let mut compare = Compare { python: self, expected, seen: 0, first: None };
        let walked = frames::walk(self, &mut memory, from, MAX_DEPTH, &mut compare);
        if let Some(mismatch) = compare.first {
            return Err(mismatch);
        }
        if walked.lost || walked.restarted {
            return Err(Mismatch::Unreadable);
        }
        if walked.frames != expected.depth || walked.frames < expected.frames.len() {
            return Err(Mismatch::Depth(walked.frames));
        }
        if context::labels(self, &mut memory, state) != expected.labels {
            return Err(Mismatch::Labels);
        }
        Ok(())
    }
}

/// Compares frames as they come.
struct Compare<'a> {
    python: &'a Interpreter,
    expected: &'a Expected<'a>,
    seen: usize,
    first: Option<Mismatch>,
}

impl Compare<'_> {
    fn note(&mut self, right: bool, mismatch: impl FnOnce() -> Mismatch) {
        if !right && self.first.is_none() {
            self.first = Some(mismatch());
        }
    }

    fn owner(&self, memory: &mut impl MemoryReader, frame: u64) -> Option<u8> {
        let offset = self.python.layout.offsets.frame_owner;
        memory.byte(frame.wrapping_add(u64::from(offset)))
    }
}

impl<M: MemoryReader> Frames<M> for Compare<'_> {
    fn code(&mut self, memory: &mut M, frame: u64, code: u64) -> Option<u32> {
        let number = self.seen;
        self.seen = number.wrapping_add(1);
        let Some(expected) = self.expected.frames.get(number) else { return Some(0) };
        let parts = code::parts(self.python, memory, code)?;
        let CodeShape { name, file, first_line, .. } = parts.shape;
        self.note(first_line == expected.first_line, || Mismatch::FirstLine(number));
        let same = is_text(memory, parts.name, name.0, expected.name);
        self.note(same, || Mismatch::Name(number));
        let same = is_text(memory, parts.file, file.0, expected.file);
        self.note(same, || Mismatch::File(number));
        let same = is_bytes(memory, parts.line_table, expected.line_table);
        self.note(same, || Mismatch::LineTable(number));
        if self.python.layout.offsets.frame_owner != UNUSED {
            let owned = self.owner(memory, frame) == Some(OWNED_BY_GENERATOR);
            self.note(owned == expected.generator, || Mismatch::Owner(number));
        }
        // What tells one code object from another must be readable too.
        code::key(self.python, memory, code)?;
        u32::try_from(number).ok()
    }

    fn put(&mut self, index: usize, word: u64) {
        let Some(expected) = self.expected.frames.get(index) else { return };
        let frame = PythonFrame::from_word(word);
        let Some(PythonFrame::Code { code, unit, entry }) = frame else {
            return self.note(false, || Mismatch::Unreadable);
        };
        let expected_entry = expected.entry || self.python.layout.entry == Entry::Always;
        self.note(code as usize == index, || Mismatch::Depth(index));
        self.note(unit == expected.unit, || Mismatch::Instruction(index));
        self.note(entry == expected_entry, || Mismatch::Entry(index));
    }
}

/// Whether a run is these bytes; of a very long table only the beginning is copied.
fn is_bytes<M: MemoryReader>(memory: &mut M, run: Run, expected: &[u8]) -> bool {
    let mut bytes = (0u64..).zip(expected);
    run.bytes as usize == expected.len()
        && bytes.all(|(offset, byte)| memory.byte(run.start.wrapping_add(offset)) == Some(*byte))
}

/// Whether a run is this text, in characters of `width` bytes.
fn is_text<M: MemoryReader>(memory: &mut M, run: Run, width: u8, expected: &str) -> bool {
    let mut end = 0u64;
    let same = expected.chars().all(|character| {
        let bytes = u32::from(character).to_le_bytes();
        let (kept, cut) = bytes.split_at_checked(usize::from(width)).unwrap_or((&[], &[]));
        let at = run.start.wrapping_add(end);
        end = end.wrapping_add(u64::from(width));
        let mut kept = (0u64..).zip(kept);
        width != 0
            && cut.iter().all(|byte| *byte == 0)
            && kept.all(|(offset, byte)| memory.byte(at.wrapping_add(offset)) == Some(*byte))
    });
    same && end == u64::from(run.bytes)
}

//! An interpreter of another process, whose threads are stopped.
//!
//! None of its functions can be called, so the state of a thread is looked for among all of them:
//! the interpreters' list begins in `_PyRuntime`. Where that is, from 3.13 on the table of offsets
//! says; before, an interpreter is recognised by a thread state that points back to it.

use super::code;
use super::debug_offsets;
use super::frames::{self, Thread, WalkedPython, field};
use super::interpreter::{Interpreter, Unsupported};
use super::layout::Layout;
use super::layouts::layouts;
use super::running::Interning;
use super::thread_state;
use crate::interner::Interner;
use crate::memory::MemoryReader;

/// Words of `_PyRuntime` among which the first interpreter is looked for.
const RUNTIME_WORDS: u64 = 64;

/// Words of an interpreter among which the first thread state is looked for.
const INTERPRETER_WORDS: u64 = 32;

/// `PyThreadState.next` and `.interp`, in every version.
const NEXT: u64 = 8;
const INTERPRETER: u64 = 16;

/// Interpreters, and states of each, that are looked at.
const MAX_INTERPRETERS: usize = 256;
const MAX_STATES: usize = 16 << 10;

/// Frames that are looked at to tell two layouts apart.
const TRIED_FRAMES: usize = 64;

/// Addresses, in another process, of symbols that every build of CPython exports, and its version.
#[derive(Clone, Copy, Debug)]
pub struct OutsideSymbols {
    /// The second number of the version: 12 for 3.12.1.
    pub minor: u8,
    /// The variable `_PyRuntime`.
    pub runtime: u64,
    /// The variable `PyCode_Type`.
    pub code_type: u64,
    /// The variable `PyBytes_Type`.
    pub bytes_type: u64,
    /// The function `_PyEval_EvalFrameDefault`.
    pub evaluation: u64,
}

/// See the module's description.
#[derive(Clone, Copy, Debug)]
pub struct Outside {
    pub(super) python: Interpreter,
    /// Where the first interpreter is pointed to.
    head: u64,
    /// In an interpreter: the next one, and its first thread state.
    next: u64,
    states: u64,
}

impl Outside {
    /// Finds the interpreter's thread states, and which layout it has.
    ///
    /// # Errors
    /// See [`Unsupported`]; [`Unsupported::NoSymbol`] also where no thread state is found.
    pub fn find<M: MemoryReader>(
        symbols: &OutsideSymbols,
        memory: &mut M,
    ) -> Result<Self, Unsupported> {
        let &OutsideSymbols { minor, runtime, code_type, bytes_type, evaluation } = symbols;
        if [runtime, code_type, bytes_type, evaluation].contains(&0) {
            return Err(Unsupported::NoSymbol);
        }
        let mut first = None;
        for layout in layouts(minor) {
            let mut layout = *layout;
            if minor >= 13 {
                layout = debug_offsets::apply(layout, minor, memory, runtime)?;
            }
            let python = Interpreter::of_other(layout, code_type, bytes_type, evaluation);
            let (head, next, states) = match minor {
                13.. => debug_offsets::lists(memory, runtime).ok_or(Unsupported::NoDebugOffsets)?,
                _ => search(memory, runtime).ok_or(Unsupported::NoSymbol)?,
            };
            let found = Self { python, head, next, states };
            if found.reads_texts(memory) {
                return Ok(found);
            }
            first = first.or(Some(found));
        }
        first.ok_or(Unsupported::Version(minor))
    }

    /// The state in which the thread with one of these identities runs Python: what `pthread_self()`
    /// is in it, or its number. `None` if it runs none.
    pub fn state_of<M: MemoryReader>(&self, memory: &mut M, identities: &[u64]) -> Option<u64> {
        let mut own = None;
        self.each_state(memory, |memory, state| {
            let is_own = identities.iter().any(|it| thread_state::is_of(memory, state, *it));
            // With sub-interpreters a thread has several states, and only one of them frames.
            if is_own && (own.is_none() || self.has_frames(memory, state)) {
                own = Some(state);
            }
            own.is_some_and(|_| self.has_frames(memory, state))
        });
        own
    }

    /// One that is known by hand, of whose threads nothing is known.
    #[cfg(test)]
    pub(super) fn of(python: Interpreter) -> Self {
        Self { python, head: 0, next: 0, states: 0 }
    }

    /// How it lays things out.
    pub fn layout(&self) -> Layout {
        self.python.layout
    }

    /// The address of the type of code objects.
    pub fn code_type(&self) -> u64 {
        self.python.code_type
    }

    /// Whether a state that was a thread's is so still, and has frames.
    pub fn is_state_of<M: MemoryReader>(&self, memory: &mut M, state: u64, identity: u64) -> bool {
        thread_state::is_of(memory, state, identity) && self.has_frames(memory, state)
    }

    /// The address of the evaluation function.
    pub fn evaluation(&self) -> u64 {
        self.python.evaluation()
    }

    /// As in a handler, for a thread that is stopped. `registers` are what its registers hold.
    pub(crate) fn walk<M: MemoryReader>(
        &self,
        memory: &mut M,
        (state, registers): (u64, &[u64]),
        (codes, limit): (&Interner, usize),
        put: impl FnMut(usize, u64),
    ) -> WalkedPython {
        let mut sink = Interning { python: &self.python, codes, put };
        frames::walk(&self.python, memory, Thread { state, registers }, limit, &mut sink)
    }

    fn has_frames<M: MemoryReader>(&self, memory: &mut M, state: u64) -> bool {
        let mut put = |_: &mut M, _: u64| Some(());
        self.first_code(memory, state, &mut put).is_some()
    }

    /// Hands the code objects of a state's leaf frames to `take` until that has what it wants.
    fn first_code<M: MemoryReader, T>(
        &self,
        memory: &mut M,
        state: u64,
        take: &mut impl FnMut(&mut M, u64) -> Option<T>,
    ) -> Option<T> {
        let layout = self.python.layout;
        let mut frame = field(memory, state, layout.offsets.thread_frame)?;
        if layout.root == super::layout::Root::CFrame {
            frame = field(memory, frame, layout.offsets.cframe_frame)?;
        }
        let tag = (1u64 << (layout.tag_bits & 63)).wrapping_sub(1);
        for _ in 0..TRIED_FRAMES {
            if frame == 0 {
                return None;
            }
            let code = field(memory, frame, layout.offsets.frame_code)? & !tag;
            if self.python.is_code(memory, code)
                && let Some(taken) = take(memory, code)
            {
                return Some(taken);
            }
            frame = field(memory, frame, layout.offsets.frame_previous)?;
        }
        None
    }

    /// Whether names of running functions are texts by this layout.
    fn reads_texts<M: MemoryReader>(&self, memory: &mut M) -> bool {
        let mut reads = false;
        self.each_state(memory, |memory, state| {
            let mut is_text = |memory: &mut M, code: u64| {
                let shape = code::parts(&self.python, memory, code)?.shape;
                (shape.name.0 != 0 && shape.file.0 != 0).then_some(())
            };
            reads = self.first_code(memory, state, &mut is_text).is_some();
            reads
        });
        reads
    }

    /// Hands every thread state to `look` until that says it is enough.
    pub fn each_state<M: MemoryReader>(
        &self,
        memory: &mut M,
        mut look: impl FnMut(&mut M, u64) -> bool,
    ) {
        let mut interpreter = memory.word(self.head).unwrap_or(0);
        for _ in 0..MAX_INTERPRETERS {
            if interpreter == 0 {
                return;
            }
            let mut state = memory.word(interpreter.wrapping_add(self.states)).unwrap_or(0);
            for _ in 0..MAX_STATES {
                if state == 0 {
                    break;
                }
                if look(memory, state) {
                    return;
                }
                state = memory.word(state.wrapping_add(NEXT)).unwrap_or(0);
            }
            interpreter = memory.word(interpreter.wrapping_add(self.next)).unwrap_or(0);
        }
    }
}

/// Where the first interpreter is pointed to, and in it the next one and its first thread state:
/// the newest one, which has none before it and points back.
fn search<M: MemoryReader>(memory: &mut M, runtime: u64) -> Option<(u64, u64, u64)> {
    for word in 0..RUNTIME_WORDS {
        let head = runtime.wrapping_add(word.wrapping_mul(8));
        let Some(interpreter) = memory.word(head).filter(|it| is_pointer(*it)) else { continue };
        for word in 1..INTERPRETER_WORDS {
            let offset = word.wrapping_mul(8);
            let state = memory.word(interpreter.wrapping_add(offset));
            let Some(state) = state.filter(|state| is_pointer(*state)) else { continue };
            let back = memory.word(state.wrapping_add(INTERPRETER));
            if back == Some(interpreter) && memory.word(state) == Some(0) {
                return Some((head, 0, offset));
            }
        }
    }
    None
}

fn is_pointer(word: u64) -> bool {
    word & 7 == 0 && (4096..1 << 56).contains(&word)
}

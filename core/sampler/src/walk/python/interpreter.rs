//! The interpreter of this process: where its functions and types are, and how it lays things out.

use super::layout::Layout;
use super::layouts::layouts;
use super::{debug_offsets, frames};
use crate::memory::MemoryReader;
use core::ffi::c_void;

/// Addresses of symbols that every build of CPython exports, and its version.
#[derive(Clone, Copy, Debug)]
pub struct Symbols {
    /// The second number of the version: 12 for 3.12.1.
    pub minor: u8,
    /// The function `PyGILState_GetThisThreadState`.
    pub this_thread_state: usize,
    /// The function `PyThreadState_GetUnchecked` (3.13 and later) or `_PyThreadState_UncheckedGet`.
    pub current_thread_state: usize,
    /// The variable `PyCode_Type`.
    pub code_type: usize,
    /// The variable `PyBytes_Type`.
    pub bytes_type: usize,
    /// The function `_PyEval_EvalFrameDefault`.
    pub evaluation: usize,
    /// The variable `_PyRuntime`; needed from 3.13 on.
    pub runtime: usize,
}

/// Why an interpreter's frames cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// There is no layout for CPython 3.n, or no further one.
    Version(u8),
    /// A symbol's address is null.
    NoSymbol,
    /// `_PyRuntime` does not start with offsets, as it does from 3.13 on, or they are of another
    /// version.
    NoDebugOffsets,
    /// The build has no GIL: its structures are others, and threads change them at once.
    FreeThreaded,
}

impl core::fmt::Display for Unsupported {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Version(minor) => write!(f, "the layout of CPython 3.{minor} is not known"),
            Self::NoSymbol => f.write_str("the interpreter does not export what is needed"),
            Self::NoDebugOffsets => {
                f.write_str("the interpreter's own table of offsets is not there")
            }
            Self::FreeThreaded => f.write_str("builds without the GIL are not supported"),
        }
    }
}

/// The context variable whose value is the labels of the running code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LabelVariable {
    /// The `ContextVar` object; must live as long as the process.
    pub(crate) address: u64,
    /// Its hash as the context's tree uses it.
    pub(crate) hash: u32,
}

/// An interpreter whose frames can be read in this process.
///
/// A value says only where things should be: before it is used for sampling,
/// [`check`](Self::check) must have found that they are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interpreter {
    /// Public, so that a wrong layout can be shown to be refused.
    pub layout: Layout,
    pub(crate) code_type: u64,
    pub(crate) bytes_type: u64,
    pub(crate) labels: Option<LabelVariable>,
    evaluation: u64,
    this_thread_state: usize,
    current_thread_state: usize,
    /// From 3.12 on the current thread state is a thread-local, before that one of the process.
    current_is_of_thread: bool,
}

impl Interpreter {
    /// Describes an interpreter by its symbols, with one of the layouts that its version may have:
    /// `variant` counts from 0.
    ///
    /// # Errors
    /// See [`Unsupported`].
    ///
    /// # Safety
    /// Each address must be 0 or that of the symbol with that name in a running CPython, which
    /// stays in memory for good.
    pub unsafe fn new(symbols: &Symbols, variant: usize) -> Result<Self, Unsupported> {
        let layout = layouts(symbols.minor).get(variant).copied();
        let mut layout = layout.ok_or(Unsupported::Version(symbols.minor))?;
        if symbols.minor >= 13 {
            let runtime = symbols.runtime as u64;
            let mut memory = crate::memory::SelfMemory::probing();
            layout = debug_offsets::apply(layout, symbols.minor, &mut memory, runtime)?;
        }
        let needed = [
            symbols.this_thread_state,
            symbols.current_thread_state,
            symbols.code_type,
            symbols.bytes_type,
            symbols.evaluation,
        ];
        if needed.contains(&0) {
            return Err(Unsupported::NoSymbol);
        }
        Ok(Self {
            layout,
            code_type: symbols.code_type as u64,
            bytes_type: symbols.bytes_type as u64,
            labels: None,
            evaluation: symbols.evaluation as u64,
            this_thread_state: symbols.this_thread_state,
            current_thread_state: symbols.current_thread_state,
            current_is_of_thread: symbols.minor >= 12,
        })
    }

    /// An interpreter of another process, none of whose functions can be called: it is never given
    /// to a sampler.
    pub(super) fn of_other(
        layout: Layout,
        code_type: u64,
        bytes_type: u64,
        evaluation: u64,
    ) -> Self {
        Self {
            layout,
            code_type,
            bytes_type,
            labels: None,
            evaluation,
            this_thread_state: 0,
            current_thread_state: 0,
            current_is_of_thread: false,
        }
    }

    /// Takes the labels of samples from a context variable: the address of the `ContextVar`
    /// object, which must never be freed, and its `hash()`.
    #[must_use]
    pub fn with_labels(mut self, variable: u64, hash: i64) -> Self {
        let folded = hash as u32 ^ (hash >> 32) as u32;
        // -1 means an error to the interpreter, so that it uses -2 for it (`hamt_hash`).
        let hash = if folded == u32::MAX { folded.wrapping_sub(1) } else { folded };
        self.labels = Some(LabelVariable { address: variable, hash });
        self
    }

    /// The address of the evaluation function.
    pub fn evaluation(&self) -> u64 {
        self.evaluation
    }

    /// A state of the calling thread, or `None` for a thread that runs no Python: one call into the
    /// interpreter, which is a plain load.
    #[inline(always)]
    pub(crate) fn own_state(&self) -> Option<u64> {
        let own = call(self.this_thread_state);
        (own != 0).then_some(own)
    }

    /// The current state of this thread or of the process, or 0: another such call. The thread-local
    /// behind it is allocated where the thread has a state of its own.
    #[inline(always)]
    pub(crate) fn current_state(&self) -> u64 {
        call(self.current_thread_state)
    }

    /// Whether [`current_state`](Self::current_state) is this thread's.
    #[inline(always)]
    pub(crate) fn current_is_of_thread(&self) -> bool {
        self.current_is_of_thread
    }

    /// Whether an object has the type of code objects.
    #[inline(always)]
    pub(crate) fn is_code<M: MemoryReader>(&self, memory: &mut M, object: u64) -> bool {
        frames::field(memory, object, self.layout.offsets.object_type) == Some(self.code_type)
    }
}

/// Calls a function of the interpreter that takes nothing and returns a pointer.
#[inline(always)]
fn call(function: usize) -> u64 {
    // SAFETY: `Interpreter::new` was given the function of that type, which stays in memory.
    let function: extern "C" fn() -> *const c_void = unsafe { core::mem::transmute(function) };
    function() as u64
}

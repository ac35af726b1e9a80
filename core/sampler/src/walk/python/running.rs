//! The Python side of a sample: the calling thread's state, and what is read from there.

use super::code;
use super::context;
use super::frames::{self, Frames, Thread, WalkedPython};
use super::interpreter::Interpreter;
use super::thread_state;
use crate::interner::Interner;
use crate::labels::Labels;
use crate::memory::{MemoryReader, SelfMemory};

/// A thread that runs Python: the calling one, or one that waits.
#[derive(Debug)]
pub(crate) struct Running<'p> {
    python: &'p Interpreter,
    memory: SelfMemory,
    thread: u64,
}

impl<'p> Running<'p> {
    /// The calling thread, or `None` if it runs no Python.
    ///
    /// # Safety
    /// As for [`SelfMemory::guarding`].
    #[inline(always)]
    pub(crate) unsafe fn here(python: &'p Interpreter, blocked: u64) -> Option<Self> {
        let own = python.own_state()?;
        // SAFETY: the caller's promise.
        let mut memory = unsafe { SelfMemory::guarding(blocked) };
        // Without guarded loads no other thread's state is looked into.
        let thread = match memory.is_guarded() || python.current_is_of_thread() {
            true => thread_state::running(python, &mut memory, own),
            false => own,
        };
        Some(Self { python, memory, thread })
    }

    /// Another thread, by the address of its state; only what does not run can be read.
    pub(crate) fn other(python: &'p Interpreter, memory: SelfMemory, thread: u64) -> Self {
        Self { python, memory, thread }
    }

    /// The address of the thread's state.
    #[inline(always)]
    pub(crate) fn state(&self) -> u64 {
        self.thread
    }

    /// The labels of the running context.
    #[inline(always)]
    pub(crate) fn labels(&mut self) -> Option<Labels> {
        context::labels(self.python, &mut self.memory, self.thread)
    }

    /// Hands the words of at most `limit` frames to `put`, and perhaps one more. `registers` are what
    /// the thread's registers held where it was interrupted, if it was.
    #[inline(always)]
    pub(crate) fn walk(
        &mut self,
        codes: &Interner,
        registers: &[u64],
        limit: usize,
        put: impl FnMut(usize, u64),
    ) -> WalkedPython {
        let mut sink = Interning { python: self.python, codes, put };
        let thread = Thread { state: self.thread, registers };
        frames::walk(self.python, &mut self.memory, thread, limit, &mut sink)
    }
}

/// Gives code objects numbers and passes words on.
pub(super) struct Interning<'a, P> {
    pub(super) python: &'a Interpreter,
    pub(super) codes: &'a Interner,
    pub(super) put: P,
}

impl<M: MemoryReader, P: FnMut(usize, u64)> Frames<M> for Interning<'_, P> {
    #[inline(always)]
    fn code(&mut self, memory: &mut M, _frame: u64, code: u64) -> Option<u32> {
        let key = code::key(self.python, memory, code)?;
        if let Some(number) = self.codes.find(key) {
            return Some(number);
        }
        let parts = code::parts(self.python, memory, code)?;
        self.codes.add(key, parts.shape.bytes(), |room| parts.copy(memory, room))
    }

    #[inline(always)]
    fn put(&mut self, index: usize, word: u64) {
        (self.put)(index, word);
    }
}

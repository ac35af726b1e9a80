//! Which of the interpreter's thread states is that of a thread.

use super::interpreter::Interpreter;
use crate::arch;
use crate::memory::MemoryReader;

/// Words of a thread state among which the thread's identity is looked for; its place changes with
/// the version (`thread_id`, byte 152 of 3.13 and 176 of 3.15).
const WORDS: u64 = 40;

/// Whether a thread state is that of the thread with this identity, `pthread_self()`. Its memory may
/// be another's by now, or the state another thread's.
pub(crate) fn is_of(memory: &mut impl MemoryReader, state: u64, identity: u64) -> bool {
    let mut words = (0..WORDS).map(|word| state.wrapping_add(word.wrapping_mul(8)));
    words.any(|address| memory.word(address) == Some(identity))
}

/// The calling thread's identity, where the C library makes it the address of the thread control
/// block, as glibc and musl do on x86_64. Elsewhere no thread state has it.
#[inline(always)]
pub(crate) fn identity() -> u64 {
    arch::thread_pointer()
}

/// The state in which the calling thread runs, given that it has `own`.
///
/// With sub-interpreters a thread has several states, of which the current one is running. From 3.12
/// on the current state is a thread-local; before, it is one of the process, and this thread's only
/// if it holds the GIL.
#[inline(always)]
pub(crate) fn running(python: &Interpreter, memory: &mut impl MemoryReader, own: u64) -> u64 {
    let current = python.current_state();
    let is_mine = current != 0
        && current != own
        && (python.current_is_of_thread() || is_of(memory, current, identity()));
    if is_mine { current } else { own }
}

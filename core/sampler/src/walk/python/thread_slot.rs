//! Where the C library keeps a thread's `PyThreadState`, for who sees only the thread's registers.
//!
//! Every version binds the state to its thread by a key of `pthread_setspecific`
//! (`PyGILState_GetThisThreadState` reads it). Which key that is, and which C library it is, need
//! not be told: the interpreter's list has the states of all threads, and each state has its thread's
//! `pthread_self()`, which on x86_64 is the thread pointer in glibc and in musl. So the place is
//! found as the one where threads have the addresses of their own states.

use super::outside::Outside;
use crate::memory::MemoryReader;

/// Words of a thread state among which the thread's identity is looked for.
const STATE_WORDS: u16 = 40;

/// glibc's `struct pthread`: pairs of a number and the value for the first keys; pointers to as many
/// for each further lot of keys.
const GLIBC_FIRST: u32 = 0x310;
const GLIBC_FURTHER: u32 = 0x510;
const GLIBC_KEYS: u32 = 32;
const GLIBC_LOTS: u32 = 32;

/// musl's `struct pthread`: a pointer to the values.
const MUSL_VALUES: u32 = 0x80;
const MUSL_KEYS: u32 = 128;

/// States that are asked.
const MAX_ASKED: u32 = 64;

/// Where a thread has the address of its state, and the state its thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadSlot {
    /// Where, in bytes from the thread pointer, the address lies from which `slot` counts; the
    /// thread pointer itself if `None`.
    pub base: Option<u32>,
    /// Where the word with the state's address is, in bytes.
    pub slot: u32,
    /// Where in a state `PyThreadState.thread_id` is, which is the thread pointer.
    pub thread_id: u16,
}

impl ThreadSlot {
    /// The state of the thread with this thread pointer; `None` if it runs no Python.
    pub fn state<M: MemoryReader>(self, memory: &mut M, thread_pointer: u64) -> Option<u64> {
        let state = self.value(memory, thread_pointer).filter(|state| *state != 0)?;
        let identity = memory.word(state.wrapping_add(u64::from(self.thread_id)))?;
        (identity == thread_pointer).then_some(state)
    }

    fn value<M: MemoryReader>(self, memory: &mut M, thread_pointer: u64) -> Option<u64> {
        let base = match self.base {
            Some(base) => memory.word(thread_pointer.wrapping_add(u64::from(base)))?,
            None => thread_pointer,
        };
        memory.word(base.wrapping_add(u64::from(self.slot)))
    }

    /// The places that there can be.
    fn candidates(thread_id: u16) -> impl Iterator<Item = Self> {
        let place = move |base, slot| Self { base, slot, thread_id };
        let value = |key: u32| key.wrapping_mul(16).wrapping_add(8);
        let first =
            (0..GLIBC_KEYS).map(move |key| place(None, GLIBC_FIRST.wrapping_add(value(key))));
        let musl = (0..MUSL_KEYS).map(move |key| place(Some(MUSL_VALUES), key.wrapping_mul(8)));
        let lots = (1..GLIBC_LOTS).map(|lot| GLIBC_FURTHER.wrapping_add(lot.wrapping_mul(8)));
        let further =
            lots.flat_map(move |lot| (0..GLIBC_KEYS).map(move |key| place(Some(lot), value(key))));
        first.chain(musl).chain(further)
    }
}

impl Outside {
    /// Where threads keep their states. `None` where no thread is bound to its state yet, or the C
    /// library is one of which this is not known.
    ///
    /// The process may run meanwhile: what is found holds for good, and nothing may be found where
    /// threads start or end just now.
    pub fn thread_slot<M: MemoryReader>(&self, memory: &mut M) -> Option<ThreadSlot> {
        let mut found = None;
        let mut asked = 0u32;
        self.each_state(memory, |memory, state| {
            found = of_state(memory, state);
            asked = asked.wrapping_add(1);
            found.is_some() || asked >= MAX_ASKED
        });
        found
    }
}

/// The place in which the thread of a state has it.
fn of_state<M: MemoryReader>(memory: &mut M, state: u64) -> Option<ThreadSlot> {
    (0..STATE_WORDS).find_map(|word| {
        let thread_id = word.wrapping_mul(8);
        let thread_pointer = memory.word(state.wrapping_add(u64::from(thread_id)))?;
        // A thread control block begins with its own address.
        if memory.word(thread_pointer)? != thread_pointer {
            return None;
        }
        ThreadSlot::candidates(thread_id)
            .find(|place| place.value(memory, thread_pointer) == Some(state))
    })
}

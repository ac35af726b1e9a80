//! Where a thread waits: its frames of Python or Java, read by another thread while it does not run.
//!
//! No signal is sent. A thread's frames are at rest as long as its CPU clock stands still: the clock
//! is read before and after, and what was read in between is only believed if it did not move.
//! Memory of a thread that has ended meanwhile may be gone, so that every load may be refused.

use crate::clock::Clock;
use crate::guarded;
use crate::labels::{Labels, read_cell};
use crate::memory::SelfMemory;
use crate::pool::{GATE, Pool};
use crate::process;
use crate::sample::End;
use crate::slot::{Slot, SlotIndex};
use crate::walk::python::{Running, thread_state};
use crate::walk::{Code, hotspot, walk_returning};
use core::sync::atomic::Ordering;

/// Writes down where a slot's thread keeps its Python state.
#[inline(always)]
pub(crate) fn note(slot: &Slot, state: u64, identity: u64) {
    slot.python_state.store(state, Ordering::Relaxed);
    slot.python_identity.store(identity, Ordering::Relaxed);
}

/// Writes down where the calling thread, which has this slot, keeps its Python state: so it can be
/// seen waiting before it is first sampled.
pub(crate) fn note_calling_thread(index: SlotIndex) {
    GATE.enter();
    if let Some(pool) = Pool::current()
        && let Some(slot) = pool.slot(index.0)
        && let Some(python) = &pool.python
        && let Some(state) = python.own_state()
    {
        note(slot, state, thread_state::identity());
    }
    GATE.exit();
}

/// Hands the words of the Python frames of a slot's thread, leaf first, to `put`, and returns the
/// labels of its context. `None`, and `put` may have been called, if the thread runs no Python, has
/// run meanwhile, or could not be read.
pub(crate) fn read(pool: &Pool, slot: &Slot, put: impl FnMut(usize, u64)) -> Option<Labels> {
    let (python, known) = (pool.python.as_ref()?, pool.known.as_ref()?);
    let state = slot.python_state.load(Ordering::Relaxed);
    let identity = slot.python_identity.load(Ordering::Relaxed);
    if state == 0 {
        return None;
    }
    at_rest(slot, |mut memory| {
        if !thread_state::is_of(&mut memory, state, identity) {
            return None;
        }
        let mut waiting = Running::other(python, memory, state);
        let labels = waiting.labels().unwrap_or(Labels::NONE);
        let walked = waiting.walk(known, &[], pool.limits.max_depth as usize, put);
        (walked.frames > 0 && !walked.lost).then_some(labels)
    })
}

/// As [`read`], of the frames of a thread of Java that waits in native code, from where it has left
/// Java; native ones are among them.
pub(crate) fn read_java(
    pool: &Pool,
    slot: &Slot,
    put: impl FnMut(usize, u64),
) -> Option<(Labels, End)> {
    let (facts, known) = (pool.hotspot()?, pool.known.as_ref()?);
    let thread = slot.java_thread.load(Ordering::Acquire);
    let cell = slot.labels.load(Ordering::Relaxed);
    at_rest(slot, |mut memory| {
        // SAFETY: as that of the reader that was handed out.
        let reader = unsafe { SelfMemory::guarding(0) };
        let mut running = hotspot::Running::new(facts, known, thread, reader);
        let registers = running.left()?;
        let labels = running.labels().unwrap_or_else(|| read_cell(&mut memory, cell as u64));
        let code = Code { modules: pool.modules(), runtime: &mut Some(running) };
        let depth = pool.limits.max_depth as usize;
        let walked = walk_returning(code, registers, &mut memory, depth, put);
        (walked.frames > 0).then_some((labels, walked.end))
    })
}

/// Calls `read` for a slot's thread, and returns what it answers if the thread has not run meanwhile.
fn at_rest<T>(slot: &Slot, read: impl FnOnce(SelfMemory) -> Option<T>) -> Option<T> {
    let clock = Clock::Thread(slot.tid.load(Ordering::Relaxed));
    let before = clock.now().ok()?;
    let read = process::with_signals_unblocked(guarded::SIGNALS, || {
        // SAFETY: neither signal is blocked here; nothing on this thread changes that.
        let memory = unsafe { SelfMemory::guarding(0) };
        if memory.is_guarded() { read(memory) } else { None }
    });
    if clock.now().ok()? == before { read } else { None }
}

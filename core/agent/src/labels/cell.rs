//! The thread-local that the signal handler reads: the one place of this crate with `unsafe`.
#![allow(unsafe_code, reason = "a pointer to a thread-local is handed to the signal handler")]

use crate::agent::fork;
use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};

thread_local! {
    /// The current label set. Constant-initialised and without a destructor, so that it is
    /// neither allocated lazily nor freed before its thread.
    static LABELS: AtomicU32 = const { AtomicU32::new(0) };

    /// The sampler's run that this thread's cell was attached to; 0 for none.
    static ATTACHED: Cell<u32> = const { Cell::new(0) };
}

/// The sampler's run, for threads to attach to once; 0 while none runs.
static RUN: AtomicU32 = AtomicU32::new(0);

/// How many runs there have been in this process.
static RUNS: AtomicU32 = AtomicU32::new(0);

/// To be called when a sampler has started: threads attach at their next change of labels.
pub(crate) fn sampler_started() {
    RUN.store(RUNS.fetch_add(1, Ordering::Relaxed).wrapping_add(1), Ordering::Release);
}

/// To be called before a sampler stops.
pub(crate) fn sampler_stopped() {
    RUN.store(0, Ordering::Release);
}

/// The value of [`RUN`] in a forked child that has not started its own agent yet.
const FORKED: u32 = u32::MAX;

/// To be called in a forked child; async-signal-safe.
pub(crate) fn process_forked() {
    RUN.store(FORKED, Ordering::Release);
}

fn must_attach() -> bool {
    let run = RUN.load(Ordering::Relaxed);
    run != 0 && ATTACHED.with(Cell::get) != run
}

/// The calling thread's label set.
pub(super) fn get() -> u32 {
    LABELS.try_with(|cell| cell.load(Ordering::Relaxed)).unwrap_or(0)
}

/// Makes a label set current on the calling thread and returns the one that was.
#[inline]
pub(super) fn replace(id: u32) -> u32 {
    LABELS
        .try_with(|cell| {
            let before = cell.load(Ordering::Relaxed);
            cell.store(id, Ordering::Relaxed);
            if must_attach() {
                attach(cell);
            }
            before
        })
        .unwrap_or(0)
}

#[cold]
fn attach(cell: &AtomicU32) {
    let run = RUN.load(Ordering::Acquire);
    if run == FORKED {
        return fork::start_pending();
    }
    let pointer = std::ptr::from_ref(cell).cast_mut();
    // SAFETY: the cell is a thread-local of the calling thread without a destructor, so it lives
    // exactly as long as the thread.
    if unsafe { sondage_sampler::attach_label_cell(pointer) } {
        ATTACHED.with(|attached| attached.set(run));
    }
}

/// Starts sampling the calling thread at once instead of at the agent's next look (within 0.1 s),
/// if an agent runs. Worth calling at the start of threads that live for milliseconds; changing
/// labels does it too.
pub fn register_thread() {
    let _ = LABELS.try_with(|cell| {
        if must_attach() {
            attach(cell);
        }
    });
}

//! The thread-local that the signal handler reads: the one place of this crate with `unsafe`.
#![allow(unsafe_code, reason = "a pointer to a thread-local is handed to the signal handler")]

use super::generations;
use crate::agent::fork;
use sondage_sampler::{LabelCell, Labels};
use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};

thread_local! {
    /// The current label set and span. Constant-initialised and without a destructor, so that it is
    /// neither allocated lazily nor freed before its thread.
    static LABELS: LabelCell = const { LabelCell::new() };

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
    generations::process_forked();
}

fn must_attach() -> bool {
    let run = RUN.load(Ordering::Relaxed);
    run != 0 && ATTACHED.with(Cell::get) != run
}

/// The calling thread's labels.
pub(super) fn get() -> Labels {
    LABELS.try_with(LabelCell::get).unwrap_or_default()
}

/// Makes labels current on the calling thread and returns those that were.
#[inline]
pub(super) fn replace(labels: Labels) -> Labels {
    LABELS
        .try_with(|cell| {
            let before = cell.replace(labels);
            if must_attach() {
                attach(cell);
            }
            before
        })
        .unwrap_or_default()
}

#[cold]
fn attach(cell: &LabelCell) {
    let run = RUN.load(Ordering::Acquire);
    if run == FORKED {
        return fork::start_pending();
    }
    // SAFETY: the cell is a thread-local of the calling thread without a destructor, so it lives
    // exactly as long as the thread.
    if unsafe { sondage_sampler::attach_label_cell(cell) } {
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

/// The calling thread's cell, which samples read; for a runtime that changes it by itself, with its
/// layout in mind, and never by this crate too. It is valid while the thread lives; null where that
/// ends already.
pub fn label_cell() -> *const LabelCell {
    LABELS.try_with(std::ptr::from_ref).unwrap_or(std::ptr::null())
}

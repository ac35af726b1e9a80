//! Where the recording of this process stands, and the hand-over at its end.
//!
//! The end may come in any thread, also inside a signal handler that calls `_exit`: only atomics,
//! a try-lock and sleeping are used there.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// Nothing is recorded here.
const IDLE: u32 = 0;
/// The recorder thread waits to see whether the process lives long enough.
const WAITING: u32 = 1;
/// It records.
const RECORDING: u32 = 2;
/// The process is about to end and waits for the recorder.
const ENDING: u32 = 3;
/// Somebody else takes over and waits for the recorder.
const LEAVING: u32 = 4;

/// The most that the end of a process is held up.
const LONGEST_END: Duration = Duration::from_secs(2);

static PHASE: AtomicU32 = AtomicU32::new(IDLE);

/// The process that [`PHASE`] is about: in a child of vfork it is the parent.
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// The recorder thread, to be woken.
static RECORDER: Mutex<Option<Thread>> = Mutex::new(None);

/// A recorder thread is about to be started in this process.
pub(crate) fn wait() {
    PROCESS.store(std::process::id(), Ordering::Relaxed);
    PHASE.store(WAITING, Ordering::Release);
}

/// No recorder thread runs, or it has done all it can.
pub(crate) fn idle() {
    PHASE.store(IDLE, Ordering::Release);
}

/// Names the thread that [`end`] wakes.
pub(crate) fn wake_at_end(thread: Thread) {
    // In a forked child the lock may have been left taken: then the recorder looks up by itself.
    if let Ok(mut recorder) = RECORDER.try_lock() {
        // The parent's thread is not here; dropping its handle is harmless.
        *recorder = Some(thread);
    }
}

/// Whether the process is still to show that it lives long enough.
pub(crate) fn is_waiting() -> bool {
    PHASE.load(Ordering::Acquire) == WAITING
}

/// The recorder begins; `false` when the process has meanwhile come to its end.
pub(crate) fn record() -> bool {
    PHASE.compare_exchange(WAITING, RECORDING, Ordering::AcqRel, Ordering::Acquire).is_ok()
}

/// Whether the process waits for the recorder to finish.
pub(crate) fn is_ending() -> bool {
    PHASE.load(Ordering::Acquire) == ENDING
}

/// The process ends: lets the recorder write what it has and waits for it, for at most two
/// seconds. Returns at once where nothing is recorded.
pub fn end() {
    if PHASE.load(Ordering::Acquire) == IDLE
        || PROCESS.load(Ordering::Relaxed) != std::process::id()
    {
        return;
    }
    // Too young to have been recorded.
    let _ = PHASE.compare_exchange(WAITING, IDLE, Ordering::AcqRel, Ordering::Acquire);
    let _ = PHASE.compare_exchange(RECORDING, ENDING, Ordering::AcqRel, Ordering::Acquire);
    wait_while(ENDING);
}

/// Set when somebody else records this process.
static STOOD_DOWN: AtomicBool = AtomicBool::new(false);

/// Somebody else records this process from now on, and its forked children: lets the recorder
/// write what it has and stop, and waits for that, for at most two seconds.
pub fn stand_down() {
    STOOD_DOWN.store(true, Ordering::Relaxed);
    leave();
}

/// Where the recorder still waits, it looks again how long; whether it waits.
pub(crate) fn hurry() -> bool {
    let waits = is_waiting();
    if waits {
        wake();
    }
    waits
}

/// Lets the recorder write what it has and stop, and waits for that, for at most two seconds.
pub(crate) fn leave() {
    let waited = PHASE.compare_exchange(WAITING, IDLE, Ordering::AcqRel, Ordering::Acquire);
    if waited.is_ok() {
        wake();
    }
    let _ = PHASE.compare_exchange(RECORDING, LEAVING, Ordering::AcqRel, Ordering::Acquire);
    wait_while(LEAVING);
}

/// Whether somebody else records this process.
pub(crate) fn stood_down() -> bool {
    STOOD_DOWN.load(Ordering::Relaxed)
}

/// Whether somebody else waits to take over.
pub(crate) fn is_leaving() -> bool {
    PHASE.load(Ordering::Acquire) == LEAVING
}

fn wait_while(phase: u32) {
    let latest = Instant::now() + LONGEST_END;
    let mut pause = Duration::from_micros(100);
    while PHASE.load(Ordering::Acquire) == phase && Instant::now() < latest {
        wake();
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(5));
    }
}

fn wake() {
    if let Ok(recorder) = RECORDER.try_lock()
        && let Some(thread) = recorder.as_ref()
    {
        thread.unpark();
    }
}

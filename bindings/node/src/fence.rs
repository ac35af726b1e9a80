//! The fence around every export: a panic ends here and turns profiling off.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use napi_derive::napi;

use crate::agent;

/// Set when a defect has turned profiling off, for the rest of the process' life.
static OFF: AtomicBool = AtomicBool::new(false);

/// Set while nobody has been told of it.
static UNTOLD: AtomicBool = AtomicBool::new(false);

/// Runs `work`; answers `fallback` if it panics, and at once in every later call.
pub(crate) fn fenced<T>(fallback: T, work: impl FnOnce() -> napi::Result<T>) -> napi::Result<T> {
    if OFF.load(Ordering::Relaxed) {
        return Ok(fallback);
    }
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(answer) => answer,
        Err(_) => {
            turn_off();
            Ok(fallback)
        }
    }
}

/// As [`fenced`], for work that answers nothing.
pub(crate) fn guarded(work: impl FnOnce()) {
    if !OFF.load(Ordering::Relaxed) && catch_unwind(AssertUnwindSafe(work)).is_err() {
        turn_off();
    }
}

/// Lets panics say nothing: the default is to print them into the program's error output. The hook
/// is this library's alone.
pub(crate) fn silence() {
    static SILENT: Once = Once::new();
    SILENT.call_once(|| std::panic::set_hook(Box::new(|_| ())));
}

#[cold]
fn turn_off() {
    if !OFF.swap(true, Ordering::Relaxed) {
        UNTOLD.store(true, Ordering::Relaxed);
        let _ = catch_unwind(agent::abandon);
    }
}

/// Whether a defect has turned profiling off, which is told once: the package warns then.
#[napi]
#[must_use]
pub fn take_defect() -> bool {
    UNTOLD.swap(false, Ordering::Relaxed)
}

//! The fence around every export: a panic ends here and turns profiling off.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::agent;

/// Set when a defect has turned profiling off, for the rest of the process' life.
static OFF: AtomicBool = AtomicBool::new(false);

/// Runs `work`; answers `fallback` if it panics, and at once in every later call.
pub(crate) fn fenced<T>(fallback: T, work: impl FnOnce() -> T) -> T {
    if OFF.load(Ordering::Relaxed) {
        return fallback;
    }
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        turn_off();
        fallback
    })
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
        let _ = catch_unwind(agent::abandon);
    }
}

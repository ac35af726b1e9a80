//! The fence around every export: a panic ends here and turns profiling off.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::failure;
use crate::host;

/// Set when a defect has turned profiling off, for the rest of the process' life.
static OFF: AtomicBool = AtomicBool::new(false);

/// Runs `work`; answers `fallback` if it panics, and at once in every later call.
pub(crate) fn fenced<T>(fallback: T, work: impl FnOnce() -> T) -> T {
    if OFF.load(Ordering::Relaxed) {
        return fallback;
    }
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(answer) => answer,
        Err(_) => {
            turn_off();
            fallback
        }
    }
}

/// As [`fenced`], for work that answers nothing.
pub(crate) fn guarded(work: impl FnOnce()) {
    fenced((), work);
}

/// Lets panics of this library's own threads say nothing: the default is to print them into the
/// host's error output. The hook is this library's, whatever hook the host has.
pub(crate) fn silence() {
    static SILENT: Once = Once::new();
    SILENT.call_once(|| {
        if !cfg!(test) {
            std::panic::set_hook(Box::new(|_| ()));
        }
    });
}

#[cold]
fn turn_off() {
    let first = !OFF.swap(true, Ordering::Relaxed);
    let _ = catch_unwind(|| {
        if first {
            failure::remember("a defect of Sondage; profiling is off in this process");
            host::abandon();
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_turns_profiling_off_and_leaves_one_message() {
        assert_eq!(fenced(0, || 1), 1);
        assert_eq!(fenced(0, || std::panic::resume_unwind(Box::new("defect"))), 0);
        assert!(failure::last().contains("profiling is off"), "{}", failure::last());
        assert_eq!(fenced(0, || 1), 0, "nothing runs after a defect");
        OFF.store(false, Ordering::Relaxed);
    }
}

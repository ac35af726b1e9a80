//! The fence around every export: a panic ends here and turns profiling off.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::PyRuntimeWarning;
use pyo3::prelude::*;

use crate::agent;

/// Set when a defect has turned profiling off, for the rest of the process' life.
static OFF: AtomicBool = AtomicBool::new(false);

/// Runs `work`; answers `fallback` if it panics, and at once in every later call.
pub(crate) fn fenced<T>(
    py: Python<'_>,
    fallback: T,
    work: impl FnOnce() -> PyResult<T>,
) -> PyResult<T> {
    if OFF.load(Ordering::Relaxed) {
        return Ok(fallback);
    }
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(answer) => answer,
        Err(_) => {
            turn_off(py);
            Ok(fallback)
        }
    }
}

/// As [`fenced`], for work that needs no interpreter and answers nothing.
pub(crate) fn guarded(work: impl FnOnce()) {
    if !OFF.load(Ordering::Relaxed) && catch_unwind(AssertUnwindSafe(work)).is_err() {
        Python::attach(turn_off);
    }
}

/// Lets panics say nothing: the default is to print them into the program's error output. The hook
/// is this library's alone.
pub(crate) fn silence() {
    static SILENT: Once = Once::new();
    SILENT.call_once(|| std::panic::set_hook(Box::new(|_| ())));
}

#[cold]
fn turn_off(py: Python<'_>) {
    if OFF.swap(true, Ordering::Relaxed) {
        return;
    }
    let _ = catch_unwind(AssertUnwindSafe(|| {
        warn(py, c"a defect of Sondage; profiling is off in this process");
        agent::abandon();
    }));
}

/// Warns by Python's own means. A warning that the program turns into an exception says nothing:
/// a profiler does not fail its host.
pub(crate) fn warn(py: Python<'_>, message: &std::ffi::CStr) {
    let category = py.get_type::<PyRuntimeWarning>();
    let _ = PyErr::warn(py, &category, message, 3);
}

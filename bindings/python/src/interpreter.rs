//! Where the interpreter's functions and types are: the one place of
//! this crate with `unsafe`.
#![allow(unsafe_code, reason = "the loader is asked for addresses")]

use std::ffi::{CStr, c_void};
use std::ptr::NonNull;

use pyo3::prelude::*;
use sondage::python::{Interpreter, Symbols};

/// The interpreter of this process in each layout that it may have, with labels from a context
/// variable that is given by its address and its hash; or why its frames cannot be read.
pub(crate) fn describe(py: Python<'_>, variable: (u64, i64)) -> Result<Vec<Interpreter>, String> {
    let address = |name| symbol(name).map_or(0, |address| address.as_ptr() as usize);
    let symbols = Symbols {
        minor: py.version_info().minor,
        this_thread_state: address(c"PyGILState_GetThisThreadState"),
        // 3.13 renamed it.
        current_thread_state: match address(c"PyThreadState_GetUnchecked") {
            0 => address(c"_PyThreadState_UncheckedGet"),
            address => address,
        },
        code_type: address(c"PyCode_Type"),
        bytes_type: address(c"PyBytes_Type"),
        evaluation: address(c"_PyEval_EvalFrameDefault"),
        runtime: address(c"_PyRuntime"),
    };
    // SAFETY: the addresses are those of the symbols with these names, or 0; the interpreter that
    // this function was called by is never unloaded.
    let in_layout = |variant| unsafe { Interpreter::new(&symbols, variant) };
    let (address, hash) = variable;
    let first = in_layout(0).map_err(|unsupported| unsupported.to_string())?;
    let others = (1..).map_while(|variant| in_layout(variant).ok());
    let all = std::iter::once(first).chain(others);
    Ok(all.map(|interpreter| interpreter.with_labels(address, hash)).collect())
}

fn symbol(name: &CStr) -> Option<NonNull<c_void>> {
    // SAFETY: the name ends with a NUL, and the default scope needs no handle.
    NonNull::new(unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) })
}

/// The number by which the interpreter knows the calling thread.
pub(crate) fn this_thread() -> u64 {
    // SAFETY: has no precondition.
    unsafe { libc::pthread_self() }
}

/// Has a preloaded `libsondage.so` stop recording this process, if there is one.
pub(crate) fn stand_down_preloaded() {
    if let Some(stand_down) = symbol(c"sondage_recorder_stand_down") {
        // SAFETY: the function of that name in libsondage.so has this type.
        let stand_down: extern "C" fn() = unsafe { std::mem::transmute(stand_down) };
        stand_down();
    }
}

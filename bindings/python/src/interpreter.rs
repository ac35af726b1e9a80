//! Where the interpreter's functions and types are: the one place of this crate with `unsafe`.
#![allow(unsafe_code, reason = "the loader is asked for addresses")]

use std::ffi::{CStr, c_void};
use std::ptr::NonNull;

/// What a reader of Python's frames needs of the interpreter that this process runs.
#[derive(Clone, Copy, Debug)]
#[expect(dead_code, reason = "the core's reader of Python frames is told of them in `attach`")]
pub(crate) struct Addresses {
    /// `PyGILState_GetThisThreadState`: the calling thread's state, also while it waits.
    pub(crate) this_thread_state: NonNull<c_void>,
    /// The state of the thread that holds the interpreter's lock.
    pub(crate) current_thread_state: NonNull<c_void>,
    /// `PyCode_Type`.
    pub(crate) code_type: NonNull<c_void>,
    /// `PyBytes_Type`.
    pub(crate) bytes_type: NonNull<c_void>,
    /// `_PyEval_EvalFrameDefault`, which runs a frame.
    pub(crate) evaluation: NonNull<c_void>,
}

/// Looks the addresses up; `None` where one is missing, as in another implementation of Python.
pub(crate) fn addresses() -> Option<Addresses> {
    Some(Addresses {
        this_thread_state: symbol(c"PyGILState_GetThisThreadState")?,
        // 3.13 renamed it.
        current_thread_state: symbol(c"PyThreadState_GetUnchecked")
            .or_else(|| symbol(c"_PyThreadState_UncheckedGet"))?,
        code_type: symbol(c"PyCode_Type")?,
        bytes_type: symbol(c"PyBytes_Type")?,
        evaluation: symbol(c"_PyEval_EvalFrameDefault")?,
    })
}

fn symbol(name: &CStr) -> Option<NonNull<c_void>> {
    // SAFETY: the name ends with a NUL, and the default scope needs no handle.
    NonNull::new(unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) })
}

/// Tells the core of the interpreter before the profiler starts.
pub(crate) fn attach() {
    let _ = addresses();
}

/// Has a preloaded `libsondage.so` stop recording this process, if there is one.
pub(crate) fn stand_down_preloaded() {
    if let Some(stand_down) = symbol(c"sondage_recorder_stand_down") {
        // SAFETY: the function of that name in libsondage.so has this type.
        let stand_down: extern "C" fn() = unsafe { std::mem::transmute(stand_down) };
        stand_down();
    }
}

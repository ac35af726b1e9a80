//! What the loader calls when the library is loaded and when the process ends, and the two
//! functions that end a process without that call: for a library that `sondage record` preloads.
//! There are two such libraries, of this crate and of the package for Node.js, whose crate has this
//! file too.
#![allow(unsafe_code, reason = "hooks that the loader calls, and functions that it is asked for")]

use std::ffi::{CStr, c_int, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Duration;

use sondage::config::EnginePolicy;
use sondage_recorder::{Options, PATIENCE};

use crate::fence::{guarded, silence};
use crate::jvm;

#[used]
// SAFETY: the section holds pointers to functions that take nothing the callee reads.
#[unsafe(link_section = ".init_array")]
static AT_LOAD: extern "C" fn() = at_load;

#[used]
// SAFETY: as above.
#[unsafe(link_section = ".fini_array")]
static AT_END: extern "C" fn() = at_end;

/// The `_exit` that the program would call without this library.
static NEXT_EXIT: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

extern "C" fn at_load() {
    guarded(|| {
        if !crate::is_recorder() {
            return;
        }
        silence();
        if sondage_recorder::begin(options()) {
            // SAFETY: the name ends with a NUL; a null result is checked for where it is used.
            let next = unsafe { libc::dlsym(libc::RTLD_NEXT, c"_exit".as_ptr()) };
            NEXT_EXIT.store(next, Ordering::Relaxed);
            sondage_sampler::on_fork_in_child(in_child);
            jvm::expect();
        }
    });
}

/// A program of Python, Node.js or Java is recorded by the package for that language, if it is
/// there: it knows the language's frames. It takes its time, and says so by
/// `sondage_recorder_stand_down` or `sondage_recorder_take_over`.
fn options() -> Options {
    const PACKAGE_PATIENCE: Duration = Duration::from_secs(1);
    let packages = [
        ("SONDAGE_RECORD_PYTHON", c"Py_BytesMain"),
        ("SONDAGE_RECORD_NODE", c"napi_module_register"),
        (jvm::VARIABLE, c"JLI_Launch"),
    ];
    let expected = packages
        .into_iter()
        .any(|(variable, symbol)| std::env::var_os(variable).is_some() && has(symbol));
    let patience = if expected { PACKAGE_PATIENCE } else { PATIENCE };
    Options { patience, stop_at_end: false, engine: EnginePolicy::Auto }
}

/// Whether the program, or a library that it was linked with, has this symbol.
fn has(symbol: &CStr) -> bool {
    // SAFETY: the name ends with a NUL, and the default scope needs no handle.
    !unsafe { libc::dlsym(libc::RTLD_DEFAULT, symbol.as_ptr()) }.is_null()
}

/// For another Sondage in this process, which records it from now on.
#[unsafe(no_mangle)]
extern "C" fn sondage_recorder_stand_down() {
    guarded(sondage_recorder::stand_down);
}

/// Who records this process instead of this library, and can be asked to leave it to another.
static FOLLOWER: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

/// As [`sondage_recorder_stand_down`], for one that may itself be followed: of the library for Java
/// a process may load several copies. `stand_down` is called then.
#[unsafe(no_mangle)]
extern "C" fn sondage_recorder_take_over(stand_down: extern "C" fn()) {
    guarded(|| {
        let follower = stand_down as *mut c_void;
        let before = FOLLOWER.swap(follower, Ordering::AcqRel);
        if before.is_null() {
            sondage_recorder::stand_down();
        } else if before != follower {
            // SAFETY: what an earlier caller gave for this, in a library that is never unloaded.
            let stand_down: extern "C" fn() = unsafe { std::mem::transmute(before) };
            stand_down();
        }
    });
}

/// Whether somebody has taken over, and goes on.
pub(crate) fn is_followed() -> bool {
    !FOLLOWER.load(Ordering::Acquire).is_null()
}

extern "C" fn in_child() {
    guarded(sondage_recorder::begin_in_child);
}

extern "C" fn at_end() {
    guarded(sondage_recorder::end);
}

/// `_exit` runs no destructors: forked children end with it. What is recorded is written
/// first; a process that is not recorded, and a child of vfork, go straight on.
#[unsafe(no_mangle)]
extern "C" fn _exit(status: c_int) -> ! {
    guarded(sondage_recorder::end);
    let next = NEXT_EXIT.load(Ordering::Relaxed);
    if !next.is_null() {
        // SAFETY: it is the address of the next function of this name, which has this type.
        let next: extern "C" fn(c_int) -> ! = unsafe { std::mem::transmute(next) };
        next(status);
    }
    loop {
        // SAFETY: takes one number.
        unsafe { libc::syscall(libc::SYS_exit_group, status) };
    }
}

#[unsafe(no_mangle)]
#[allow(non_snake_case, reason = "the name that C gave it")]
extern "C" fn _Exit(status: c_int) -> ! {
    _exit(status)
}

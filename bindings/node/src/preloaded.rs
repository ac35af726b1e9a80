//! A preloaded `libsondage.so`, which records programs of any language: the one place of this crate
//! that asks the loader for it.
#![allow(unsafe_code, reason = "the loader is asked for an address")]

use std::ffi::c_void;
use std::ptr::NonNull;

/// Has it stop recording this process, if it is there: the addon does from now on.
pub(crate) fn stand_down() {
    // SAFETY: the name ends with a NUL, and the default scope needs no handle.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"sondage_recorder_stand_down".as_ptr()) };
    let Some(found) = NonNull::<c_void>::new(found) else { return };
    // SAFETY: the function of that name in libsondage.so has this type.
    let stand_down: extern "C" fn() = unsafe { std::mem::transmute(found) };
    stand_down();
}

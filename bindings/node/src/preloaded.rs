//! Preloaded by `sondage record`: this addon, or another library that records the process.
//!
//! The addon is what the package has the command preload into every program: there is no second
//! library with most of the same code. In a process of Node.js it is loaded once more, which is the
//! same library then.
#![allow(unsafe_code, reason = "the loader is asked what it has loaded")]

use std::ffi::{CStr, c_void};
use std::os::unix::ffi::OsStrExt;
use std::ptr::NonNull;

/// Whether this library was preloaded into the process.
pub(crate) fn is_preloaded() -> bool {
    let Some((own, _)) = library(own_address()) else { return false };
    let preloaded = std::env::var_os("LD_PRELOAD").unwrap_or_default();
    preloaded.as_bytes().split(|byte| b" :".contains(byte)).any(|path| path == own.to_bytes())
}

/// Has another library that was preloaded stop recording this process, if there is one.
pub(crate) fn stand_down_others() {
    // SAFETY: the name ends with a NUL, and the default scope needs no handle.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"sondage_recorder_stand_down".as_ptr()) };
    let Some(found) = NonNull::new(found) else { return };
    let base = |address| library(address).map(|(_, base)| base);
    if base(found.as_ptr()) == base(own_address()) {
        return;
    }
    // SAFETY: the function of that name has this type in each of our libraries.
    let stand_down: extern "C" fn() = unsafe { std::mem::transmute(found) };
    stand_down();
}

/// An address in this library.
fn own_address() -> *const c_void {
    static HERE: u8 = 0;
    (&raw const HERE).cast()
}

/// The path and the beginning of the library that has this address, as the loader knows them.
fn library(address: *const c_void) -> Option<(&'static CStr, usize)> {
    // SAFETY: plain data, for which all zero is valid.
    let mut found: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: any address may be asked for; the answer goes into a local.
    let known = unsafe { libc::dladdr(address, &raw mut found) } != 0;
    if !known || found.dli_fname.is_null() {
        return None;
    }
    // SAFETY: the loader's own text, which stays as long as the library does; neither this one nor
    // one that is preloaded is ever unloaded.
    let path = unsafe { CStr::from_ptr(found.dli_fname) };
    Some((path, found.dli_fbase as usize))
}

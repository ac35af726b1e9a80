//! A process under `sondage record`: what it records, and who does.
#![allow(unsafe_code, reason = "the loader is asked for what is preloaded")]

use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sondage::config::EnginePolicy;
use sondage_recorder::Options;

use crate::fallback;
use crate::fence::fenced;

/// The directory of the recording.
const VARIABLE: &str = "SONDAGE_RECORD_DIR";

/// Whether `sondage record` has this process: then a start by the program does nothing.
static RECORDED: AtomicBool = AtomicBool::new(false);

/// Records this process for `sondage record`, if it runs under it; whether it does.
pub(crate) fn begin() -> bool {
    if is_recorded() {
        return true;
    }
    if !is_wanted() {
        return false;
    }
    take_over();
    // A process with a virtual machine has lived for long enough.
    let patience = Duration::ZERO;
    let engine = fallback::engine().unwrap_or(EnginePolicy::Auto);
    let options = Options { patience, stop_at_end: true, engine };
    let begun = sondage_recorder::begin(options);
    if begun && !RECORDED.swap(true, Ordering::AcqRel) {
        sondage_sampler::at_exit(process_ends);
        fallback::begin(fallback::RECORD_HZ);
    }
    begun
}

/// Whether the process runs under `sondage record`.
pub(crate) fn is_wanted() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// Whether this library records the process.
pub(crate) fn is_recorded() -> bool {
    RECORDED.load(Ordering::Acquire)
}

/// Tells `sondage record` why Java's frames are missing; whether it runs.
pub(crate) fn tell(reason: &str) -> bool {
    let Some(directory) = std::env::var_os(VARIABLE) else { return false };
    let line = format!("Java: {reason}\n");
    // One of each kind is enough.
    let _ = sondage_recorder::write(&Path::new(&directory).join("java.failed"), line.as_bytes());
    true
}

/// Writes what is left: the virtual machine ends.
pub(crate) fn finish() {
    sondage_recorder::end();
}

extern "C" fn process_ends() {
    fenced((), finish);
}

/// For another copy of this library, which the program has loaded from its jar and uses.
extern "C" fn stand_down() {
    fenced((), sondage_recorder::stand_down);
}

/// Has stop who records this process so far: a preloaded library, or another copy of this one. From
/// then on no other is loaded, which what this one does with the machine might bring about.
pub(crate) fn take_over() {
    if !is_wanted() {
        return;
    }
    let name = c"sondage_recorder_take_over";
    // SAFETY: the name ends with a NUL, and the default scope needs no handle.
    let found = NonNull::new(unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) });
    if let Some(found) = found {
        // SAFETY: the function of that name has this type in each of our libraries.
        let take_over: extern "C" fn(extern "C" fn()) = unsafe { std::mem::transmute(found) };
        take_over(stand_down);
    }
}

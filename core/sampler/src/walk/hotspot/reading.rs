//! Whether frames are read: a binding may find out while samples are taken that they are wrong.

use core::sync::atomic::{AtomicBool, Ordering};

static STOPPED: AtomicBool = AtomicBool::new(false);

/// Ends the reading of frames of Java, for the rest of the process' life: samples have native frames
/// only, and labels of virtual threads no more. What was read before stays in the present profile.
pub fn stop_reading() {
    STOPPED.store(true, Ordering::Release);
}

/// Whether frames are read.
#[inline]
pub(crate) fn are_read() -> bool {
    !STOPPED.load(Ordering::Acquire)
}

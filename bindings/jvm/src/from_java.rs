//! Work that is done while frames of Java are on the stack, as if the runtime library did it: a class
//! is loaded that hardly any program has, and the virtual machine tells of that.

use std::ffi::CStr;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};

use sondage_sampler::current_tid;

use crate::jvmti::{Event, Jvmti};
use crate::vm::Jni;

/// Classes of the runtime library, for one piece of work each. Another copy of this library may have
/// loaded the first.
const UNUSED: [&CStr; 4] = [
    c"java.util.concurrent.Phaser",
    c"java.util.concurrent.Exchanger",
    c"java.util.zip.Adler32",
    c"java.text.ChoiceFormat",
];

/// Frames of Java that make it worth trying: loading a class by name is more than one call.
pub(crate) const LEAST_FRAMES: usize = 2;

/// Whether it is done.
type Work = fn(Jvmti, Jni) -> bool;

/// The thread that loads a class, and what it does then.
static THREAD: AtomicI32 = AtomicI32::new(0);
static WORK: Mutex<Option<Work>> = Mutex::new(None);

/// Does work, again and again until it says that it is done. Whether it was.
pub(crate) fn run(jvmti: Jvmti, jni: Jni, work: Work) -> bool {
    let pending = || WORK.lock().unwrap_or_else(PoisonError::into_inner);
    *pending() = Some(work);
    THREAD.store(current_tid(), Ordering::Release);
    let _ = jvmti.enable(Event::ClassLoad, true);
    for class in UNUSED {
        if pending().is_some() {
            jni.load_by_name(class);
        }
    }
    let _ = jvmti.enable(Event::ClassLoad, false);
    THREAD.store(0, Ordering::Release);
    pending().take().is_none()
}

/// A class is being loaded, perhaps one of those.
pub(crate) fn class_loads(jvmti: Jvmti, jni: Jni) {
    if THREAD.load(Ordering::Acquire) != current_tid() {
        return;
    }
    let work = *WORK.lock().unwrap_or_else(PoisonError::into_inner);
    if work.is_some_and(|work| work(jvmti, jni)) {
        *WORK.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

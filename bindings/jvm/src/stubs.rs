//! The code that the virtual machine makes for itself, by names: it tells of each piece.

use std::ffi::CStr;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use sondage::hotspot::Stub;

use crate::jvmti::{Event, Jvmti};

/// Pieces that are kept; there are some 500.
const MOST: usize = 4096;

static TOLD: Mutex<Vec<Stub>> = Mutex::new(Vec::new());

/// Every piece that there is, in order.
pub(crate) fn all(jvmti: Jvmti) -> Vec<Stub> {
    let told = jvmti.enable(Event::DynamicCodeGenerated, true);
    let _ = told.and_then(|()| jvmti.tell_again(Event::DynamicCodeGenerated));
    let _ = jvmti.enable(Event::DynamicCodeGenerated, false);
    let mut stubs = std::mem::take(&mut *TOLD.lock().unwrap_or_else(PoisonError::into_inner));
    stubs.sort_by_key(|stub| stub.range.start);
    stubs
}

/// The machine tells of one, on any thread.
pub(crate) fn is_told(range: Range<u64>, name: &CStr) {
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    if told.len() < MOST {
        told.push(Stub { range, name: name.to_string_lossy().into() });
    }
}

//! Profiles of memory: the virtual machine says which objects it samples, one in so many bytes, and
//! which of them it has collected.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use jni_sys::jobject;
use sondage::heap;

use crate::jvmti::{Capability, Event, Jvmti};

/// What an agent must be able to do for this.
const CAPABILITIES: [Capability; 3] =
    [Capability::SampledObjectAllocEvents, Capability::TagObjects, Capability::ObjectFreeEvents];

/// Objects bear tags that look like addresses of blocks, which is what the sampler keeps.
const TAG_STEP: u64 = 16;

static NEXT_TAG: AtomicU64 = AtomicU64::new(1 << 16);

static SAMPLED: AtomicBool = AtomicBool::new(false);

/// Says that memory can be profiled, if the virtual machine allows it: another agent may have the
/// capability, which only one can have.
pub(crate) fn prepare(jvmti: Jvmti) {
    let able = CAPABILITIES.iter().all(|capability| jvmti.add_capability(*capability).is_ok());
    if able {
        heap::announce(|| true);
    }
}

/// Has objects sampled, one in `rate` bytes on average, or none from here on. The samples of none
/// are told no more.
pub(crate) fn sample(jvmti: Jvmti, rate: Option<u64>) {
    let on = rate.is_some();
    if let Some(rate) = rate {
        let _ = jvmti.set_sampling_interval(i32::try_from(rate).unwrap_or(i32::MAX));
    }
    if on != SAMPLED.swap(on, Ordering::AcqRel) {
        let _ = jvmti.enable(Event::SampledObjectAlloc, on);
        let _ = jvmti.enable(Event::ObjectFree, on);
    }
}

/// The calling thread has made an object, which was sampled.
pub(crate) fn allocated(jvmti: Jvmti, object: jobject, bytes: i64) {
    let tag = NEXT_TAG.fetch_add(TAG_STEP, Ordering::Relaxed);
    heap::sample(tag as usize, usize::try_from(bytes).unwrap_or(0));
    if heap::may_be_sampled(tag as usize) && jvmti.set_tag(object, tag as i64).is_err() {
        heap::freed(tag as usize);
    }
}

/// An object was collected. Called while the machine stands still: nothing is asked of it.
pub(crate) fn freed(tag: i64) {
    heap::freed(tag as usize);
}

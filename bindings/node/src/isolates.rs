//! What is kept of each isolate, and goes when it ends, however it ends.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use napi::Env;
use napi_derive::napi;

use crate::fence::{fenced, guarded};
use crate::heap;

/// What an isolate has said last of its event loop and its memory, as JSON. Those that have said
/// nothing yet have an entry too, once something else of them is kept.
static GAUGES: Mutex<BTreeMap<u32, Option<String>>> = Mutex::new(BTreeMap::new());

fn gauges() -> MutexGuard<'static, BTreeMap<u32, Option<String>>> {
    GAUGES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Arranges that what is kept of an isolate goes with it; whether that could be done.
pub(crate) fn clean_up_after(env: &Env, isolate: u32) -> bool {
    let mut gauges = gauges();
    if !gauges.contains_key(&isolate) && env.add_env_cleanup_hook(isolate, ended).is_ok() {
        gauges.insert(isolate, None);
    }
    gauges.contains_key(&isolate)
}

fn ended(isolate: u32) {
    // Also after a defect, when nothing that is guarded is done any more.
    sondage_sampler::stop_v8_heap_sampling();
    guarded(|| {
        gauges().remove(&isolate);
        heap::forget(isolate);
    });
}

/// Keeps what the calling isolate says of itself; null to forget it.
#[napi]
pub fn post_gauges(env: Env, isolate: u32, json: Option<String>) -> napi::Result<()> {
    fenced((), || {
        clean_up_after(&env, isolate);
        if let Some(kept) = gauges().get_mut(&isolate) {
            *kept = json;
        }
        Ok(())
    })
}

/// What the isolates have said last.
#[napi]
pub fn posted_gauges() -> napi::Result<Vec<String>> {
    fenced(Vec::new(), || Ok(gauges().values().flatten().cloned().collect()))
}

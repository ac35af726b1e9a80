//! Memory in use, as V8 samples it: a snapshot for each isolate.

use std::sync::Arc;

use napi::Env;
use napi::bindgen_prelude::Float64Array;
use napi_derive::napi;
use sondage::{ForeignHeap, ForeignHeapStack};

use crate::agent;
use crate::fence::fenced;
use crate::isolates;
use crate::tree::{Calls, Tree};

/// How these snapshots are made, in profiles.
const SOURCE: &str = "v8-heap";

/// Samples the calling isolate's heap, one in `rate` bytes, until its end at the latest. False
/// where somebody does already; null where V8 cannot be asked this way.
#[napi]
pub fn start_heap_sampling(env: Env, isolate: u32, rate: f64) -> napi::Result<Option<bool>> {
    fenced(None, || {
        if !isolates::clean_up_after(&env, isolate) {
            return Ok(None);
        }
        Ok(sondage_sampler::start_v8_heap_sampling(rate as u64))
    })
}

/// Whose snapshot it is.
#[napi(object)]
#[derive(Debug)]
pub struct Owner {
    /// The number of the thread, as Node.js counts them.
    pub isolate: u32,
    /// Its name.
    pub thread: String,
    /// Bytes between two samples.
    pub rate: f64,
}

/// Puts a snapshot in the place of the isolate's last one: the bytes that each node of the tree has
/// in use. Whether there was room.
#[napi]
pub fn replace_heap(env: Env, owner: Owner, tree: Tree, bytes: Float64Array) -> napi::Result<bool> {
    fenced(false, || {
        let calls = Calls::from(tree);
        let in_use = (0..).zip(bytes.iter()).filter(|(_, bytes)| **bytes >= 1.0);
        let stacks = in_use.map(|(node, bytes)| ForeignHeapStack {
            frames: calls.frames(node, 0),
            bytes: *bytes as u64,
        });
        let heap = ForeignHeap {
            source: SOURCE,
            part: u64::from(owner.isolate),
            thread: Arc::from(owner.thread),
            rate: owner.rate as u64,
            stacks: stacks.collect(),
        };
        if !isolates::clean_up_after(&env, owner.isolate) {
            return Ok(false);
        }
        Ok(agent::ask(|agent| agent.replace_foreign_heap(heap)).unwrap_or(false))
    })
}

/// Forgets the isolate's snapshot.
#[napi]
pub fn remove_heap(isolate: u32) -> napi::Result<()> {
    fenced((), || {
        forget(isolate);
        Ok(())
    })
}

pub(crate) fn forget(isolate: u32) {
    agent::ask(|agent| agent.remove_foreign_heap(SOURCE, u64::from(isolate)));
}

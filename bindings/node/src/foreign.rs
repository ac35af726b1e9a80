//! Stacks as V8's own profiler tells them, where no signal handler can read them.

use std::sync::Arc;
use std::time::Duration;

use napi::bindgen_prelude::{Float64Array, Uint32Array};
use napi_derive::napi;
use sondage::{ForeignStack, LabelSet};
use sondage_sampler::{Clock, current_tid};

use crate::agent;
use crate::fence::fenced;
use crate::tree::{Calls, Tree};

/// How these stacks are taken, in profiles and in messages.
pub(crate) const SOURCE: &str = "v8-inspector";

/// Hands stacks of `thread` over and returns how many found room. `leaves` has three numbers for
/// each: its node in the tree, the line there, 0 for the node's own, and its samples; `times` two:
/// CPU time and waiting time, in nanoseconds.
#[napi]
pub fn add_stacks(
    tree: Tree,
    thread: String,
    leaves: Uint32Array,
    times: Float64Array,
) -> napi::Result<u32> {
    fenced(0, || {
        let (calls, thread) = (Calls::from(tree), Arc::<str>::from(thread));
        let (leaves, times) = (leaves.as_chunks::<3>().0, times.as_chunks::<2>().0);
        let stacks =
            leaves.iter().zip(times).map(|([node, line, samples], [cpu, waited])| ForeignStack {
                source: SOURCE,
                frames: calls.frames(*node, *line),
                labels: LabelSet::default(),
                thread: thread.clone(),
                samples: *samples,
                cpu: Duration::from_nanos(*cpu as u64),
                waited: Duration::from_nanos(*waited as u64),
            });
        Ok(agent::ask(|agent| agent.add_foreign(stacks)).map_or(0, |sent| sent as u32))
    })
}

/// The CPU time of the calling thread, in nanoseconds.
#[napi]
pub fn thread_cpu() -> napi::Result<f64> {
    fenced(0.0, || {
        let clock = Clock::Thread(current_tid()).now().unwrap_or_default();
        Ok(clock.as_nanos() as f64)
    })
}

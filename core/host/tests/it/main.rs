//! The machine as a whole: what is sampled of programs that come, change and go, and what is left
//! behind. Needs root and eBPF; the skip is announced elsewhere.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod brief;
mod ceiling;
mod changes;
#[path = "../../../ebpf/tests/it/gate.rs"]
mod gate;
mod jitted;
mod lifecycle;
mod namespaces;
mod sharing;
mod stacks;
mod target;

use sondage_host::missing as probe;

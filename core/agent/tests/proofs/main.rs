//! What the agent promises its host, proven on real processes.
//!
//! Each scenario runs in a process of its own under a watchdog (`child.rs`). By default the sizes
//! are small enough for every change; `SONDAGE_STORM=full` runs the sizes that are published.

#![allow(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

#[cfg(target_arch = "x86_64")]
mod alive;
mod child;
#[cfg(all(target_arch = "x86_64", feature = "grpc"))]
mod delivery;
#[cfg(target_arch = "x86_64")]
mod descriptors;
#[cfg(target_arch = "x86_64")]
mod differences;
#[cfg(target_arch = "x86_64")]
mod endings;
#[cfg(target_arch = "x86_64")]
mod engines;
#[cfg(all(target_arch = "x86_64", feature = "ebpf"))]
mod fallback;
#[cfg(all(target_arch = "x86_64", feature = "ebpf"))]
#[allow(dead_code, reason = "scenarios have processes of their own and need no turns")]
#[path = "../../../ebpf/tests/it/gate.rs"]
mod gate;
#[cfg(target_arch = "x86_64")]
mod handler;
#[cfg(target_arch = "x86_64")]
mod host;
#[cfg(target_arch = "x86_64")]
mod lifecycle;
mod lines;
#[cfg(all(target_arch = "x86_64", feature = "ebpf"))]
mod notified;
#[cfg(target_arch = "x86_64")]
mod oracle;
mod outliving;
mod received;
#[cfg(all(target_arch = "x86_64", feature = "ebpf"))]
mod same_shares;
#[allow(dead_code, reason = "a part of what it can do is used here")]
#[path = "../it/server.rs"]
mod server;
#[cfg(target_arch = "x86_64")]
mod shares;
#[cfg(target_arch = "x86_64")]
mod signals;
#[cfg(target_arch = "x86_64")]
mod spans;
#[cfg(target_arch = "x86_64")]
mod stacks;
#[cfg(target_arch = "x86_64")]
mod stepper;
#[cfg(target_arch = "x86_64")]
mod steps;
mod sys;
#[cfg(target_arch = "x86_64")]
mod terminated;
#[cfg(all(target_arch = "x86_64", feature = "grpc"))]
mod tracer;
mod workload;

#[cfg(all(target_arch = "x86_64", feature = "ebpf"))]
use sondage_ebpf::probe;

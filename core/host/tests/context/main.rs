//! What processes and threads say of themselves, in the profile of the machine: real programs,
//! sampled by eBPF.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

#[cfg(target_arch = "x86_64")]
#[path = "../../../ebpf/tests/it/gate.rs"]
mod gate;
#[cfg(target_arch = "x86_64")]
mod handed_over;
#[cfg(target_arch = "x86_64")]
mod published;
#[cfg(target_arch = "x86_64")]
mod watch;

#[cfg(target_arch = "x86_64")]
use sondage_host::missing as probe;

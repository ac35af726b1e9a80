//! The command as its users run it, on programs built here.
#![allow(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

mod binding;
mod built;
mod ctl;
mod diff;
mod doctor;
mod fetched;
#[cfg(feature = "host-agent")]
#[allow(dead_code, reason = "these tests need no turns")]
#[path = "../../../core/ebpf/tests/it/gate.rs"]
mod gate;
mod history;
#[cfg(feature = "host-agent")]
mod host_agent;
mod hostile;
mod java;
mod outside;
mod push;
mod read;
mod record;
mod scratch;
mod view;

#[cfg(feature = "host-agent")]
use sondage_host::missing as probe;

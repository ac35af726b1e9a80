//! Sondage for C: what `sondage.h` declares, and the recording that `sondage record` preloads.
//!
//! Every export catches panics: a defect turns profiling off and is told by
//! `sondage_last_error`; the host goes on. Nothing is ever printed.
#![deny(unsafe_code)]

mod abi;
mod config;
mod failure;
mod fence;
mod hooks;
mod host;
mod jvm;
mod report;

/// Whether this library records the process that loads it under `sondage record`: also where the
/// program was linked with it.
fn is_recorder() -> bool {
    true
}

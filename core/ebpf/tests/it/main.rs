//! The engine on a live kernel: this test process samples itself.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod gate;
mod labels;
mod own_modules;
mod own_process;
mod rights;
#[allow(dead_code, reason = "shared with the replay tests")]
mod tower;

use sondage_ebpf::probe;

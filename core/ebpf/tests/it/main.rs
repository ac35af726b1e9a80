//! The engine on a live kernel: this test process samples itself.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod gate;
mod go;
mod go_labels;
mod go_program;
mod labels;
mod native_programs;
mod other_process;
mod own_modules;
mod own_process;
mod python;
mod rights;
#[allow(dead_code, reason = "shared with the replay tests")]
mod tower;

use sondage_ebpf::probe;

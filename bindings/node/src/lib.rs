//! Sondage for Node.js: the addon of the package `sondage`.
//!
//! The API that people see is written in JavaScript, in `lib`. What is here is the bridge to the
//! core, and what only native code can do: V8's own structures, and labels that the signal handler
//! reads.
//!
//! Every export goes through [`fence::fenced`]: a defect turns profiling off with one warning, and
//! the program goes on.
#![deny(unsafe_code)]
// In tests its macros export nothing, and all would be unused.
#![cfg(not(test))]

mod agent;
mod command;
mod fence;
mod foreign;
mod heap;
#[path = "../../c/src/hooks.rs"]
mod hooks;
mod isolates;
#[path = "../../c/src/jvm.rs"]
mod jvm;
mod labels;
mod preloaded;
mod process;
mod pulse;
mod selftest;
mod tree;
mod v8;

use preloaded::is_preloaded as is_recorder;

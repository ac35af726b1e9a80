//! The `sondage` command, which the package installs.

use std::ffi::OsString;
use std::path::PathBuf;

use napi_derive::napi;
use sondage_cli::Surroundings;

use crate::process;

/// Runs the command and returns its exit code. `library` is what `record` preloads, `node` what it
/// has programs of Node.js load. The calling thread waits meanwhile.
#[napi]
#[must_use]
pub fn command(arguments: Vec<String>, library: Option<String>, node: Option<String>) -> u32 {
    if arguments.get(1).is_some_and(|command| command == "record") {
        process::pass_streams_on();
        process::gather_signals();
    }
    let arguments = arguments.into_iter().map(OsString::from);
    let (library, node) = (library.map(PathBuf::from), node.map(PathBuf::from));
    let surroundings = Surroundings { library, node, ..Surroundings::default() };
    u32::from(sondage_cli::run(arguments, &surroundings))
}

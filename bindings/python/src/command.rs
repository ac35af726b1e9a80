//! The `sondage` command, which the wheel installs.

use std::ffi::OsString;
use std::path::PathBuf;

use pyo3::prelude::*;
use sondage_cli::Surroundings;

/// Runs the command and returns its exit code. The interpreter goes on meanwhile.
#[pyfunction]
pub(crate) fn command(
    py: Python<'_>,
    arguments: Vec<OsString>,
    library: Option<PathBuf>,
    python: Option<PathBuf>,
) -> u8 {
    let surroundings = Surroundings { library, python, ..Surroundings::default() };
    py.detach(|| sondage_cli::run(arguments, &surroundings))
}

//! Why a command did not work.

use std::fmt::Display;
use std::path::Path;

/// Exit code for something that failed.
const FAILED: u8 = 1;

/// Exit code for wrong arguments.
const USAGE: u8 = 2;

/// A message for people, and the exit code it ends the command with.
#[derive(Debug)]
pub(crate) struct Error {
    pub(crate) code: u8,
    pub(crate) message: String,
}

impl Error {
    /// Something failed.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { code: FAILED, message: message.into() }
    }

    /// An argument is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: USAGE, message: message.into() }
    }

    /// Something failed that concerns a file.
    pub(crate) fn of_file(path: &Path, error: impl Display) -> Self {
        Self::new(format!("{}: {error}", path.display()))
    }
}

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
        Self::new(format!("{}: {error}", shown(path)))
    }
}

/// A path that cannot act on the terminal: that of a directory's file is nobody's choice here.
pub(crate) fn shown(path: &Path) -> String {
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    path.display().to_string().chars().fold(String::new(), |mut text, c| {
        match c.is_control() || turns(c) {
            true => text.extend(c.escape_unicode()),
            false => text.push(c),
        }
        text
    })
}

//! What a call answers when it does not work.

use std::sync::{Mutex, PoisonError};

use sondage::{Error, ErrorKind};

/// The numbers of `sondage.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Status {
    Ok = 0,
    Invalid = 1,
    Busy = 2,
    Unsupported = 3,
    Io = 4,
    NotRunning = 5,
    Internal = 6,
}

/// A failed call: its number and a line for people.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: Status,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(status: Status, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            ErrorKind::Busy => Status::Busy,
            ErrorKind::Unsupported => Status::Unsupported,
            ErrorKind::Io => Status::Io,
            ErrorKind::InvalidInput | ErrorKind::Malformed | ErrorKind::TooLarge => Status::Invalid,
            _ => Status::Internal,
        };
        Self::new(status, error.to_string())
    }
}

static LAST: Mutex<String> = Mutex::new(String::new());

/// Keeps the message of the last failure for `sondage_last_error`.
pub(crate) fn remember(message: &str) {
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    last.clear();
    last.push_str(message);
}

/// The message of the last failure in this process; empty if there was none.
pub(crate) fn last() -> String {
    LAST.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

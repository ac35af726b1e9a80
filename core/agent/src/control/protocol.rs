//! What is said, and how much of it.

use crate::agent::{Change, Status};
use crate::error::ErrorKind;
use serde::{Deserialize, Serialize};

/// The version of the protocol. Another one is refused by name.
pub(super) const VERSION: u32 = 1;

/// Bytes of a request: 64 labels of the longest names and values, every byte escaped.
pub(super) const MAX_REQUEST: u64 = 512 << 10;

/// Bytes of an answer's line.
pub(super) const MAX_ANSWER: u64 = 1 << 20;

/// Bytes of a profile that follows an answer.
pub(super) const MAX_PROFILE: u64 = 64 << 20;

/// Read before everything else.
#[derive(Debug, Deserialize)]
pub(super) struct Spoken {
    pub(super) version: u32,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    pub(super) version: u32,
    pub(super) call: Call,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Call {
    Status,
    Set(Change),
    Burst { hz: u32, duration_ms: u64, keep: bool },
    Profile { burst: u64 },
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Response {
    pub(super) version: u32,
    pub(super) answer: Answer,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    Status(Box<Status>),
    Done,
    Burst { number: u64 },
    Pending,
    Profile { bytes: u64 },
    Failed { kind: ErrorKind, message: String },
}

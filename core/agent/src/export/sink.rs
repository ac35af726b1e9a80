//! What every destination of profiles can do.

use std::fmt;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::profile::Profile;

/// The most often that one upload is tried.
pub(super) const MAX_TRIES: u32 = 8;

/// A destination of profiles. Its methods are called on one thread, one after the other.
pub trait Sink: Send {
    /// The target as the user wrote it, without secrets.
    fn name(&self) -> String;

    /// Encodes a profile into the uploads that carry it: each is delivered, retried and counted
    /// for itself.
    ///
    /// # Errors
    /// Whatever keeps the profile from being encoded; it is then dropped and counted.
    fn encode(&mut self, profile: &Profile) -> Result<Vec<Upload>, Error>;

    /// Delivers one upload, or fails before `deadline`.
    ///
    /// # Errors
    /// [`PushError`] says whether to try again.
    fn push(&mut self, upload: &Upload, deadline: Instant) -> Result<(), PushError>;

    /// The two halves of an upload that the server found too large; none when it cannot be split.
    fn split(&mut self, upload: &Upload) -> Vec<Upload> {
        let _ = upload;
        Vec::new()
    }

    /// Whether the destination recognises an upload that it gets a second time, and counts it
    /// once. Only then is one sent again of which nobody knows whether it arrived.
    fn deduplicates(&self) -> bool {
        false
    }

    /// Whether uploads stay on this machine: then they do not wait in a spool, which would be no
    /// safer.
    fn is_local(&self) -> bool {
        false
    }

    /// How old a profile may get before the server would refuse it.
    fn max_age(&self) -> Option<Duration> {
        None
    }
}

/// One message for one destination.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Upload {
    /// The bytes to send or to write.
    pub body: Vec<u8>,
    /// Start of the profile, in nanoseconds since the Unix epoch.
    pub start_unix_nanos: Option<u64>,
    /// What had to be left out of the profile for this destination.
    pub note: Option<String>,
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upload({} bytes)", self.body.len())
    }
}

/// Why an upload failed, and so what to do with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushError {
    /// It was not stored and may be later: try again.
    Retry {
        /// For people.
        message: String,
        /// How long the server asks everyone to wait.
        after: Option<Duration>,
        /// The most tries in all, at most 8. An upload that waits in a spool is tried without
        /// limit where this is 8.
        max_tries: u32,
    },
    /// It never will be stored: drop it.
    Rejected {
        /// For people.
        message: String,
    },
    /// The server takes no message of this size: split it.
    TooLarge {
        /// For people.
        message: String,
    },
    /// The message was sent and no answer came: it may be stored. Sending it again could count
    /// it twice, unless the sink [deduplicates](Sink::deduplicates).
    Ambiguous {
        /// For people.
        message: String,
    },
}

impl PushError {
    /// An error after which to try again.
    pub fn retry(message: impl Into<String>) -> Self {
        Self::Retry { message: message.into(), after: None, max_tries: MAX_TRIES }
    }

    /// An error after which to give up.
    pub fn rejected(message: impl Into<String>) -> Self {
        Self::Rejected { message: message.into() }
    }

    /// What happened, for people.
    pub fn message(&self) -> &str {
        match self {
            Self::Retry { message, .. }
            | Self::Rejected { message }
            | Self::TooLarge { message }
            | Self::Ambiguous { message } => message,
        }
    }
}

impl fmt::Display for PushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for PushError {}

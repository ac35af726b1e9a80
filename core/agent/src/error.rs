//! The crate's error.

use serde::{Deserialize, Serialize};
use sondage_sampler::StartError;
use std::fmt;

/// What a caller can do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The data does not follow its format: another file is needed.
    Malformed,
    /// The data follows its format but exceeds a limit.
    TooLarge,
    /// An argument or a setting is wrong: correct it.
    InvalidInput,
    /// The operating system refused something: files, threads, memory.
    Io,
    /// This process, kernel or build does not do it: no free signal, no CPU timers, no HTTP client.
    Unsupported,
    /// Another agent runs in this process.
    Busy,
    /// A defect of Sondage; profiling is off, the host goes on.
    Internal,
}

/// An error of this crate: a [kind](Error::kind) to act on and a message for people.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// Makes an error from its kind and one line for people.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Adds what caused the error.
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Malformed, message)
    }

    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::TooLarge, message)
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<StartError> for Error {
    fn from(error: StartError) -> Self {
        match error {
            StartError::AlreadyRunning => {
                Self::new(ErrorKind::Busy, "an agent runs in this process already")
            }
            StartError::Memory(errno) => {
                Self::new(ErrorKind::Io, format!("no address space for the rings: {errno}"))
            }
            StartError::NoFreeSignal => Self::new(
                ErrorKind::Unsupported,
                "the host handles SIGURG, SIGPROF and every real-time signal itself",
            ),
            StartError::Timer(errno) => {
                Self::new(ErrorKind::Unsupported, format!("no CPU timers: {errno}"))
            }
        }
    }
}

//! What can go wrong.

use std::fmt;

/// What the caller may do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A capability or kernel feature is missing; [`crate::probe()`] names it and the remedy.
    Unavailable,
    /// The unwind tables or modules do not fit. Start the engine again: it sizes itself anew.
    Full,
    /// A table is not consistent, so the program could not read it as the walker does.
    BadTable,
    /// The kernel refused something that the probe did not foresee.
    Kernel,
}

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why the engine could not do what it was asked.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Source>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// The kernel or the loader refused `what`.
    pub(crate) fn kernel(what: impl Into<String>, source: impl Into<Source>) -> Self {
        Self { kind: ErrorKind::Kernel, message: what.into(), source: Some(source.into()) }
    }

    /// What the caller may do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

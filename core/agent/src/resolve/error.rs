use std::fmt;
use std::io;

/// What kind of obstacle stands between an address and its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResolveErrorKind {
    /// No file stands at the path (deleted, or in another mount namespace).
    Missing,
    /// A file stands at the path, but not the one that is mapped.
    Replaced,
    /// The file exists and could not be read: permissions, descriptors, a failing disk.
    Unreadable,
    /// The file is not what it claims to be: not ELF, truncated, or inconsistent.
    Malformed,
    /// Reading on would exceed a budget.
    TooLarge,
    /// Looking on would exceed the time allowed for one batch.
    TooSlow,
    /// A parser failed on the file in a way it should not have.
    Internal,
}

/// Why a file could not be used for names. It never concerns the sample: an address without a
/// name stays in the profile with its mapping, build id and offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolveError {
    kind: ResolveErrorKind,
    message: String,
}

impl ResolveError {
    pub(crate) fn new(kind: ResolveErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::new(ResolveErrorKind::Malformed, message)
    }

    pub(crate) fn too_large(what: &str, bytes: u64, limit: u64) -> Self {
        let message = format!("{what} has {bytes} bytes, more than the limit of {limit}");
        Self::new(ResolveErrorKind::TooLarge, message)
    }

    pub(crate) fn io(action: &str, error: &io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ResolveErrorKind::Missing,
            io::ErrorKind::UnexpectedEof => ResolveErrorKind::Malformed,
            _ => ResolveErrorKind::Unreadable,
        };
        Self::new(kind, format!("{action}: {error}"))
    }

    /// Puts the name of the file in front of the message.
    pub(crate) fn about(self, subject: &str) -> Self {
        Self { kind: self.kind, message: format!("{subject}: {}", self.message) }
    }

    /// What kind of obstacle it is.
    pub fn kind(&self) -> ResolveErrorKind {
        self.kind
    }
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ResolveError {}

//! Passwords and tokens: where they come from, and how they stay out of sight.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind};

/// Bytes of a secret. A JSON web token has some 1,000.
const MAX_BYTES: u64 = 16 << 10;

/// A text that no `Debug` output shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text. White space around it is not part of it: files end with a line feed.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind) when it is empty, longer than 16 KiB or
    /// contains characters that no HTTP header may carry (anything but printable ASCII). The
    /// message does not show the text.
    pub fn new(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Error::invalid("the secret is empty"));
        }
        if text.len() as u64 > MAX_BYTES {
            return Err(Error::invalid("the secret is longer than 16 KiB"));
        }
        if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err(Error::invalid("the secret has characters other than printable ASCII"));
        }
        Ok(Self(text.to_owned()))
    }

    /// Reads a secret from a file.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when the file cannot be read, otherwise as [`Secret::new`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let mut text = String::new();
        File::open(path)
            .and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text))
            .map_err(|error| {
                let message = format!("cannot read the secret in {}: {error}", path.display());
                Error::new(ErrorKind::Io, message).with_source(error)
            })?;
        Self::new(&text)
            .map_err(|error| Error::new(error.kind(), format!("{}: {error}", path.display())))
    }

    /// The text itself, to be sent and never shown.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A secret, or the file that it is in, which is read again for every upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// The secret itself.
    Text(Secret),
    /// Its file.
    File(PathBuf),
}

impl SecretSource {
    /// The secret as it is now.
    ///
    /// # Errors
    /// As [`Secret::read`].
    pub fn read(&self) -> Result<Secret, Error> {
        match self {
            Self::Text(secret) => Ok(secret.clone()),
            Self::File(path) => Secret::read(path),
        }
    }
}

/// How uploads prove who they are. Files are read again for every upload, so that a rotated
/// secret needs no restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// They do not.
    #[default]
    None,
    /// `Authorization: Bearer` with this token.
    Token(Secret),
    /// `Authorization: Bearer` with the token in this file.
    TokenFile(PathBuf),
    /// `Authorization: Basic` with this `user:password`.
    Basic(Secret),
    /// `Authorization: Basic` with the `user:password` in this file.
    BasicFile(PathBuf),
}

impl Auth {
    /// Checks that the files can be read and hold what they must.
    ///
    /// # Errors
    /// As [`Secret::read`]; [`ErrorKind::InvalidInput`] for a file without `user:password`.
    pub fn check(&self) -> Result<(), Error> {
        match self {
            Self::None | Self::Token(_) | Self::Basic(_) => Ok(()),
            Self::TokenFile(path) => Secret::read(path).map(|_| ()),
            Self::BasicFile(path) => Self::read_basic(path).map(|_| ()),
        }
    }

    /// Takes `user:password`.
    ///
    /// # Errors
    /// As [`Secret::new`]; [`ErrorKind::InvalidInput`] for a text without a colon.
    pub fn basic(text: &str) -> Result<Self, Error> {
        match text.contains(':') {
            true => Secret::new(text).map(Self::Basic),
            false => Err(Error::invalid("not user:password")),
        }
    }

    /// Reads `user:password`.
    pub(crate) fn read_basic(path: &Path) -> Result<Secret, Error> {
        let secret = Secret::read(path)?;
        if !secret.expose().contains(':') {
            return Err(Error::invalid(format!("{}: not user:password", path.display())));
        }
        Ok(secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_in_debug_output() {
        let auth = Auth::Token(Secret::new("canary-token\n").unwrap());
        assert_eq!(format!("{auth:?}"), "Token(***)");
    }

    #[test]
    fn user_and_password_are_not_in_messages() {
        let shown = format!("{:?}", Auth::basic("canary:canary").unwrap());
        let refused = Auth::basic("canary").unwrap_err().to_string();
        assert_eq!((shown.as_str(), refused.as_str()), ("Basic(***)", "not user:password"));
    }

    #[test]
    fn a_secret_that_would_break_a_header_is_refused_without_showing_it() {
        for text in ["", "  \n", "canary\r\nHost: evil", "canaryé"] {
            let error = Secret::new(text).unwrap_err();
            assert!(!error.to_string().contains("canary"), "{error}");
        }
        assert!(Secret::new(&"x".repeat(17 << 10)).is_err());
    }
}

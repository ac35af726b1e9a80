//! The one error of this program: what went wrong, and how the caller is told.

use std::fmt;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// What a caller can do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The command line is wrong.
    Usage,
    /// The request names something that is not there.
    NotFound,
    /// The request cannot be understood.
    BadRequest,
    /// Part of the service is shutting down.
    Unavailable,
    /// The database refused.
    Database,
    /// The operating system refused.
    Io,
    /// The load generator saw requests fail.
    Load,
}

/// An error with a kind to act on and a message to read.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
}

/// The result of everything here that can fail.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Makes an error of `kind`.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// Says what was being done when `source` came up, as a closure for `map_err`.
    pub fn during<S: fmt::Display>(kind: Kind, doing: &'static str) -> impl Fn(S) -> Self {
        move |source| Self::new(kind, format!("cannot {doing}: {source}"))
    }

    /// What a caller can act on.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = match self.kind() {
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::BadRequest | Kind::Usage => StatusCode::BAD_REQUEST,
            Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Database | Kind::Io | Kind::Load => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, self.message).into_response()
    }
}

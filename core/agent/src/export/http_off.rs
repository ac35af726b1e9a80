//! What stands for the HTTP client in a build without it.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use crate::config::Http;
use crate::error::{Error, ErrorKind};

/// Never made.
#[derive(Debug)]
pub(super) struct Client(Infallible);

#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    pub(super) location: Option<String>,
    pub(super) text: String,
}

#[derive(Debug)]
#[expect(dead_code, reason = "made by the client of the other build")]
pub(super) enum Failure {
    NotSent(String),
    Unanswered(String),
}

impl Client {
    pub(super) fn new(_http: &Http) -> Result<Self, Error> {
        let message = "this build has no HTTP client: build with the feature `push`, \
                       or use a file: target";
        Err(Error::new(ErrorKind::Unsupported, message))
    }

    pub(super) fn post(&self, _: &str, _: &[u8], _: Instant) -> Result<Response, Failure> {
        match self.0 {}
    }
}

//! What stands for the HTTP client in a build without it.

use std::convert::Infallible;
use std::time::Instant;

use super::{Credentials, Failure, Request, Response};
use crate::config::{Endpoint, Http};
use crate::error::{Error, ErrorKind};

/// Never made.
#[derive(Debug)]
pub(in super::super) struct Client(Infallible);

impl Client {
    pub(in super::super) fn new(_: &Endpoint, _: &Http, _: Credentials) -> Result<Self, Error> {
        let message = "this build has no HTTP client: build with the feature `push`, \
                       or use a file: target";
        Err(Error::new(ErrorKind::Unsupported, message))
    }

    pub(in super::super) fn post(&self, _: &Request<'_>, _: Instant) -> Result<Response, Failure> {
        match self.0 {}
    }

    pub(in super::super) fn get(&self, _: &str, _: usize, _: Instant) -> Result<Response, String> {
        match self.0 {}
    }
}

//! What stands for gRPC in a build without it.

use std::convert::Infallible;
use std::time::Instant;

use super::{Answer, Credentials, Failure, Request};
use crate::config::{Endpoint, Http};
use crate::error::{Error, ErrorKind};

/// Never made.
#[derive(Debug)]
pub(in super::super) struct Channel(Infallible);

impl Channel {
    pub(in super::super) fn new(_: &Endpoint, _: &Http, _: Credentials) -> Result<Self, Error> {
        let message = "this build has no gRPC: build with the feature `grpc`, or use a target \
                       over HTTP";
        Err(Error::new(ErrorKind::Unsupported, message))
    }

    pub(in super::super) fn call(
        &self,
        _message: &Request<'_>,
        _deadline: Instant,
    ) -> Result<Answer, Failure> {
        match self.0 {}
    }
}

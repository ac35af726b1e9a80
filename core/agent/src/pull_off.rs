//! What stands for the HTTP server in a build without it.

use crate::agent::Handle;
use crate::error::{Error, ErrorKind};
use crate::export::Spawn;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Who would answer.
#[derive(Debug)]
pub(crate) enum Behind {
    Agent(#[allow(dead_code, reason = "nobody asks it here")] Handle),
}

/// Never made.
#[derive(Debug)]
pub(crate) struct Server(Infallible);

impl Server {
    pub(crate) fn open(
        _address: SocketAddr,
        _token_file: Option<PathBuf>,
        _asked: Behind,
        _spawn: Spawn,
    ) -> Result<Self, Error> {
        let message = "this build has no HTTP server: build with the feature `pull`";
        Err(Error::new(ErrorKind::Unsupported, message))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        match self.0 {}
    }

    pub(crate) fn shut(&mut self) {
        match self.0 {}
    }
}

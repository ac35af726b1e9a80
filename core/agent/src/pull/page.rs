//! A server of one page, for who started it.

use super::connection::{Behind, Pages};
use super::gate::Pass;
use super::server::Server;
use crate::error::{Error, ErrorKind};
use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Bytes of the token: nobody guesses it.
const TOKEN_BYTES: usize = 16;

/// A page on loopback, under a path that nobody else knows. Every other request is refused: of other
/// hosts' names, of other pages, without the token. Dropping it ends it.
///
/// It is not for a page that others shall read: write a file for them.
#[derive(Debug)]
pub struct PageServer {
    server: Server,
    token: String,
}

impl PageServer {
    /// Serves on a port of 127.0.0.1, 0 for one that is free. `make` makes the page, or says why
    /// there is none, each time that somebody loads it; a client waits for it as long as `patience`.
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) when the port is taken or something else cannot be had.
    pub fn open(
        port: u16,
        patience: Duration,
        make: impl Fn() -> Result<String, String> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let token = token()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let pages = Behind::Page(Pages { make: Arc::new(make), patience });
        let pass = Pass::Path(token.clone());
        let server = Server::guarded(address, pass, pages, |builder, body| builder.spawn(body))?;
        Ok(Self { server, token })
    }

    /// The page's address, with the token: `http://127.0.0.1:PORT/TOKEN/`.
    pub fn url(&self) -> String {
        format!("http://{}/{}/", self.server.address(), self.token)
    }
}

fn token() -> Result<String, Error> {
    let mut bytes = [0; TOKEN_BYTES];
    let random = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    random.map_err(|error| {
        let message = format!("no random numbers: {error}");
        Error::new(ErrorKind::Io, message).with_source(error)
    })?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

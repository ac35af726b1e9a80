//! A server in the agent, from which Prometheus, Alloy, Parca and `go tool pprof` fetch profiles.
//!
//! | path | gives |
//! |---|---|
//! | `/debug/pprof/profile?seconds=N` | gzipped pprof of exactly the next N seconds, 1 to 300, by default 10 |
//! | `/metrics` | the agent's counters in Prometheus' text format |
//! | `/debug/pprof/heap` | 404: no heap profile is taken |
//! | `/`, `/debug/pprof/` | this list |
//!
//! It runs on a thread of its own with one-threaded tokio, so that a hundred slow clients cost no
//! more than their sockets. It never waits for the agent thread, nor that for it.

mod answer;
mod connection;
mod gate;
mod page;
mod server;

pub(crate) use connection::Behind;
pub use page::PageServer;
pub(crate) use server::Server;

use crate::error::Error;
use crate::export::Spawn;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A server of counters alone, for an agent that is not of this process. Dropping it ends it.
#[derive(Debug)]
pub struct CounterServer(Server);

impl CounterServer {
    /// Serves at `/metrics` what `counters` tells in Prometheus' text format. With a token file every
    /// request must bring its token.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io) when the port is taken or something else cannot be had,
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for an address that others reach, without a
    /// token.
    pub fn open(
        address: SocketAddr,
        token_file: Option<PathBuf>,
        counters: impl Fn() -> String + Send + Sync + 'static,
        spawn: Spawn,
    ) -> Result<Self, Error> {
        Server::open(address, token_file, Behind::Counters(Box::new(counters)), spawn).map(Self)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }
}

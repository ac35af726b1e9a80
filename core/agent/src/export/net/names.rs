//! Resolving names on a thread that may be left behind at the deadline: the system's resolver
//! cannot be interrupted. Addresses need no thread.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

/// Addresses of one name that are looked at.
const MAX_ADDRESSES: usize = 16;

/// The addresses of a host, which may be one itself.
///
/// # Errors
/// [`io::ErrorKind::TimedOut`] when they do not come in time, and what the system says.
pub(super) fn look_up(host: &str, port: u16, timeout: Duration) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (send, receive) = sync_channel(1);
    let host = host.to_owned();
    // The thread inherits the signal mask of the uploader, where an agent blocks everything.
    std::thread::Builder::new().name("sondage-dns".into()).spawn(move || {
        let addresses = (host, port).to_socket_addrs();
        let _ = send.send(addresses.map(|found| found.take(MAX_ADDRESSES).collect()));
    })?;
    receive.recv_timeout(timeout).unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

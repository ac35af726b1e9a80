//! Resolving names on a thread that may be left behind at the deadline: the system's resolver
//! cannot be interrupted. Addresses need no thread.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

/// Addresses of one name that are looked at.
const MAX_ADDRESSES: usize = 16;

/// Threads that look names up at once, those left behind among them. A resolver that never answers
/// would otherwise keep one more thread in the host with every try.
const MAX_THREADS: u32 = 8;

/// The addresses of a host, which may be one itself.
///
/// # Errors
/// [`io::ErrorKind::TimedOut`] when they do not come in time, [`io::ErrorKind::WouldBlock`] when
/// too many earlier ones have not come yet, and what the system says.
pub(super) fn look_up(host: &str, port: u16, timeout: Duration) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (send, receive) = sync_channel(1);
    let host = host.to_owned();
    let busy = || io::Error::new(io::ErrorKind::WouldBlock, "the resolver does not answer");
    let place = Place::take().ok_or_else(busy)?;
    // The thread inherits the signal mask of the uploader, where an agent blocks everything.
    std::thread::Builder::new().name("sondage-dns".into()).spawn(move || {
        let _place = place;
        let addresses = (host, port).to_socket_addrs();
        let _ = send.send(addresses.map(|found| found.take(MAX_ADDRESSES).collect()));
    })?;
    receive.recv_timeout(timeout).unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// The process that the rest is about, and its threads that look names up, in 32 bits each. A
/// forked child has none of its parent's.
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// One of the [`MAX_THREADS`], given back when dropped.
struct Place {
    process: u32,
}

impl Place {
    fn take() -> Option<Self> {
        let process = std::process::id();
        let taken = change(|of, threads| match of == process {
            true => (threads < MAX_THREADS).then_some((process, threads + 1)),
            false => Some((process, 1)),
        });
        // Made only if it is ours: dropping one gives the place back.
        taken.then(|| Self { process })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        change(|of, threads| (of == self.process).then(|| (of, threads.saturating_sub(1))));
    }
}

/// Changes [`TAKEN`], unless `to` is none; whether it did.
fn change(to: impl Fn(u32, u32) -> Option<(u32, u32)>) -> bool {
    let packed = |(process, threads)| u64::from(process) << 32 | u64::from(threads);
    let next = |taken: u64| to((taken >> 32) as u32, taken as u32).map(packed);
    TAKEN.fetch_update(Ordering::AcqRel, Ordering::Acquire, next).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolver_that_never_answers_keeps_a_bounded_number_of_threads() {
        let places: Vec<Place> = std::iter::from_fn(Place::take).collect();
        assert!((1..=MAX_THREADS as usize).contains(&places.len()));
        let refused = look_up("localhost", 1, Duration::from_secs(10)).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        drop(places);
        assert!(!look_up("localhost", 1, Duration::from_secs(10)).unwrap().is_empty());
        // A child begins with none, whatever its parent had.
        TAKEN.store(u64::from(u32::MAX) << 32 | u64::from(MAX_THREADS), Ordering::Release);
        assert!(Place::take().is_some());
    }
}

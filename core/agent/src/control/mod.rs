//! An agent asked and changed from outside its process, as `sondage ctl` does.
//!
//! Every agent listens on a unix socket named `sondage-PID` in the abstract namespace, which leaves
//! no file; `SONDAGE_CONTROL=off` keeps it from it. Only the same effective user and root get an
//! answer, and [`Client`] talks only to the process that it means: the kernel tells both who is
//! at the other end.
//!
//! ```no_run
//! let client = sondage::control::Client::new(4711);
//! println!("{} samples a second", client.status()?.current_hz);
//! # Ok::<(), sondage::Error>(())
//! ```
//!
//! The protocol is one line of JSON each way, on a connection for each question:
//!
//! | request | answer |
//! |---|---|
//! | `{"version":1,"call":"status"}` | `{"version":1,"answer":{"status":{…}}}` |
//! | `{"version":1,"call":{"set":{"hz":50}}}` | `{"version":1,"answer":"done"}` |
//! | `{"version":1,"call":{"burst":{"hz":500,"duration_ms":5000,"keep":true}}}` | `{"version":1,"answer":{"burst":{"number":1}}}` |
//! | `{"version":1,"call":{"profile":{"burst":1}}}` | `{"version":1,"answer":"pending"}`, or `{"version":1,"answer":{"profile":{"bytes":1234}}}`, a line feed and as many bytes of gzipped pprof |
//! | anything else | `{"version":1,"answer":{"failed":{"kind":"invalid_input","message":"…"}}}` |

mod client;
mod protocol;
mod server;
mod timed;

pub use client::Client;

pub(crate) use server::Server;

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;

/// The address of a process' agent.
fn address(pid: u32) -> std::io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("sondage-{pid}"))
}

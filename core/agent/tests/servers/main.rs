//! Profiles pushed to real servers and read back; `make servers` builds the servers and runs this.

#![allow(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

mod pyroscope;
mod server;

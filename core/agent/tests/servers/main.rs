//! Profiles pushed to real servers and read back: `make backends` builds the servers, `make
//! test-backends` runs this.

#![allow(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

mod answers;
mod collector;
mod parca;
mod pyroscope;
mod server;
mod truth;

//! The collector as clients see it, over the wire.

#![allow(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

mod accepted;
mod by_hand;
mod client;
mod faults;
mod grpc_faults;
mod process;
mod tls;

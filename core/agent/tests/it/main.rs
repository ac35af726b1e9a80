//! The crate's integration tests.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod profile;

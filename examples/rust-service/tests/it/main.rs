//! Runs the program as a person would.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod demo;

//! The crate as its users see it.

#![allow(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

mod agent;
mod config;
mod control;
mod deploy;
mod export;
mod fixture;
mod handed;
mod labels;
mod memory;
mod opentelemetry;
mod profile;
mod pull;
mod resolve;
mod secrets;
mod server;

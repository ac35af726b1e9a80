//! The command as its users run it, on programs built here.
#![allow(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

mod binding;
mod built;
mod ctl;
mod doctor;
mod host_agent;
mod hostile;
mod java;
mod outside;
mod push;
mod read;
mod record;
mod scratch;

//! Sondage: the profiler you embed.
#![forbid(unsafe_code)]

pub mod profile;
pub mod resolve;

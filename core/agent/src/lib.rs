//! Sondage: the profiler you embed.
#![forbid(unsafe_code)]

pub mod profile;

//! Sondage: the profiler you embed.
#![forbid(unsafe_code)]

mod error;
pub mod profile;

pub use error::Error;
pub use error::ErrorKind;
pub mod resolve;

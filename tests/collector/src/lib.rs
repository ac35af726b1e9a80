//! A backend for tests: takes every protocol in which profilers push, checks each message against
//! the rules of the real servers, keeps what it understood, and fails on demand. It shares no code
//! with the profiler, so that it can be its judge.
//!
//! ```
//! use sondage_collector::{Collector, Fault};
//!
//! let collector = Collector::start()?;
//! collector.fail_next([Fault::Close]);
//! // A client that pushes to collector.address() gets no answer, and tries again.
//! assert!(collector.profiles().is_empty());
//! # std::io::Result::Ok(())
//! ```

#![forbid(unsafe_code)]

mod answer;
mod collector;
mod datadog;
mod fault;
#[cfg(test)]
mod fixture;
mod form;
mod grpc;
mod journal;
mod listener;
mod otlp;
mod parca;
mod pprof;
mod pyroscope;
mod record;
mod request;
mod service;
mod wire;

pub use collector::Collector;
pub use collector::Options;
pub use collector::Tls;
pub use fault::Fault;
pub use fault::Faults;
pub use fault::Random;
pub use fault::Reply;
pub use record::Frame;
pub use record::Profile;
pub use record::Protocol;
pub use record::Refused;
pub use record::Sample;
pub use record::Seen;
pub use record::ValueType;

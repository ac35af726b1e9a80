//! Sondage: the profiler you embed.
#![deny(unsafe_code)]

mod agent;
pub mod config;
pub mod contention;
pub mod context;
pub mod control;
mod error;
pub mod export;
pub mod heap;
pub mod hotspot;
mod integrations;
mod labels;
mod pipeline;
pub mod profile;
#[cfg(feature = "pull")]
mod pull;
#[cfg(not(feature = "pull"))]
#[path = "pull_off.rs"]
mod pull;
pub mod python;
mod random;
pub mod resolve;
mod stats;
pub mod v8;

pub use agent::Agent;
pub use agent::BurstStatus;
pub use agent::Change;
pub use agent::Settings;
pub use agent::Status;
pub use agent::deliver_last;
pub use config::Config;
pub use error::Error;
pub use error::ErrorKind;
#[cfg(feature = "axum")]
pub use integrations::axum;
#[cfg(feature = "opentelemetry")]
pub use integrations::opentelemetry;
#[cfg(feature = "tokio")]
pub use integrations::tokio;
#[cfg(feature = "tower")]
pub use integrations::tower;
#[cfg(feature = "tracing")]
pub use integrations::tracing;
pub use labels::Guard;
pub use labels::LabelSet;
pub use labels::Labeled;
pub use labels::label_cell;
pub use labels::labels;
pub use labels::register_thread;
pub use pipeline::ForeignFrame;
pub use pipeline::ForeignHeap;
pub use pipeline::ForeignHeapStack;
pub use pipeline::ForeignStack;
pub use pipeline::OutsideProcess;
pub use pipeline::OutsideRuntimes;
pub use pipeline::OutsideSample;
pub use pipeline::OwnThread;
pub use pipeline::ebpf_needs;
pub use pipeline::exclude_this_thread;
pub use pipeline::own_cpu;
#[cfg(feature = "pull")]
pub use pull::CounterServer;
#[cfg(feature = "pull")]
pub use pull::PageServer;
pub use sondage_sampler::one_shot_sigterm_ends_process;
pub use stats::LockCounters;
pub use stats::MemoryCounters;
pub use stats::Stats;

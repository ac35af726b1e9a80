//! The host agent: profiles every process of a machine by eBPF, with the labels of its container.
//!
//! [`Machine`] turns the records of [`sondage_ebpf::Host`] into one profile of the whole machine:
//! it learns what code a process has when the first sample of it comes, has unwind tables built once
//! for all processes that map a file, and gives each process' stacks the labels that say whose they
//! are. [`BySeries`] takes such a profile apart for servers that keep a series for each service.
#![forbid(unsafe_code)]

mod agent;
mod attributes;
mod builder;
pub mod container;
mod identities;
pub mod identity;
pub mod kubernetes;
mod machine;
mod metrics;
mod own_word;
mod process;
pub mod relabel;
mod rights;
mod runtimes;
#[cfg(test)]
mod scratch;
mod selection;
mod series;
pub mod service;
pub mod settings;
mod tables;
mod template;
mod text;
mod thread_local;
mod unwalked;
mod waiting;
mod yaml;

pub use agent::HostAgent;
pub use identities::Identities;
pub use identities::ProcessLabels;
pub use identities::Recipe;
pub use machine::Described;
pub use machine::Machine;
pub use machine::MachineOptions;
pub use machine::MachineStats;
pub use selection::Selection;
pub use series::BySeries;
pub use series::SeriesKeys;
pub use settings::Settings;
pub use sondage_ebpf::Missing;
pub use sondage_ebpf::probe as missing;

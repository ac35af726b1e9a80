//! The host agent: profiles every process of a machine by eBPF, with the labels of its container.
//!
//! [`Machine`] turns the records of [`sondage_ebpf::Host`] into one profile of the whole machine:
//! it learns what code a process has when the first sample of it comes, has unwind tables built once
//! for all processes that map a file, and gives each process' stacks the labels that say whose they
//! are. [`BySeries`] takes such a profile apart for servers that keep a series for each service.
#![forbid(unsafe_code)]

mod machine;
mod process;
mod series;
mod tables;
mod waiting;

pub use machine::Described;
pub use machine::Machine;
pub use machine::MachineOptions;
pub use machine::MachineStats;
pub use series::BySeries;
pub use series::SeriesKeys;

//! The host agent: profiles every process of a machine by eBPF, with the labels of its container.
#![forbid(unsafe_code)]

mod attributes;
pub mod container;
pub mod identity;
pub mod kubernetes;
pub mod relabel;
#[cfg(test)]
mod scratch;
mod text;
mod yaml;

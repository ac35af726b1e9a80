//! The host agent: profiles every process of a machine by eBPF, with the labels of its container.
#![forbid(unsafe_code)]

mod attributes;
pub mod container;
mod identities;
pub mod identity;
pub mod kubernetes;
pub mod relabel;
#[cfg(test)]
mod scratch;
mod selection;
pub mod service;
pub mod settings;
mod template;
mod text;
mod yaml;

pub use identities::Identities;
pub use identities::ProcessLabels;
pub use identities::Recipe;
pub use selection::Selection;
pub use settings::Settings;

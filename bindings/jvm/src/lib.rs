//! Sondage for the JVM: an agent by itself (`-agentpath`), and the native library of `sondage.jar`.
//!
//! Every export catches panics: a defect turns profiling off, and the host goes on. Nothing is ever
//! printed but one warning.
#![deny(unsafe_code)]

mod agent;
mod doors;
mod exports;
mod fallback;
mod fence;
mod from_java;
mod jvmti;
mod locks;
mod memory;
mod native;
mod record;
mod selfcheck;
mod settings;
mod streaming;
mod stubs;
mod virtual_threads;
mod vm;

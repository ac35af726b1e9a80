//! Sondage's second engine: an eBPF program samples one process from the kernel.
//!
//! It needs no signal and no timer in the sampled process, sees threads that block signals, and
//! walks stacks of programs built without frame pointers, with the same compact unwind tables as
//! the engine in the process. What it hands out are the same samples: read them with
//! [`sondage_sampler::RawSample::read`].
//!
//! [`probe()`] tells whether this kernel and this process's rights allow it. [`Engine`] runs it.
//!
//! ```no_run
//! use sondage_ebpf::{Engine, Options, probe};
//! use sondage_sampler::{ModuleEntry, RawSample};
//!
//! # fn modules() -> Vec<ModuleEntry<'static>> { Vec::new() }
//! for missing in probe() {
//!     println!("{missing}"); // "CAP_BPF is missing (grant CAP_BPF: …)"
//! }
//! let mut engine = Engine::start(&Options::own_process(), modules())?;
//! std::thread::sleep(std::time::Duration::from_secs(1));
//! engine.drain(|tid, words| {
//!     if let Some((sample, _)) = RawSample::read(words) {
//!         println!("thread {tid}: {} frames, {:?}", sample.frames.len(), sample.end);
//!     }
//! });
//! # Ok::<(), sondage_ebpf::Error>(())
//! ```
//!
//! It is not for kernel stacks, other processes' modules or time spent off the CPU (yet).
#![deny(unsafe_code)]

mod arena;
mod column;
mod counters;
mod engine;
mod error;
mod label_cells;
mod missing;
mod module_list;
mod object;
mod options;
mod probe;
#[cfg(test)]
mod random_walk_tests;
mod records;
#[cfg(test)]
mod replay_tests;
mod sys;

pub use counters::Counters;
pub use counters::Losses;
pub use engine::Engine;
pub use engine::Footprint;
pub use error::Error;
pub use error::ErrorKind;
pub use missing::Capability;
pub use missing::Missing;
pub use options::Options;
pub use probe::probe;

//! Sondage's second engine: eBPF programs sample one process, or all of them, from the kernel.
//!
//! They need no signal and no timer in the sampled process, see threads that block signals, and
//! walk stacks of programs built without frame pointers, with the same compact unwind tables as
//! the engine in the process. What it hands out are the same samples: read them with
//! [`sondage_sampler::RawSample::read`].
//!
//! [`probe()`] tells whether this kernel and this process's rights allow it. [`Engine`] samples
//! one process, [`Host`] the whole machine, also where threads do not run.
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
#![deny(unsafe_code)]

mod context;
mod counters;
mod engine;
mod error;
mod go_labels;
mod host;
mod kernel_maps;
mod label_cells;
mod missing;
mod object;
mod options;
mod probe;
mod processes;
mod python;
#[cfg(test)]
mod random_walk_tests;
mod ranges;
mod records;
#[cfg(test)]
mod replay_tests;
mod running;
mod stack_copy;
mod sys;
mod tables;

pub use context::ContextAttributes;
pub use context::ContextPlace;
pub use counters::Counters;
pub use counters::Losses;
pub use engine::Engine;
pub use error::Error;
pub use error::ErrorKind;
pub use go_labels::GoInfo;
pub use go_labels::GoLabelText;
pub use host::Host;
pub use missing::Capability;
pub use missing::Missing;
pub use options::HostOptions;
pub use options::Options;
pub use probe::probe;
pub use processes::Mapping;
pub use processes::Runtimes;
pub use python::PYTHON_PROCESS_WORDS;
pub use python::PythonProcess;
pub use python::RecordedPython;
pub use python::python_frames;
pub use records::Record;
pub use records::RecordKind;
pub use running::Footprint;
pub use stack_copy::StackCopy;
pub use tables::TableId;

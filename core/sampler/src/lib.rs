//! The part of Sondage that runs inside a signal handler, and what must be arranged around it.
//!
//! Nothing here allocates, locks, logs or panics: the crate is `no_std` without `alloc`, and the
//! lints below forbid the operations that could panic. [`Sampler`] is the safe door: it owns the
//! signal disposition, the timers and one memory mapping that holds slots, rings, module lists
//! and unwind tables. `docs/signal-safety.md` tells what the handler does, step by step.
#![cfg_attr(not(test), no_std)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects
)]
#![cfg_attr(
    test,
    allow(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::arithmetic_side_effects,
        reason = "a test that panics is a test that fails"
    )
)]

mod arch;
mod atomic;
mod capture;
mod clock;
pub mod contention;
mod context_page;
mod credentials;
mod engine;
mod errno;
mod gate;
mod guarded;
#[cfg(test)]
mod guarded_tests;
mod handler;
pub mod heap;
mod inherited;
mod interner;
#[cfg(test)]
mod interner_tests;
mod labels;
mod marker;
mod memory;
mod outside;
mod perf;
mod pool;
mod probe;
mod process;
mod registration;
mod ring;
#[cfg(test)]
mod ring_tests;
mod rules;
mod sample;
mod sampler;
mod signal;
mod slot;
mod stranger;
mod suspension;
mod table;
mod termination;
mod timer;
mod v8_heap;
mod waiting;
pub mod walk;

pub use arch::Registers;
pub use capture::Captured;
pub use capture::capture;
pub use clock::Clock;
pub use clock::kernel_tick;
pub use clock::ticks;
pub use context_page::CONTEXT_HEADER_BYTES;
pub use context_page::CONTEXT_SIGNATURE;
pub use context_page::CONTEXT_VERSION;
pub use context_page::ContextPage;
pub use credentials::with_effective_user;
pub use engine::Engine;
pub use engine::Fallback;
pub use errno::Errno;
pub use inherited::NotInherited;
pub use inherited::close_in_children;
pub use labels::LabelCell;
pub use labels::Labels;
pub use marker::MARKER_PREFIX;
pub use memory::MemoryReader;
pub use memory::SelfMemory;
pub use outside::CONTENTS;
pub use outside::Numbers;
pub use outside::Runtimes;
pub use outside::StoppedRegisters;
pub use outside::WalkedOutside;
pub use outside::walk_outside;
pub use probe::Landing;
pub use process::at_exit;
pub use process::current_tid;
pub use process::loader_generation;
pub use process::on_fork_in_child;
pub use process::runs_with_raised_rights;
pub use process::signal_queue_limit;
pub use process::with_signals_blocked;
pub use sample::End;
pub use sample::FORMAT_VERSION;
pub use sample::MAX_EXTRA_WORDS;
pub use sample::RawSample;
pub use sample::Source;
pub use sampler::Counters;
pub use sampler::Definitions;
pub use sampler::Options;
pub use sampler::Sampler;
pub use sampler::StartError;
pub use sampler::after_fork_in_child;
pub use sampler::attach_label_cell;
pub use slot::HISTOGRAM_BUCKETS;
pub use slot::RING_WORDS;
pub use slot::SlotIndex;
pub use table::ModuleEntry;
pub use table::Rule;
pub use table::Table;
pub use termination::Termination;
pub use termination::one_shot_sigterm_ends_process;
pub use v8_heap::start_v8_heap_sampling;
pub use v8_heap::stop_v8_heap_sampling;

//! HotSpot: frames of Java on the native stack, read from the virtual machine's own structures.
//!
//! A signal handler runs on the thread that it interrupted, between two of its instructions, so what
//! it reads is what that thread would read: its classes are not unloaded while they are on its stack.
//! Only at the first and last instructions of a method are things not where they should be: every
//! load may be refused, and no loop is without a bound. Nothing that may be unloaded is kept past
//! the handler: what names and lines need is copied on first sight.
//!
//! `layout.rs` says where things are, `code_cache.rs` finds the code at an address, `step.rs` walks,
//! `method.rs` copies.

mod capture;
mod chunk;
mod code_cache;
mod compiled;
mod definition;
mod labels;
mod layout;
mod method;
mod objects;
mod outside;
mod reading;
mod step;
mod stub;
mod threads;
mod vm_structs;
mod word;

#[cfg(test)]
mod chunk_tests;
#[cfg(test)]
mod code_cache_tests;
#[cfg(test)]
mod compiled_tests;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod fake_world;
#[cfg(test)]
mod interpreted_tests;
#[cfg(test)]
mod layout_tests;
#[cfg(test)]
mod method_tests;
#[cfg(test)]
mod step_tests;
#[cfg(test)]
mod storm_tests;
#[cfg(test)]
mod stub_tests;

pub use capture::Capture;
pub use chunk::Continuations;
pub use chunk::Pointers;
pub use definition::Definition;
pub use labels::LABELS_MARK;
pub use labels::LabelPlace;
pub use labels::ThreadLocals;
pub use labels::labels_are_at;
pub use layout::CodeCache;
pub use layout::Facts;
pub use layout::Layout;
pub use layout::Unsupported;
pub use objects::Objects;
pub use outside::JavaThreads;
pub(crate) use reading::are_read;
pub use reading::stop_reading;
pub(crate) use step::Interrupted;
pub(crate) use step::Running;
pub(crate) use threads::find;
pub use threads::thread_ends;
pub use threads::thread_starts;
pub use word::HotspotFrame;
pub use word::Tier;

//! V8: frames of JavaScript on the native stack, read from V8's own structures.
//!
//! A signal handler runs on the thread that it interrupted, between two of its instructions, so what
//! it reads is what that thread would read. Only while garbage is collected, and at the first and
//! last instructions of a function, are things not where they should be: every load may be refused,
//! an object is believed only if its type says so, and no loop is without a bound. Nothing that the
//! garbage collector may move or free is kept past the handler: what names and lines need is copied
//! on first sight.
//!
//! `layout.rs` says where things are, `step.rs` walks, `identify.rs` copies.

mod capture;
mod code;
mod definition;
#[cfg(test)]
mod fake;
mod heap;
mod identify;
mod isolate;
mod labels;
mod layout;
mod outside;
mod registry;
mod step;
#[cfg(test)]
mod step_tests;
mod text;
#[cfg(test)]
mod text_tests;
mod word;

pub use capture::Capture;
pub use capture::current_labels;
pub use capture::read_text;
pub use definition::Definition;
pub use definition::HASHED_CHARACTERS;
pub use definition::Parts;
pub use definition::Source;
pub use definition::Tier;
pub use definition::source_hash;
pub use isolate::Facts;
pub use isolate::Isolate;
pub use labels::STORE_BYTES;
pub use labels::STORE_MAGIC;
pub use layout::Layout;
pub use layout::Unsupported;
pub use layout::Version;
pub use outside::OutsideIsolate;
pub use registry::Attached;
pub use registry::collection_begins;
pub use registry::collection_ends;
pub(crate) use registry::find;
pub(crate) use step::Running;
pub use word::V8Frame;

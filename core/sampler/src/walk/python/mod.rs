//! CPython: frames of the running thread, read from the interpreter's own structures.
//!
//! A signal handler runs on the thread that it interrupted, between two instructions of the
//! interpreter, so what it reads is what that thread would read. Only few instructions leave things
//! in a state in which a pointer is not one (`layout.rs` names them): every load may be refused, a
//! code object is believed only if its type says so, and no loop is without a bound.

mod code;
#[cfg(test)]
mod code_tests;
mod context;
#[cfg(test)]
mod context_tests;
mod debug_offsets;
mod definition;
#[cfg(test)]
mod fake;
mod frames;
#[cfg(test)]
mod frames_tests;
mod identity;
#[cfg(test)]
mod identity_tests;
mod interpreter;
mod layout;
mod layouts;
mod outside;
mod running;
mod selftest;
mod thread_slot;
#[cfg(test)]
mod thread_slot_tests;
pub(crate) mod thread_state;
mod word;

pub use definition::CodeDefinition;
pub use definition::CodeShape;
pub use definition::LineTable;
pub use definition::Text;
pub use frames::Frames;
pub use frames::WalkedPython;
pub use identity::CodeIdentity;
pub use identity::RecordedFrame;
pub use interpreter::Interpreter;
pub use interpreter::Symbols;
pub use interpreter::Unsupported;
pub use layout::Entry;
pub use layout::Instruction;
pub use layout::Layout;
pub use layout::Offsets;
pub use layout::Root;
pub use layout::UNUSED;
pub use layouts::layouts;
pub use outside::Outside;
pub use outside::OutsideSymbols;
pub(crate) use running::Running;
pub use selftest::Expected;
pub use selftest::ExpectedFrame;
pub use selftest::Mismatch;
pub use thread_slot::ThreadSlot;
pub use word::PythonFrame;

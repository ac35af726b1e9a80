//! Go programs, read from the table that the Go runtime itself unwinds and names by.
//!
//! Every Go binary has it, stripped or not: `.gopclntab`, the runtime's `pcHeader`. It gives unwind
//! rows, which Go code has in no `.eh_frame`, and names, files, lines and inlined calls.
//! Layout: Go's `src/runtime/symtab.go` and `src/internal/abi/symtab.go`, versions 1.16 on.

mod assembly;
mod find;
mod frames;
mod function;
mod header;
mod memory;
mod module_data;
mod runtime;
mod unwind;
mod values;

pub(crate) use find::Place;
pub(crate) use frames::GoFrame;
pub(crate) use frames::Names;
pub(crate) use frames::readable;
pub use runtime::GoLabels;
pub use runtime::GoRuntime;
pub(crate) use unwind::Unwinding;

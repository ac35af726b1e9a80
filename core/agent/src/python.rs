//! CPython in this process: what a binding finds out about the interpreter, for the sampler.
//!
//! A binding describes the interpreter by its symbols, lets it check itself
//! ([`Interpreter::check`]), and announces it. Samples taken from then on have its frames; those of
//! a forked child too.

pub use sondage_sampler::capture;
pub use sondage_sampler::walk::python::Expected;
pub use sondage_sampler::walk::python::ExpectedFrame;
pub use sondage_sampler::walk::python::Interpreter;
pub use sondage_sampler::walk::python::Layout;
pub use sondage_sampler::walk::python::Mismatch;
pub use sondage_sampler::walk::python::Symbols;
pub use sondage_sampler::walk::python::UNUSED;
pub use sondage_sampler::walk::python::Unsupported;

use std::sync::OnceLock;

/// Not behind a lock, which a forked child could find held for good.
static ANNOUNCED: OnceLock<Interpreter> = OnceLock::new();

/// Makes samplers that start from now on read the frames of this interpreter, which must have
/// passed its [`check`](Interpreter::check). Returns `false`, and changes nothing, when one was
/// announced before.
pub fn announce(interpreter: Interpreter) -> bool {
    ANNOUNCED.set(interpreter).is_ok()
}

/// The interpreter that was announced.
pub fn announced() -> Option<Interpreter> {
    ANNOUNCED.get().copied()
}

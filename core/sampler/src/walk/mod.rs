//! Stack walkers. Each runs on the sampled thread, in its signal handler.

mod native;
#[cfg(test)]
mod native_tests;
pub mod python;
pub(crate) mod runtime;
pub mod v8;

pub use native::Walked;
pub use native::walk;
pub(crate) use native::walk_with;

//! Stack walkers. Each runs on the sampled thread, in its signal handler.

#[cfg(test)]
mod fake_memory;
pub mod hotspot;
mod native;
#[cfg(test)]
mod native_tests;
mod number;
pub mod python;
pub(crate) mod runtime;
pub mod v8;

pub(crate) use native::Code;
pub use native::Walked;
pub use native::walk;
pub(crate) use native::walk_returning;
pub(crate) use native::walk_with;
pub use number::Number;

//! Stack walkers. Each runs on the sampled thread, in its signal handler.

mod native;
#[cfg(test)]
mod native_tests;
pub mod python;

pub use native::Walked;
pub use native::walk;

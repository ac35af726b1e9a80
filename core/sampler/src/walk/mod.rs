//! Stack walkers. Each runs on the sampled thread, in its signal handler.

mod native;

pub use native::Walked;
pub use native::walk;

//! From rings to profiles: everything that happens on the agent thread before encoding.

mod assemble;
mod collector;
mod conditions;
mod cpu;
mod engine;
mod governor;
mod interval;
mod limits;
mod stacks;
mod threads;

pub use cpu::CpuAccount;
pub use threads::OwnThread;
pub use threads::exclude_this_thread;
pub use threads::own_cpu;

pub(crate) use collector::Collected;
pub(crate) use collector::Collector;
pub(crate) use collector::Options;
pub(crate) use threads::forget_own_threads;

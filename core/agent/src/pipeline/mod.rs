//! From rings to profiles: everything that happens on the agent thread before encoding.

mod amounts;
mod assemble;
mod collector;
mod conditions;
mod cpu;
#[cfg(feature = "ebpf")]
mod ebpf;
#[cfg(not(feature = "ebpf"))]
#[path = "ebpf_off.rs"]
mod ebpf;
mod engine;
mod foreign;
mod foreign_heap;
mod frames;
mod governor;
mod heap;
mod interpreted;
mod interval;
mod java;
mod javascript;
mod limits;
mod managed;
mod mixed;
mod other_process;
mod stacks;
mod switch;
mod threads;

pub use cpu::CpuAccount;
pub use ebpf::ebpf_needs;
pub use foreign::ForeignFrame;
pub use foreign::ForeignStack;
pub use foreign_heap::ForeignHeap;
pub use foreign_heap::ForeignHeapStack;
pub use other_process::OutsideProcess;
pub use other_process::OutsideRuntimes;
pub use other_process::OutsideSample;
pub use threads::OwnThread;
pub use threads::exclude_this_thread;
pub use threads::own_cpu;

pub(crate) use collector::Collected;
pub(crate) use collector::Collector;
pub(crate) use collector::Options;
pub(crate) use foreign::ForeignSender;
pub(crate) use foreign::ForeignStacks;
pub(crate) use foreign::foreign_queue;
pub(crate) use foreign_heap::ForeignHeaps;
pub(crate) use threads::forget_own_threads;

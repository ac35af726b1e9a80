//! What differs between processors: system calls, saved registers, the cycle counter.

#[cfg(target_arch = "aarch64")]
#[path = "aarch64.rs"]
mod imp;
#[cfg(target_arch = "x86_64")]
#[path = "x86_64.rs"]
mod imp;

pub(crate) use imp::SIGNAL_FRAME;
pub(crate) use imp::registers;
pub(crate) use imp::syscall;
pub(crate) use imp::syscall5;
pub(crate) use imp::thread_pointer;
pub(crate) use imp::ticks;

/// Where a signal frame keeps the interrupted registers, as byte offsets from the stack pointer
/// that the unwinder sees in the signal trampoline.
pub(crate) struct SignalFrame {
    /// Offset of the saved program counter.
    pub(crate) pc: u64,
    /// Offset of the saved stack pointer.
    pub(crate) sp: u64,
    /// Offset of the saved frame pointer.
    pub(crate) fp: u64,
    /// Offset of the saved link register, on processors that have one.
    pub(crate) lr: Option<u64>,
}

/// The registers a stack walk starts from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// Program counter.
    pub pc: u64,
    /// Stack pointer.
    pub sp: u64,
    /// Frame pointer (`rbp`, `x29`).
    pub fp: u64,
    /// Link register (`x30`); `None` where the return address is always on the stack, or where
    /// the register's value in this frame is not known.
    pub lr: Option<u64>,
}

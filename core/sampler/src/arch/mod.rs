//! What differs between processors: system calls, saved registers, the cycle counter.

#[cfg(target_arch = "aarch64")]
#[path = "aarch64.rs"]
mod imp;
#[cfg(target_arch = "x86_64")]
#[path = "x86_64.rs"]
mod imp;

pub(crate) use imp::SIGNAL_FRAME;
pub(crate) use imp::contents;
pub(crate) use imp::current;
pub(crate) use imp::interpreter;
pub(crate) use imp::load;
pub(crate) use imp::program_counter;
pub(crate) use imp::refuse;
pub(crate) use imp::registers;
pub(crate) use imp::set_program_counter;
pub(crate) use imp::syscall;
pub(crate) use imp::syscall5;
pub(crate) use imp::template_interpreter;
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

/// What a load that may fault returns, in the two registers of the C calling convention.
#[repr(C)]
pub(crate) struct Loaded {
    /// The word; 0 if there is none.
    pub(crate) word: u64,
    /// Whether it was read: 0 or 1.
    pub(crate) read: u64,
}

/// How many words [`contents`] has.
pub(crate) const CONTENTS: usize = 32;

/// The signals that were blocked where a signal interrupted the thread; bit 0 is signal 1.
///
/// # Safety
/// `context` must be the third argument of a signal handler that is still running.
#[inline(always)]
pub(crate) unsafe fn blocked_signals(context: *const libc::ucontext_t) -> u64 {
    // SAFETY: the caller passes the kernel's own context, which outlives the handler.
    let mask = unsafe { &raw const (*context).uc_sigmask };
    // SAFETY: the first word of the C library's set is the kernel's.
    unsafe { mask.cast::<u64>().read() }
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

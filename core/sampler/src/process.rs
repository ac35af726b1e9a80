//! Small facts of the process that need `unsafe` to ask for.

use crate::arch;
use core::ffi::{c_int, c_void};

/// The kernel's number of the calling thread.
pub fn current_tid() -> i32 {
    // SAFETY: takes no arguments.
    unsafe { arch::syscall(libc::SYS_gettid, [0; 4]) as i32 }
}

/// A number that changes whenever a shared library was loaded or unloaded.
///
/// The callback only copies two counters and stops at the first library: anything more, under
/// the loader's lock, could deadlock with an allocator that asks the loader.
pub fn loader_generation() -> u64 {
    unsafe extern "C" fn copy(
        info: *mut libc::dl_phdr_info,
        _size: libc::size_t,
        target: *mut c_void,
    ) -> c_int {
        // SAFETY: the loader passes a valid record, which has the counters since glibc 2.4.
        let info = unsafe { &*info };
        // SAFETY: `target` is the local below.
        unsafe { *target.cast::<u64>() = info.dlpi_adds.wrapping_add(info.dlpi_subs) };
        1
    }
    let mut generation = 0u64;
    // SAFETY: the callback matches the declared type and writes to the local.
    unsafe { libc::dl_iterate_phdr(Some(copy), (&raw mut generation).cast()) };
    generation
}

/// Runs `work` with every signal blocked on this thread, so that threads it starts inherit the
/// mask and never run a handler of the host.
pub fn with_signals_blocked<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: sigset_t is plain data; all zero is valid.
    let mut all: libc::sigset_t = unsafe { core::mem::zeroed() };
    let mut before = all;
    // SAFETY: the pointer is to a local.
    unsafe { libc::sigfillset(&raw mut all) };
    // SAFETY: both pointers are to locals.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, &raw mut before) };
    let result = work();
    // SAFETY: `before` is the mask that was read above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, core::ptr::null_mut()) };
    result
}

/// Runs `work` with these signals (bit 0 is signal 1) let through on this thread, whatever its mask
/// says.
pub(crate) fn with_signals_unblocked<T>(signals: u64, work: impl FnOnce() -> T) -> T {
    let set_mask = |how: c_int, new: u64| {
        let mut before = 0u64;
        let args = [how as usize, &raw const new as usize, &raw mut before as usize, 8];
        // SAFETY: both pointers are to locals of the kernel's size.
        unsafe { arch::syscall(libc::SYS_rt_sigprocmask, args) };
        before
    };
    let before = set_mask(libc::SIG_UNBLOCK, signals);
    let result = work();
    set_mask(libc::SIG_SETMASK, before);
    result
}

/// Makes the C library call `child` in the child of every later fork. Once in a process; a
/// handler can't be taken back.
pub fn on_fork_in_child(child: extern "C" fn()) -> bool {
    let child: unsafe extern "C" fn() = child;
    // SAFETY: the function is static code and does only what is allowed after a fork.
    unsafe { libc::pthread_atfork(None, None, Some(child)) == 0 }
}

/// Makes the C library call `last` when the process ends by `exit` or by returning from `main`.
/// Once in a process; it can't be taken back.
pub fn at_exit(last: extern "C" fn()) -> bool {
    // SAFETY: the function is static code and does not unwind.
    unsafe { libc::atexit(last) == 0 }
}

/// How many signals (and so timers) this user may have queued; `None` for no limit.
pub fn signal_queue_limit() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a local.
    let failed = unsafe { libc::getrlimit(libc::RLIMIT_SIGPENDING, &raw mut limit) } != 0;
    (!failed && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

/// Whether the process runs with more rights than who started it (set-uid): its environment must
/// not be trusted.
pub fn runs_with_raised_rights() -> bool {
    // SAFETY: reads a value that the kernel passed at start.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

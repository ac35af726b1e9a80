//! The signal's disposition: choosing a signal, taking it, chaining, and giving it back.
//!
//! Dispositions are read and restored by raw system calls, so that what is put back is what was
//! there byte for byte, including the restorer that libc's `sigaction` would replace.

use crate::arch;
use crate::errno::{Errno, check};
use crate::handler::on_signal;
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering};

/// The kernel's own `struct sigaction` (the same layout on x86_64 and aarch64).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Disposition {
    pub(crate) handler: usize,
    pub(crate) flags: u64,
    pub(crate) restorer: usize,
    pub(crate) mask: u64,
}

/// What is blocked while the handler runs: all but the faults, as a blocked one kills the process.
/// The C library's own signals (32, 33) are, which its functions would leave out: a thread that is
/// cancelled inside the handler would be unwound through it.
const MASK: u64 = !(set(libc::SIGSEGV)
    | set(libc::SIGBUS)
    | set(libc::SIGILL)
    | set(libc::SIGFPE)
    | set(libc::SIGTRAP));

pub(crate) const fn set(signal: c_int) -> u64 {
    1 << (signal as u32).wrapping_sub(1)
}

/// The signal that is ours, or 0.
static SIGNAL: AtomicI32 = AtomicI32::new(0);

/// A disposition to be given back, where handlers can read it. The default at first.
#[derive(Debug)]
pub(crate) struct Kept {
    handler: AtomicUsize,
    flags: AtomicU64,
    restorer: AtomicUsize,
    mask: AtomicU64,
}

impl Kept {
    pub(crate) const fn new() -> Self {
        Self {
            handler: AtomicUsize::new(libc::SIG_DFL),
            flags: AtomicU64::new(0),
            restorer: AtomicUsize::new(0),
            mask: AtomicU64::new(0),
        }
    }

    pub(crate) fn keep(&self, disposition: Disposition) {
        self.handler.store(disposition.handler, Ordering::Relaxed);
        self.flags.store(disposition.flags, Ordering::Relaxed);
        self.restorer.store(disposition.restorer, Ordering::Relaxed);
        self.mask.store(disposition.mask, Ordering::Relaxed);
    }

    /// Goes back to the default, as the kernel does for a handler that is to run once.
    pub(crate) fn forget_handler(&self) {
        self.handler.store(libc::SIG_DFL, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> Disposition {
        Disposition {
            handler: self.handler.load(Ordering::Relaxed),
            flags: self.flags.load(Ordering::Relaxed),
            restorer: self.restorer.load(Ordering::Relaxed),
            mask: self.mask.load(Ordering::Relaxed),
        }
    }
}

/// What was installed before us, for chaining and for giving back.
static PREVIOUS: Kept = Kept::new();

pub(crate) fn read(signal: c_int) -> Result<Disposition, Errno> {
    let mut disposition = Disposition::default();
    let args = [signal as usize, 0, &raw mut disposition as usize, size_of::<u64>()];
    // SAFETY: the pointer is to a local of the kernel's layout.
    check(unsafe { arch::syscall(libc::SYS_rt_sigaction, args) })?;
    Ok(disposition)
}

pub(crate) fn write(signal: c_int, disposition: Disposition) -> Result<(), Errno> {
    let args = [signal as usize, &raw const disposition as usize, 0, size_of::<u64>()];
    // SAFETY: the disposition is one that the kernel handed out, or a plain ignore.
    check(unsafe { arch::syscall(libc::SYS_rt_sigaction, args) }).map(drop)
}

fn our_handler() -> usize {
    let handler: unsafe extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = on_signal;
    handler as usize
}

/// Signals that the host waits for, as a set: it blocks them, and reads them some other way.
static AVOIDED: AtomicU64 = AtomicU64::new(0);

/// Makes later choices of a signal prefer those that are not in this set (bit 0 is signal 1).
pub(crate) fn avoid(signals: u64) {
    AVOIDED.store(signals, Ordering::Relaxed);
}

/// The first that nobody uses of SIGURG, SIGPROF and the real-time signals from the highest down.
///
/// SIGURG comes first as its default is to be ignored: should the host set all signals to their
/// defaults while timers run, that ends the sampling for a moment and not the process. And SIGPROF
/// is what other profilers use, Java's and V8's own among them.
pub(crate) fn choose() -> Option<c_int> {
    let real_time = (libc::SIGRTMIN().saturating_add(2)..=libc::SIGRTMAX()).rev();
    let candidates = [libc::SIGURG, libc::SIGPROF].into_iter().chain(real_time);
    let is_free = |signal: &c_int| {
        read(*signal).is_ok_and(|now| now.handler == libc::SIG_DFL || now.handler == our_handler())
    };
    let avoided = AVOIDED.load(Ordering::Relaxed);
    let mut free = candidates.filter(is_free);
    let first = free.clone().next()?;
    Some(free.find(|signal| avoided & set(*signal) == 0).unwrap_or(first))
}

/// Takes a free signal and returns its number; `None` when the host uses them all.
pub(crate) fn install() -> Option<c_int> {
    let signal = choose()?;
    let before = read(signal).ok()?;
    if before.handler != our_handler() {
        PREVIOUS.keep(before);
    }
    // SAFETY: sigaction is plain data; all zero is valid.
    let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
    action.sa_sigaction = our_handler();
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
    // SAFETY: the first word of the C library's set is the kernel's; the others mean nothing.
    unsafe { (&raw mut action.sa_mask).cast::<u64>().write(MASK) };
    // SAFETY: `action` is complete; the handler is async-signal-safe (docs/signal-safety.md).
    if unsafe { libc::sigaction(signal, &raw const action, core::ptr::null_mut()) } != 0 {
        return None;
    }
    SIGNAL.store(signal, Ordering::Release);
    Some(signal)
}

/// The signal that is ours, or 0.
pub(crate) fn number() -> c_int {
    SIGNAL.load(Ordering::Acquire)
}

/// Whether our handler is still the one installed; the host may have replaced it.
pub(crate) fn is_ours() -> bool {
    read(SIGNAL.load(Ordering::Acquire)).is_ok_and(|now| now.handler == our_handler())
}

/// Gives the signal back as it was. All timers must be gone. Signals still pending are discarded
/// first (ignoring a signal flushes it), since the old disposition may be to kill the process.
/// When the host has installed its own handler since, nothing is changed.
pub(crate) fn restore() {
    let signal = SIGNAL.swap(0, Ordering::AcqRel);
    if signal == 0 || !read(signal).is_ok_and(|now| now.handler == our_handler()) {
        return;
    }
    let _ = write(signal, Disposition { handler: libc::SIG_IGN, ..Disposition::default() });
    let _ = write(signal, PREVIOUS.get());
}

/// Passes a signal that is not from our timers to whoever had it before.
///
/// # Safety
/// The arguments must be those of a running signal handler.
pub(crate) unsafe fn chain(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let Disposition { handler, flags, .. } = PREVIOUS.get();
    if handler == libc::SIG_DFL || handler == libc::SIG_IGN || handler == our_handler() {
        return;
    }
    // SAFETY: the handler is one that was installed; the arguments are the caller's.
    unsafe { call(handler, flags, (signal, info, context)) };
}

/// What the kernel passes to a signal handler.
pub(crate) type Arguments = (c_int, *mut libc::siginfo_t, *mut c_void);

/// Calls a handler as the kernel would, given the flags it was installed with.
///
/// # Safety
/// `handler` must be an address that the kernel accepted as a handler with these flags, and the
/// arguments those of a running handler.
pub(crate) unsafe fn call(handler: usize, flags: u64, (signal, info, context): Arguments) {
    if flags & libc::SA_SIGINFO as u64 != 0 {
        // SAFETY: the kernel accepted this address as a three-argument handler.
        let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
            unsafe { core::mem::transmute(handler) };
        handler(signal, info, context);
    } else {
        // SAFETY: the kernel accepted this address as a one-argument handler.
        let handler: extern "C" fn(c_int) = unsafe { core::mem::transmute(handler) };
        handler(signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_the_host_waits_for_is_taken_only_if_no_other_is_free() {
        assert_eq!(choose(), Some(libc::SIGURG));
        avoid(set(libc::SIGURG) | set(libc::SIGRTMAX()));
        assert_eq!(choose(), Some(libc::SIGPROF));
        avoid(u64::MAX);
        assert_eq!(choose(), Some(libc::SIGURG));
        avoid(0);
    }
}

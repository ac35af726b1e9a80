//! What the `sondage` command needs of its process, and Node.js has arranged otherwise.
//!
//! The command reads signals as events, for which they must be blocked in every thread. Those of
//! Node.js block none: whatever comes is handled there, where the default is to end the process, or
//! to do nothing. So they hand over what comes to the command's thread, which blocks it. And
//! Node.js marks its standard streams as closed in programs that it starts.
#![allow(unsafe_code, reason = "a signal handler, and calls of the C library")]

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicI32, Ordering};

/// Signals that the command reads.
const SIGNALS: [c_int; 5] =
    [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGCHLD];

/// The command's thread.
static THREAD: AtomicI32 = AtomicI32::new(0);

/// What the kernel takes for a signal with a value: the beginning of `siginfo_t`, of which it
/// copies 128 bytes.
#[repr(C)]
struct Handed {
    signal: c_int,
    error: c_int,
    code: c_int,
    padding: c_int,
    pid: libc::pid_t,
    uid: libc::uid_t,
    value: c_int,
    rest: [c_int; 25],
}

/// Lets programs that are started have the standard streams.
pub(crate) fn pass_streams_on() {
    for stream in [libc::STDIN_FILENO, libc::STDOUT_FILENO, libc::STDERR_FILENO] {
        // SAFETY: takes three numbers; a stream that is closed is refused.
        unsafe { libc::fcntl(stream, libc::F_SETFD, 0) };
    }
}

/// From now on the calling thread gets these signals, whichever thread they come to: as queued by
/// this process, with the code that they came with as their value.
pub(crate) fn gather_signals() {
    // SAFETY: has no precondition.
    THREAD.store(unsafe { libc::gettid() }, Ordering::Relaxed);
    let mut ours = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the call makes an empty set of it.
    unsafe { libc::sigemptyset(ours.as_mut_ptr()) };
    // SAFETY: made in the line above.
    let mut ours = unsafe { ours.assume_init() };
    for signal in SIGNALS {
        // SAFETY: a set, and a signal that there is.
        unsafe { libc::sigaddset(&raw mut ours, signal) };
    }
    // SAFETY: a set of signals; the mask that was there is not asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const ours, std::ptr::null_mut()) };
    let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = hand_over;
    for signal in SIGNALS {
        // SAFETY: sigaction is plain data; all zero is valid, and an empty mask.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_RESTART | libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: `action` is complete; the handler makes two system calls and nothing else.
        unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
    }
}

extern "C" fn hand_over(signal: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel hands a handler with SA_SIGINFO what it is about.
    let came_with = unsafe { (*info).si_code };
    // SAFETY: has no precondition.
    let process = unsafe { libc::getpid() };
    let handed = Handed {
        signal,
        error: 0,
        code: libc::SI_QUEUE,
        padding: 0,
        pid: process,
        uid: 0,
        value: came_with,
        rest: [0; 25],
    };
    // SAFETY: as above, and so is errno a place of this thread.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: see above.
    let before = unsafe { *errno };
    let thread = THREAD.load(Ordering::Relaxed);
    // SAFETY: three numbers, and a structure of the size that the kernel reads.
    unsafe {
        libc::syscall(libc::SYS_rt_tgsigqueueinfo, process, thread, signal, &raw const handed)
    };
    // SAFETY: see above.
    unsafe { *errno = before };
}

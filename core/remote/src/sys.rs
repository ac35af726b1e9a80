//! The calls of the operating system that Rust cannot check. All of the crate's `unsafe` is here.
#![allow(unsafe_code, reason = "the one file that may")]

use std::io;

/// The event of a stop that a tracer asked for, or of a group-stop (`PTRACE_EVENT_STOP`).
const EVENT_STOP: i32 = 128;

/// What a traced thread has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing yet.
    None,
    /// It is stopped; `signal` is one that is to be delivered when it goes on, 0 for none.
    Stopped { signal: i32 },
    /// It has ended.
    Ended,
}

/// Becomes the tracer of a thread, which goes on.
pub(crate) fn seize(tid: i32) -> io::Result<()> {
    request(libc::PTRACE_SEIZE, tid, 0)
}

/// Asks a traced thread to stop.
pub(crate) fn interrupt(tid: i32) -> io::Result<()> {
    request(libc::PTRACE_INTERRUPT, tid, 0)
}

/// Lets a stopped thread go on and is its tracer no more.
pub(crate) fn detach(tid: i32, signal: i32) -> io::Result<()> {
    request(libc::PTRACE_DETACH, tid, signal)
}

fn request(request: libc::c_uint, tid: i32, data: i32) -> io::Result<()> {
    // SAFETY: these requests take numbers only: no memory of this process is read or written.
    let result = unsafe { libc::ptrace(request, tid, 0usize, data as usize) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Gives the calling thread a better priority, if it may have that.
pub(crate) fn be_quick() {
    // SAFETY: takes numbers only.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -10) };
}

/// What a thread that this one traces has come to, without waiting for it.
pub(crate) fn change(tid: i32) -> Change {
    let mut status = 0;
    // SAFETY: the pointer is to a local.
    let waited = unsafe { libc::waitpid(tid, &raw mut status, libc::__WALL | libc::WNOHANG) };
    match waited {
        0 => Change::None,
        found if found == tid && libc::WIFSTOPPED(status) => {
            let is_asked = status >> 16 == EVENT_STOP;
            let signal = if is_asked || status >> 16 != 0 { 0 } else { libc::WSTOPSIG(status) };
            Change::Stopped { signal }
        }
        _ => Change::Ended,
    }
}

/// The general registers of a thread that is stopped by this one.
#[cfg(target_arch = "x86_64")]
pub(crate) fn registers(tid: i32) -> io::Result<libc::user_regs_struct> {
    /// `NT_PRSTATUS` of elf.h.
    const GENERAL: usize = 1;
    let mut registers = std::mem::MaybeUninit::<libc::user_regs_struct>::zeroed();
    let mut place = libc::iovec {
        iov_base: registers.as_mut_ptr().cast(),
        iov_len: size_of::<libc::user_regs_struct>(),
    };
    // SAFETY: the kernel writes at most as many bytes as the place says, into a local.
    let result = unsafe { libc::ptrace(libc::PTRACE_GETREGSET, tid, GENERAL, &raw mut place) };
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    if place.iov_len != size_of::<libc::user_regs_struct>() {
        return Err(io::Error::other("a 32-bit process"));
    }
    // SAFETY: plain numbers, which zeros are too, and the kernel has filled all of them in.
    Ok(unsafe { registers.assume_init() })
}

/// Copies memory of another process, up to the first page that cannot be read; returns how much.
pub(crate) fn read(pid: i32, address: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let remote = libc::iovec { iov_base: address as usize as *mut _, iov_len: buffer.len() };
    // SAFETY: the kernel writes into the buffer only, and checks the other process' addresses.
    let copied =
        unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(copied).map_err(|_| io::Error::last_os_error())
}

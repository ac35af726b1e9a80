//! The calls of the operating system that Rust cannot check. All of the crate's `unsafe` is here.
#![allow(unsafe_code, reason = "the one file that may")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU32;

/// The memory of a BPF array map, as 32-bit words that the programs read at the same time.
#[derive(Debug)]
pub(crate) struct SharedWords {
    base: NonNull<AtomicU32>,
    words: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and is only used through atomics.
unsafe impl Send for SharedWords {}
// SAFETY: as above.
unsafe impl Sync for SharedWords {}

impl SharedWords {
    /// Maps the first `words` words of a map created with `BPF_F_MMAPABLE`.
    ///
    /// # Errors
    /// The kernel's, for example where the map is smaller.
    pub(crate) fn map(fd: BorrowedFd<'_>, words: usize) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new shared mapping at an address of the kernel's choice.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                words * size_of::<AtomicU32>(),
                protection,
                libc::MAP_SHARED,
                fd.as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, words })
    }

    /// The words.
    pub(crate) fn words(&self) -> &[AtomicU32] {
        // SAFETY: the mapping covers them, is page-aligned, and lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.words) }
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        let bytes = self.words * size_of::<AtomicU32>();
        // SAFETY: the mapping made in `map`; nothing borrows it any more.
        unsafe { libc::munmap(self.base.as_ptr().cast(), bytes) };
    }
}

/// `perf_event_attr` as it was in its first version; the kernel takes any published size.
#[repr(C)]
#[derive(Default)]
struct PerfEventAttributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    breakpoint_type: u32,
    config1: u64,
}

const PERF_TYPE_SOFTWARE: u32 = 1;
const PERF_COUNT_SW_CPU_CLOCK: u64 = 0;
const DISABLED: u64 = 1;

/// Opens the event that the engine uses on processor 0, disabled, and closes it again.
///
/// # Errors
/// The kernel's: what the engine would be told too.
pub(crate) fn try_cpu_clock_event() -> io::Result<()> {
    let attributes = PerfEventAttributes {
        kind: PERF_TYPE_SOFTWARE,
        size: size_of::<PerfEventAttributes>() as u32,
        config: PERF_COUNT_SW_CPU_CLOCK,
        flags: DISABLED,
        ..PerfEventAttributes::default()
    };
    let (any_process, cpu, group, close_on_exec) = (-1, 0, -1, 8);
    // SAFETY: the attributes are valid for their size and outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const attributes,
            any_process,
            cpu,
            group,
            close_on_exec,
        )
    };
    let fd = i32::try_from(result).unwrap_or(-1);
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor that the kernel gave to us alone.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
    Ok(())
}

/// Runs `handler` in a signal handler of this thread, and returns when it has returned.
#[cfg(test)]
pub(crate) fn raise_to(handler: extern "C" fn(i32)) {
    // SAFETY: a signal that nothing else in the tests uses; the handler is a plain function.
    unsafe { libc::signal(libc::SIGUSR2, handler as *const () as libc::sighandler_t) };
    // SAFETY: sends it to this thread.
    unsafe { libc::raise(libc::SIGUSR2) };
}

//! The calls of the operating system that Rust cannot check. All of the crate's `unsafe` is here.
#![allow(unsafe_code, reason = "the one file that may")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

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
        Self::map_from(fd, 0, words)
    }

    fn map_from(fd: BorrowedFd<'_>, first: usize, words: usize) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new shared mapping at an address of the kernel's choice.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                words * size_of::<AtomicU32>(),
                protection,
                libc::MAP_SHARED,
                fd.as_raw_fd(),
                (first * size_of::<AtomicU32>()) as libc::off_t,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, words })
    }

    fn all(&self) -> &[AtomicU32] {
        // SAFETY: the mapping covers them, is page-aligned, and lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.words) }
    }

    /// Writes from the word `first` on; what would lie beyond the end is left out.
    pub(crate) fn store(&self, first: usize, words: &[u32]) {
        for (slot, word) in self.all().iter().skip(first).zip(words) {
            slot.store(*word, Relaxed);
        }
    }

    /// Writes into a map from the word `first` on, without keeping it mapped: its memory is the
    /// kernel's, and would be counted a second time as this process'.
    ///
    /// # Errors
    /// The kernel's, for example where the map is smaller.
    pub(crate) fn write(fd: BorrowedFd<'_>, first: usize, words: &[u32]) -> io::Result<()> {
        let before = first % WORDS_PER_PAGE;
        let mapped = Self::map_from(fd, first - before, before + words.len())?;
        mapped.store(before, words);
        Ok(())
    }

    /// Reads from a map, as [`write`](Self::write) writes.
    ///
    /// # Errors
    /// The kernel's, for example where the map is smaller.
    pub(crate) fn read(fd: BorrowedFd<'_>, first: usize, count: usize) -> io::Result<Vec<u32>> {
        let before = first % WORDS_PER_PAGE;
        let mapped = Self::map_from(fd, first - before, before + count)?;
        Ok(mapped.all().iter().skip(before).map(|word| word.load(Relaxed)).collect())
    }
}

/// A mapping begins at a page. x86_64's have 4 KiB.
const WORDS_PER_PAGE: usize = 1024;

impl Drop for SharedWords {
    fn drop(&mut self) {
        let bytes = self.words * size_of::<AtomicU32>();
        // SAFETY: the mapping made in `map`; nothing borrows it any more.
        unsafe { libc::munmap(self.base.as_ptr().cast(), bytes) };
    }
}

/// The part of `union bpf_attr` that deletes an element.
#[repr(C)]
struct ElementAttributes {
    map: u32,
    reserved: u32,
    key: u64,
    value: u64,
    flags: u64,
}

const BPF_MAP_DELETE_ELEM: libc::c_int = 3;

/// Deletes an element of a map whose keys are numbers of 32 bits. That there is none is no error.
pub(crate) fn delete_element(map: BorrowedFd<'_>, key: u32) {
    let attributes = ElementAttributes {
        map: map.as_raw_fd().cast_unsigned(),
        reserved: 0,
        key: &raw const key as u64,
        value: 0,
        flags: 0,
    };
    // SAFETY: the attributes and the key outlive the call, which reads them alone.
    unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_MAP_DELETE_ELEM,
            &raw const attributes,
            size_of::<ElementAttributes>(),
        )
    };
}

/// Waits until there is something to read, or for this long.
pub(crate) fn wait_readable(fd: BorrowedFd<'_>, timeout: Duration) {
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: one entry, which outlives the call.
    unsafe { libc::poll(&raw mut poll, 1, millis) };
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

//! The page by which a process tells observers what it is: OpenTelemetry's process context
//! (OTEP 4719).
//!
//! ```text
//! bytes 0–7    "OTEL_CTX", written last
//!       8–11   version, 2
//!       12–15  size of the payload
//!       16–23  when it was published, by the clock that suspends too, in nanoseconds; 0 while it is
//!              being changed
//!       24–31  address of the payload; ours follows the header
//! ```

use crate::arch;
use crate::errno::{Errno, check};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use core::{ptr, slice};

/// The first bytes of the page, and how its mapping is named.
pub const CONTEXT_SIGNATURE: [u8; 8] = *b"OTEL_CTX";

/// The version of the layout above.
pub const CONTEXT_VERSION: u32 = 2;

/// Bytes before a payload that follows the header.
pub const CONTEXT_HEADER_BYTES: usize = 32;

const PAGE: usize = 4096;

/// `PR_SET_VMA` and `PR_SET_VMA_ANON_NAME`, Linux include/uapi/linux/prctl.h.
const SET_VMA: usize = 0x5356_4d41;
const SET_VMA_NAME: usize = 0;

/// A header as it lies in memory.
#[derive(Debug)]
#[repr(C)]
struct Header {
    signature: AtomicU64,
    version: AtomicU32,
    size: AtomicU32,
    published: AtomicU64,
    payload: AtomicU64,
}

/// The published page; withdrawn when dropped. Forked children do not inherit it.
#[derive(Debug)]
pub struct ContextPage {
    base: *mut u8,
    bytes: usize,
}

// SAFETY: the mapping belongs to the process; only the owner writes to it.
unsafe impl Send for ContextPage {}

impl ContextPage {
    /// Shows `payload`, a `ProcessContext` message of at most 64 KiB, to who reads this process'
    /// memory. There should be one context in a process: look for another first.
    ///
    /// # Errors
    /// The kernel's, for example where there is no memory; `E2BIG` for a larger payload.
    pub fn publish(payload: &[u8]) -> Result<Self, Errno> {
        if payload.len() > 64 << 10 {
            return Err(Errno(libc::E2BIG));
        }
        let wanted = payload.len().saturating_add(CONTEXT_HEADER_BYTES);
        let bytes = wanted.div_ceil(PAGE).saturating_mul(PAGE);
        let (base, named) = map(bytes)?;
        let page = Self { base, bytes };
        let advice = [base as usize, bytes, libc::MADV_DONTFORK as usize, 0];
        // SAFETY: advice about a mapping that is ours alone.
        check(unsafe { arch::syscall(libc::SYS_madvise, advice) })?;
        page.write(payload);
        if !page.name() && !named {
            return Err(Errno(libc::ENOSYS));
        }
        Ok(page)
    }

    fn write(&self, payload: &[u8]) {
        let target = self.base.wrapping_add(CONTEXT_HEADER_BYTES);
        // SAFETY: the mapping is as long as header and payload, and nobody else writes to it.
        let room = unsafe { slice::from_raw_parts_mut(target, payload.len()) };
        room.copy_from_slice(payload);
        // SAFETY: the mapping is aligned to a page; all bytes are valid for the atomics.
        let header = unsafe { &*self.base.cast::<Header>() };
        header.version.store(CONTEXT_VERSION, Ordering::Relaxed);
        header.size.store(payload.len() as u32, Ordering::Relaxed);
        header.payload.store(target as u64, Ordering::Relaxed);
        header.published.store(now().max(1), Ordering::Relaxed);
        fence(Ordering::SeqCst);
        header.signature.store(u64::from_ne_bytes(CONTEXT_SIGNATURE), Ordering::Release);
    }

    /// Names the mapping, where the kernel can; observers may also wait for this call.
    fn name(&self) -> bool {
        let name = c"OTEL_CTX".as_ptr() as usize;
        let args = [SET_VMA, SET_VMA_NAME, self.base as usize, self.bytes, name];
        let [option, what, start, length, name] = args;
        // SAFETY: names a mapping that is ours; the name is a constant.
        unsafe { libc::prctl(option as i32, what, start, length, name) == 0 }
    }

    /// Where the header lies.
    pub fn address(&self) -> u64 {
        self.base as u64
    }
}

impl Drop for ContextPage {
    fn drop(&mut self) {
        // SAFETY: our own mapping, which nothing in this process reads.
        let _ = unsafe { arch::syscall(libc::SYS_munmap, [self.base as usize, self.bytes, 0, 0]) };
    }
}

/// Maps memory, and tells whether it has the name already.
fn map(bytes: usize) -> Result<(*mut u8, bool), Errno> {
    let file = memory_file(bytes);
    let (flags, descriptor) = match file {
        Some(file) => (libc::MAP_PRIVATE, file),
        None => (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1),
    };
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new private mapping at an address of the kernel's choice.
    let base = unsafe { libc::mmap(ptr::null_mut(), bytes, access, flags, descriptor, 0) };
    if let Some(file) = file {
        // SAFETY: the descriptor was made for this and is used nowhere else.
        unsafe { libc::close(file) };
    }
    match base == libc::MAP_FAILED {
        true => Err(Errno(libc::ENOMEM)),
        false => Ok((base.cast(), file.is_some())),
    }
}

/// A file in memory under the name, if the kernel gives one.
fn memory_file(bytes: usize) -> Option<i32> {
    let args = [c"OTEL_CTX".as_ptr() as usize, libc::MFD_CLOEXEC as usize, 0, 0];
    // SAFETY: the name is a constant.
    let file = check(unsafe { arch::syscall(libc::SYS_memfd_create, args) }).ok()?;
    let file = i32::try_from(file).ok()?;
    // SAFETY: changes the size of a file that is ours alone.
    if check(unsafe { arch::syscall(libc::SYS_ftruncate, [file as usize, bytes, 0, 0]) }).is_ok() {
        return Some(file);
    }
    // SAFETY: the descriptor was made above and is used nowhere else.
    unsafe { libc::close(file) };
    None
}

/// The clock that goes on while the machine sleeps, in nanoseconds.
fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a local.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

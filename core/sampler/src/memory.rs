//! Reading memory that may not be there.

use crate::{arch, guarded};
use core::ops::Range;

/// Source of the words a walk reads. The walkers are generic over it, so that the same code runs
/// on the own process, on another one and on a frozen one.
pub trait MemoryReader {
    /// The aligned word at `address`, or `None` when it cannot be read.
    fn word(&mut self, address: u64) -> Option<u64>;

    /// The 4 bytes at `address`, which must be a multiple of 4.
    #[inline(always)]
    fn half(&mut self, address: u64) -> Option<u32> {
        if address & 3 != 0 {
            return None;
        }
        Some(self.bytes_from(address)? as u32)
    }

    /// The byte at `address`.
    #[inline(always)]
    fn byte(&mut self, address: u64) -> Option<u8> {
        Some(self.bytes_from(address)? as u8)
    }

    /// The bytes from `address` to the end of its aligned word, lowest first; zeros above.
    #[inline(always)]
    fn bytes_from(&mut self, address: u64) -> Option<u64> {
        let word = self.word(address & !7)?;
        let skipped = (address & 7) as u32;
        Some(u64::from_le(word) >> skipped.wrapping_mul(8))
    }
}

/// The own process, read from inside its signal handler.
///
/// Words inside `trusted` are loaded directly: a range proven to be the running thread's own
/// stack, which stays mapped as long as the thread lives. Any other page is probed first, with
/// one system call that reads from it and fails with `EFAULT` instead of faulting; or, where
/// the signals of a fault come to us (`guarded.rs`), it is loaded from at once.
#[derive(Debug)]
pub struct SelfMemory {
    trusted: Range<u64>,
    probed: Range<u64>,
    guarded: bool,
    /// Pages may vanish at any time: each load is probed by itself.
    fleeting: bool,
}

/// Pages are probed in this size, the smallest that Linux uses.
const PAGE: u64 = 4096;

/// The longest run of probed pages that one walk may use without probing again.
const MAX_PROBED: u64 = 1 << 20;

impl SelfMemory {
    /// A reader that trusts one range; an empty range trusts nothing.
    ///
    /// # Safety
    /// Every address in `trusted` must be readable for as long as the reader is used.
    pub unsafe fn trusting(trusted: Range<u64>) -> Self {
        Self { trusted, probed: 0..0, guarded: false, fleeting: false }
    }

    /// A reader that probes every page.
    pub fn probing() -> Self {
        Self { trusted: 0..0, probed: 0..0, guarded: false, fleeting: false }
    }

    /// A reader that loads from anywhere, if a fault would come to us and the thread blocks none
    /// of the signals in `blocked`; otherwise one that probes before each load, which leaves a
    /// window of nanoseconds for what another thread unmaps. Costs two system calls.
    ///
    /// # Safety
    /// `blocked` must be the signals that the calling thread blocks, apart from those that our
    /// own handlers block; nobody may take SIGSEGV or SIGBUS while the reader is used, or block
    /// them on this thread.
    pub(crate) unsafe fn guarding(blocked: u64) -> Self {
        let guarded = blocked & guarded::SIGNALS == 0 && guarded::is_ours();
        Self { trusted: 0..0, probed: 0..0, guarded, fleeting: !guarded }
    }

    /// Whether a fault is turned into a refusal: then memory may vanish at any time.
    pub(crate) fn is_guarded(&self) -> bool {
        self.guarded
    }

    /// Makes `address` part of the probed range, if its page can be read.
    #[cold]
    fn probe(&mut self, address: u64) -> bool {
        let page = address & PAGE.wrapping_neg();
        if !is_readable(page) {
            return false;
        }
        let end = page.wrapping_add(PAGE);
        let length = self.probed.end.wrapping_sub(self.probed.start);
        if page == self.probed.end && length < MAX_PROBED {
            self.probed.end = end;
        } else {
            self.probed = page..end;
        }
        true
    }
}

/// Pages that one call of [`readable_down_from`] probes at most, so that it takes microseconds.
const MAX_PROVEN: usize = 64;

/// The lowest address such that everything from it up to `from` can be read, as far down as the
/// page of `to`; higher where a page cannot be read or many would have to be probed.
pub(crate) fn readable_down_from(from: u64, to: u64) -> u64 {
    let mut proven = from;
    for _ in 0..MAX_PROVEN {
        let page = proven.wrapping_sub(1) & PAGE.wrapping_neg();
        if proven <= to || !is_readable(page) {
            break;
        }
        proven = page;
    }
    proven
}

/// Whether the 8 bytes at `address` can be read. `rt_sigprocmask` copies the new mask from there
/// before it looks at `how`, which is invalid, so nothing is changed either way. A null pointer
/// means "no mask" to it and would pass, so page 0 is refused here.
pub(crate) fn is_readable(address: u64) -> bool {
    if address == 0 {
        return false;
    }
    let how = usize::MAX;
    // SAFETY: the kernel checks the address itself; with an invalid `how` no mask is set.
    let result = unsafe {
        arch::syscall(libc::SYS_rt_sigprocmask, [how, address as usize, 0, size_of::<u64>()])
    };
    result != (libc::EFAULT as isize).wrapping_neg()
}

impl MemoryReader for SelfMemory {
    #[inline(always)]
    fn word(&mut self, address: u64) -> Option<u64> {
        if address & 7 != 0 {
            return None;
        }
        if self.guarded {
            // SAFETY: who made the reader vouches that faults come to us.
            return unsafe { guarded::load(address) };
        }
        if !self.trusted.contains(&address)
            && (self.fleeting || !self.probed.contains(&address))
            && !self.probe(address)
        {
            return None;
        }
        // SAFETY: the aligned word lies in a page that is trusted or was probed just now. The
        // load is volatile because other threads may write there.
        Some(unsafe { (address as *const u64).read_volatile() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unreadable_addresses_are_refused_without_a_fault() {
        let mut memory = SelfMemory::probing();
        let value = 0x1234_5678_9abc_def0u64;
        assert_eq!(memory.word(&raw const value as u64), Some(value));
        for address in [0, 8, 4096, u64::MAX - 7, 1 << 63, 0xffff_ffff_ff60_0000 - 8] {
            assert_eq!(memory.word(address), None, "{address:#x}");
        }
        assert_eq!(memory.word(&raw const value as u64 + 1), None, "unaligned");
    }

    #[test]
    fn the_page_after_a_readable_one_is_probed_on_its_own() {
        let (len, page) = (2 * PAGE as usize, PAGE as usize);
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a fresh anonymous mapping.
        let base = unsafe { libc::mmap(core::ptr::null_mut(), len, protection, flags, -1, 0) };
        // SAFETY: the second page of that mapping.
        unsafe { libc::mprotect(base.wrapping_byte_add(page), page, libc::PROT_NONE) };
        let base = base as u64;
        let mut memory = SelfMemory::probing();
        assert_eq!(memory.word(base + PAGE - 8), Some(0));
        assert_eq!(memory.word(base + PAGE), None);
        assert_eq!(readable_down_from(base + PAGE, base + 8), base);
        assert_eq!(readable_down_from(base + PAGE, base + PAGE), base + PAGE, "nothing to prove");
        assert_eq!(readable_down_from(base + 2 * PAGE, base), base + 2 * PAGE, "a guard page");
        // SAFETY: the mapping made above.
        unsafe { libc::munmap(base as *mut _, len) };
    }
}

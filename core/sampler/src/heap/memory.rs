//! What sampled allocations need, in one mapping that is made at the first start and kept.
//!
//! It is never unmapped: the host's allocator may call the functions of this module at any time,
//! also after a stop, as another tool may keep them in its chain. At a stop it gives its memory
//! back and reads as zeros, which is what the tables look like when they are empty.

use super::batch::{Batch, MAX_FRAMES};
use super::filter::Filter;
use super::live::Live;
use super::lock::{Held, Lock};
use crate::errno::Errno;
use crate::pool;
use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

static MEMORY: AtomicPtr<Memory> = AtomicPtr::new(ptr::null_mut());

/// All zero is valid and empty.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Memory {
    /// What is kept over a stop.
    pub(crate) lock: Lock,
    /// Which batch is current: 0 or 1.
    pub(crate) current: AtomicU32,
    pub(crate) random: AtomicU64,
    pub(crate) counts: Counts,
    pub(crate) tables: Tables,
}

/// Whole pages, which are given back at a stop.
#[derive(Debug)]
#[repr(C, align(4096))]
pub(crate) struct Tables {
    pub(crate) filter: Filter,
    pub(crate) live: Live,
    pub(crate) batches: [Batch; 2],
    buffer: Buffer,
}

/// Where a stack is walked into.
#[derive(Debug)]
#[repr(C)]
struct Buffer(UnsafeCell<[u64; MAX_FRAMES]>);

// SAFETY: only the holder of the lock uses it (`Memory::buffer`).
unsafe impl Sync for Buffer {}

/// Counters that only the holder of the lock writes, but for `contended`.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Counts {
    pub(crate) samples: AtomicU64,
    pub(crate) untracked: AtomicU64,
    pub(crate) stackless: AtomicU64,
    pub(crate) contended: AtomicU64,
    pub(crate) ticks: AtomicU64,
}

impl Memory {
    /// The mapping, if there was a start.
    #[inline(always)]
    pub(crate) fn get() -> Option<&'static Memory> {
        // SAFETY: null, or the mapping that `make` published, which is never unmapped.
        unsafe { MEMORY.load(Ordering::Acquire).as_ref() }
    }

    /// The mapping, made if there is none.
    pub(crate) fn make() -> Result<&'static Memory, Errno> {
        if let Some(memory) = Self::get() {
            return Ok(memory);
        }
        let new: *mut Memory = pool::map(size_of::<Memory>())?.cast();
        let (order, failed) = (Ordering::AcqRel, Ordering::Acquire);
        // Another thread's mapping wins; this one then is address space that is never touched.
        let _ = MEMORY.compare_exchange(ptr::null_mut(), new, order, failed);
        Self::get().ok_or(Errno(libc::ENOMEM))
    }

    /// The batch that is current or, for the agent, the other one.
    pub(crate) fn batch(&self, number: u32) -> &Batch {
        let [first, second] = &self.tables.batches;
        if number & 1 == 0 { first } else { second }
    }

    /// The room for a stack, for who holds this memory's lock.
    pub(crate) fn buffer<'h>(&'h self, _held: &'h mut Held<'_>) -> &'h mut [u64; MAX_FRAMES] {
        // SAFETY: there is one holder of the lock, who has one borrow of it.
        unsafe { &mut *self.tables.buffer.0.get() }
    }

    /// Empties the tables and gives their memory back. A block that another thread is just freeing
    /// is then found no more, which `Live` and `Filter` bear.
    pub(crate) fn clear(&self, _held: &Held<'_>) {
        let (start, len) = (ptr::from_ref(&self.tables), size_of::<Tables>());
        // SAFETY: whole pages of our private mapping, which read as zeros afterwards: empty tables
        // of atomics, and a buffer that the holder of the lock does not use now.
        unsafe { libc::madvise(start.cast_mut().cast(), len, libc::MADV_DONTNEED) };
    }
}

//! What sampled allocations need, in one mapping.
//!
//! The host's allocator may call the functions of this module at any time, also after a stop, as
//! another tool may keep them in its chain. At a stop the mapping gives its memory back and reads as
//! zeros, which is what the tables look like when they are empty.

use super::batches::{Batches, Mapped};
use super::filter::Filter;
use super::live::Live;
use super::lock::{Held, Lock};
use core::ptr;
use core::sync::atomic::AtomicU64;

// SAFETY: all zero is valid.
pub(crate) static MEMORY: Mapped<Memory> = unsafe { Mapped::new() };

/// All zero is valid and empty.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Memory {
    /// What is kept over a stop.
    pub(crate) lock: Lock,
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
    pub(crate) batches: Batches,
}

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
    /// Empties the tables and gives their memory back. A block that another thread is just freeing
    /// is then found no more, which `Live` and `Filter` bear.
    pub(crate) fn clear(&self, _held: &Held<'_>) {
        let (start, len) = (ptr::from_ref(&self.tables), size_of::<Tables>());
        // SAFETY: whole pages of our private mapping, which read as zeros afterwards: empty tables
        // of atomics, and a buffer that the holder of the lock does not use now.
        unsafe { libc::madvise(start.cast_mut().cast(), len, libc::MADV_DONTNEED) };
    }
}

//! The hand-off: one writer (a thread's signal handler), one reader (the agent thread).
//!
//! Positions count words since the start and never wrap in practice (2⁶⁴ words); a position's
//! place in the ring is its low bits. The writer fills words first and publishes them with one
//! release store of `head`; the reader frees them with one release store of `tail`. The words
//! themselves are atomics, so that even a broken peer causes wrong data and never a data race.

use crate::atomic::{AtomicU64, Ordering};

/// Both ends' view of one ring. `words` must have a power of two length.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ring<'a> {
    pub(crate) head: &'a AtomicU64,
    pub(crate) tail: &'a AtomicU64,
    pub(crate) words: &'a [AtomicU64],
}

impl<'a> Ring<'a> {
    fn mask(&self) -> u64 {
        (self.words.len() as u64).wrapping_sub(1)
    }

    fn word(&self, position: u64) -> Option<&'a AtomicU64> {
        self.words.get((position & self.mask()) as usize)
    }

    /// Starts a record: the writer's side. Nothing is visible before [`Record::publish`].
    #[inline(always)]
    pub(crate) fn begin(self) -> Record<'a> {
        let head = self.head.load(Ordering::Relaxed);
        let used = head.wrapping_sub(self.tail.load(Ordering::Acquire));
        let free = (self.words.len() as u64).saturating_sub(used);
        Record { ring: self, head, free: free as usize }
    }

    /// Copies every published word out and frees them: the reader's side.
    pub(crate) fn drain(&self, mut take: impl FnMut(u64)) -> usize {
        let tail = self.tail.load(Ordering::Relaxed);
        let head = self.head.load(Ordering::Acquire);
        let count = head.wrapping_sub(tail).min(self.words.len() as u64);
        for offset in 0..count {
            if let Some(word) = self.word(tail.wrapping_add(offset)) {
                take(word.load(Ordering::Relaxed));
            }
        }
        self.tail.store(head, Ordering::Release);
        count as usize
    }
}

/// A record being written.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    ring: Ring<'a>,
    head: u64,
    free: usize,
}

impl Record<'_> {
    /// How many words fit.
    #[inline(always)]
    pub(crate) fn free(&self) -> usize {
        self.free
    }

    /// Writes word `index` of the record. An index beyond [`Record::free`] is ignored.
    #[inline(always)]
    pub(crate) fn put(&self, index: usize, value: u64) {
        if index < self.free
            && let Some(word) = self.ring.word(self.head.wrapping_add(index as u64))
        {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// Makes the first `len` words visible to the reader.
    #[inline(always)]
    pub(crate) fn publish(self, len: usize) {
        let len = len.min(self.free) as u64;
        self.ring.head.store(self.head.wrapping_add(len), Ordering::Release);
    }
}

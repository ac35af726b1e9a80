//! What every kind of sample that is taken in ordinary code needs: two batches of stacks, of which one
//! is filled while the agent reads the other, the room for a stack, and a mapping to keep them in.

use super::batch::{Batch, MAX_FRAMES, Taken};
use super::exponential::Weight;
use super::lock::{Held, Lock};
use crate::capture::capture;
use crate::errno::Errno;
use crate::pool;
use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// A value that begins as zeros, in a mapping that is made at the first start and kept: threads may
/// be in it at any time, also after a stop.
#[derive(Debug)]
pub(crate) struct Mapped<T>(AtomicPtr<T>);

impl<T: Sync> Mapped<T> {
    /// # Safety
    /// All zero is a valid `T`.
    pub(crate) const unsafe fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// The value, if there was a start.
    #[inline(always)]
    pub(crate) fn get(&self) -> Option<&'static T> {
        // SAFETY: null, or the mapping that `make` published, which is never unmapped.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }

    /// The value, made if there is none.
    pub(crate) fn make(&self) -> Result<&'static T, Errno> {
        if let Some(value) = self.get() {
            return Ok(value);
        }
        let new: *mut T = pool::map(size_of::<T>())?.cast();
        let (order, failed) = (Ordering::AcqRel, Ordering::Acquire);
        // Another thread's mapping wins; this one then is address space that is never touched.
        let _ = self.0.compare_exchange(ptr::null_mut(), new, order, failed);
        self.get().ok_or(Errno(libc::ENOMEM))
    }
}

/// All zero is valid and empty.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Batches {
    /// Which one is filled: 0 or 1.
    current: AtomicU32,
    both: [Batch; 2],
    buffer: Buffer,
}

/// Where a stack is walked into.
#[derive(Debug)]
#[repr(C)]
struct Buffer(UnsafeCell<[u64; MAX_FRAMES]>);

// SAFETY: only the holder of the lock uses it (`Batches::take`).
unsafe impl Sync for Buffer {}

impl Batches {
    /// Adds the calling thread's stack, for who holds the lock that these are under. Returns the number
    /// of the batch and that of the stack there; `None` while stacks cannot be walked.
    pub(crate) fn take(&self, _held: &mut Held<'_>, weight: Weight) -> Option<(u32, u32)> {
        // SAFETY: there is one holder of the lock, who has one borrow of it.
        let frames = unsafe { &mut *self.buffer.0.get() };
        let captured = capture(frames)?;
        let number = self.current.load(Ordering::Relaxed);
        let batch = self.batch(number);
        let stack = batch.intern(Taken {
            frames: frames.get(..captured.frames).unwrap_or(&[]),
            end: captured.end,
            label_set: captured.labels.map_or(0, |labels| labels.set),
        });
        batch.count(stack, weight);
        Some((number, stack))
    }

    /// Has the other one filled from now on. Returns this one, for the agent to read and clear, and its
    /// number; `None` when the holder of the lock that these are under does not go on.
    pub(crate) fn turn(&self, lock: &Lock) -> Option<(u32, &Batch)> {
        let _held = lock.enter_patiently()?;
        let number = self.current.load(Ordering::Relaxed) & 1;
        self.current.store(number ^ 1, Ordering::Relaxed);
        Some((number, self.batch(number)))
    }

    fn batch(&self, number: u32) -> &Batch {
        let [first, second] = &self.both;
        if number & 1 == 0 { first } else { second }
    }

    /// Whether it is time to read the one that is filled.
    pub(crate) fn is_half_full(&self) -> bool {
        self.batch(self.current.load(Ordering::Relaxed)).is_half_full()
    }

    pub(crate) fn clear(&self, _held: &Held<'_>) {
        self.both.iter().for_each(Batch::clear);
    }
}

//! What the host's threads call for every block.

use super::exponential::{distance, next_random, weigh};
use super::live::{Block, Resizing};
use super::lock::{Held, Refusal};
use super::memory::{MEMORY, Memory};
use super::{countdown, owner};
use crate::arch;
use crate::slot::Tally;
use core::sync::atomic::Ordering;

/// Tells of a block that was allocated. Does nothing while no [`Heap`](super::Heap) runs.
#[inline(always)]
pub fn allocated(address: usize, size: usize) {
    if is_due(size) {
        sample(address, size);
    }
}

/// The first half of [`allocated`], for those who want to know before they allocate the block
/// whether [`sample`] must be called after it.
#[inline(always)]
#[must_use = "a sample that is due must be taken"]
pub fn is_due(size: usize) -> bool {
    countdown::pass(size as u64)
}

/// Takes the sample that [is due](is_due), of a block that was allocated since; 0 for one that
/// could not be.
#[cold]
#[inline(never)]
pub fn sample(address: usize, size: usize) {
    if address != 0 {
        take_sample(address as u64, size as u64);
    }
}

/// Whether a block may have been sampled, so that [`freed`] or [`resizing`] must be told of it.
#[inline(always)]
pub fn may_be_sampled(address: usize) -> bool {
    MEMORY.get().is_some_and(|memory| memory.tables.filter.may_hold(address as u64))
}

/// Tells of a block that is about to be freed.
#[inline(always)]
pub fn freed(address: usize) {
    if may_be_sampled(address) {
        forget(address as u64);
    }
}

/// Tells of a block that is about to be resized, which ends with [`Resized::finish`].
///
/// A block that was resized is a new one, wherever it lies, which [`allocated`] is to be told of: it
/// belongs to the stack that resized it, and the old one is gone.
pub fn resizing(address: usize) -> Resized {
    match MEMORY.get() {
        Some(memory) if memory.tables.filter.may_hold(address as u64) => {
            Resized(memory.tables.live.begin_resizing(address as u64))
        }
        _ => Resized(None),
    }
}

/// A block that is being resized.
#[derive(Debug)]
#[must_use = "the block counts as alive until finish is called"]
pub struct Resized(Option<Resizing<'static>>);

impl Resized {
    /// Says whether the block could be resized; otherwise it is what it was.
    pub fn finish(self, was_resized: bool) {
        let Some(block) = self.0 else { return };
        let address = block.address();
        if !was_resized {
            block.keep();
        } else if block.free()
            && let Some(memory) = MEMORY.get()
        {
            memory.tables.filter.remove(address);
        }
    }
}

#[cold]
fn forget(address: u64) {
    if let Some(memory) = MEMORY.get()
        && memory.tables.live.remove(address)
    {
        memory.tables.filter.remove(address);
    }
}

/// Takes a sample: walks the stack, adds the block to it, and draws where the next sample is.
fn take_sample(address: u64, size: u64) {
    let started = arch::ticks();
    let Some(memory) = MEMORY.get() else { return countdown::stop() };
    match memory.lock.enter() {
        Ok(mut held) => {
            let rate = countdown::rate();
            if rate == 0 {
                return countdown::stop();
            }
            let (state, random) = next_random(memory.random.load(Ordering::Relaxed));
            memory.random.store(state, Ordering::Relaxed);
            countdown::set(distance(rate, random));
            take(memory, &mut held, address, Block { size, stack: 0 }, rate);
            Tally::add(&memory.counts.ticks, arch::ticks().wrapping_sub(started));
        }
        // The walk does not allocate; if it did, that is not what the host allocates.
        Err(Refusal::Nested) => {}
        // The countdown stays below zero, so the next block is sampled for this one.
        Err(Refusal::Taken) => {
            memory.counts.contended.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn take(memory: &Memory, held: &mut Held<'_>, address: u64, block: Block, rate: u64) {
    let weight = weigh(block.size, rate);
    let Some((batch, stack)) = memory.tables.batches.take(held, weight) else { return };
    let counts = &memory.counts;
    Tally::add(&counts.samples, 1);
    if stack == super::batch::NO_ROOM {
        Tally::add(&counts.stackless, 1);
    }
    let block = Block { stack: owner::unnamed(batch, stack), ..block };
    // Before the block is in the table, so that no free can miss it.
    if !memory.tables.filter.add(address) {
        Tally::add(&counts.untracked, 1);
    } else if !memory.tables.live.insert(address, block) {
        memory.tables.filter.remove(address);
        Tally::add(&counts.untracked, 1);
    }
}

//! What the host's threads call for every block.

use super::batch::Taken;
use super::exponential::{distance, next_random, weigh};
use super::live::{Block, Resizing};
use super::lock::{Held, Refusal};
use super::memory::Memory;
use super::{countdown, owner};
use crate::arch;
use crate::capture::capture;
use crate::slot::Tally;
use core::sync::atomic::Ordering;

/// Tells of a block that was allocated. Does nothing while no [`Heap`](super::Heap) runs.
#[inline(always)]
pub fn allocated(address: usize, size: usize) {
    if countdown::pass(size as u64) && address != 0 {
        sample(address as u64, size as u64);
    }
}

/// Tells of a block that is about to be freed.
#[inline(always)]
pub fn freed(address: usize) {
    if let Some(memory) = Memory::get()
        && memory.tables.filter.may_hold(address as u64)
    {
        forget(memory, address as u64);
    }
}

/// Tells of a block that is about to be resized, which ends with [`Resized::finish`].
///
/// A block that was resized is a new one, wherever it lies: it belongs to the stack that resized
/// it, and the old one is gone.
#[inline(always)]
pub fn resizing(address: usize) -> Resized {
    match Memory::get() {
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
    /// Says where the block is now and how large; 0 for one that could not be resized, and is what
    /// it was.
    #[inline(always)]
    pub fn finish(self, address: usize, size: usize) {
        if let Some(block) = self.0 {
            finish(block, address != 0);
        }
        allocated(address, size);
    }
}

#[cold]
fn finish(block: Resizing<'_>, resized: bool) {
    let address = block.address();
    if !resized {
        block.keep();
    } else if block.free()
        && let Some(memory) = Memory::get()
    {
        memory.tables.filter.remove(address);
    }
}

#[cold]
fn forget(memory: &Memory, address: u64) {
    if memory.tables.live.remove(address) {
        memory.tables.filter.remove(address);
    }
}

/// Takes a sample: walks the stack, adds the block to it, and draws where the next sample is.
#[cold]
#[inline(never)]
fn sample(address: u64, size: u64) {
    let started = arch::ticks();
    let Some(memory) = Memory::get() else { return countdown::stop() };
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
    let frames = memory.buffer(held);
    let Some(captured) = capture(frames) else { return };
    let current = memory.current.load(Ordering::Relaxed);
    let batch = memory.batch(current);
    let stack = batch.intern(Taken {
        frames: frames.get(..captured.frames).unwrap_or(&[]),
        end: captured.end,
        label_set: captured.labels.map_or(0, |labels| labels.set),
    });
    batch.count(stack, weigh(block.size, rate));
    let counts = &memory.counts;
    Tally::add(&counts.samples, 1);
    if stack == super::batch::NO_ROOM {
        Tally::add(&counts.stackless, 1);
    }
    let block = Block { stack: owner::unnamed(current, stack), ..block };
    // Before the block is in the table, so that no free can miss it.
    if !memory.tables.filter.add(address) {
        Tally::add(&counts.untracked, 1);
    } else if !memory.tables.live.insert(address, block) {
        memory.tables.filter.remove(address);
        Tally::add(&counts.untracked, 1);
    }
}

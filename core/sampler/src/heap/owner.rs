//! The agent's side: start, names for stacks, what is in use, stop.

use super::batch::Allocations;
use super::countdown;
use super::exponential::{distance, next_random, weigh};
use super::live;
use super::memory::{MEMORY, Memory};
use crate::arch;
use crate::errno::Errno;
use crate::process::current_tid;
use core::sync::atomic::{AtomicBool, Ordering};

/// A stack's number in the table of blocks: one that the agent gave, or one of a batch, whose
/// parity the second bit is.
const NAMED: u32 = 1 << 31;
const BATCH: u32 = 1 << 30;

/// What a block of a batch's stack bears until the agent has seen it.
pub(super) fn unnamed(batch: u32, stack: u32) -> u32 {
    if batch & 1 == 0 { stack } else { stack | BATCH }
}

/// Set while a `Heap` exists; and in a forked child, until it has one of its own.
static RUNNING: AtomicBool = AtomicBool::new(false);
static FORKED: AtomicBool = AtomicBool::new(false);

/// Why allocations are not sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartError {
    /// They are already.
    AlreadyRunning,
    /// The address space was refused.
    Memory(Errno),
    /// A thread was stopped while it took a sample, long ago, and does not go on.
    Busy,
}

impl core::fmt::Display for StartError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::AlreadyRunning => f.write_str("allocations are sampled already"),
            Self::Memory(errno) => write!(f, "no address space for samples: error {}", errno.0),
            Self::Busy => f.write_str("a thread does not go on that was taking a sample"),
        }
    }
}

/// Counters since the process' first start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeapCounters {
    /// Blocks sampled.
    pub samples: u64,
    /// Of these, blocks that are not in the table of blocks in use, which had no room for them.
    pub untracked: u64,
    /// Of these, blocks whose stack found no room.
    pub stackless: u64,
    /// Blocks that were to be sampled while another thread took a sample; later ones were instead.
    pub contended: u64,
    /// Time spent taking samples, in ticks of [`crate::ticks`].
    pub ticks: u64,
}

/// Whose a block in use is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Named {
    /// The stack's with this name.
    Stack(u32),
    /// A stack's that was not shown to the agent yet.
    New,
    /// It was allocated before the process was forked.
    Inherited,
}

/// Sampled blocks in use, of one size and one stack, in parts of objects and bytes
/// ([`PARTS`](super::PARTS)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InUse {
    /// Whose they are.
    pub stack: Named,
    /// Objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Allocations are sampled while it lives. There is one in a process.
#[derive(Debug)]
pub struct Heap {
    memory: &'static Memory,
    rate: u64,
}

impl Heap {
    /// Names that stacks can have; a larger one stands for this one.
    pub const MAX_NAME: u32 = (1 << 30) - 1;

    /// Sampled blocks that can be known to be in use: those of 64 GiB at 512 KiB a sample.
    pub const MAX_BLOCKS: usize = live::MAX_BLOCKS;

    /// The name of the blocks that a forked child has from its parent.
    const INHERITED: u32 = Self::MAX_NAME + 1;

    /// Begins to sample one in `rate` bytes on average; every block for a rate of 1. What was
    /// allocated before is not known, except in a forked child, which goes on with what its parent
    /// had sampled.
    ///
    /// Blocks have stacks while a [`Sampler`](crate::Sampler) runs.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(rate: u64) -> Result<Self, StartError> {
        let memory = MEMORY.make().map_err(StartError::Memory)?;
        if RUNNING.swap(true, Ordering::AcqRel) {
            return Err(StartError::AlreadyRunning);
        }
        let heap = Self { memory, rate: rate.clamp(1, 1 << 40) };
        let held = memory.lock.enter_patiently().ok_or(StartError::Busy)?;
        if FORKED.swap(false, Ordering::AcqRel) {
            memory.tables.batches.clear(&held);
            memory.tables.live.forget_unfinished();
            memory.tables.live.renumber(|_| Some(NAMED | Self::INHERITED));
        } else {
            memory.clear(&held);
        }
        let seed = arch::ticks() ^ (current_tid() as u64) << 32;
        let (state, random) = next_random(seed);
        memory.random.store(state, Ordering::Relaxed);
        countdown::start(heap.rate);
        countdown::set(distance(heap.rate, random));
        drop(held);
        Ok(heap)
    }

    /// Bytes between two samples, on average.
    pub fn rate(&self) -> u64 {
        self.rate
    }

    /// Shows every stack that has allocated since the last call to `name`, with how much, and
    /// keeps the name that it answers for the blocks that stay in use.
    ///
    /// Frames mean what they mean in samples taken now: to be called before the modules or the
    /// numbers of code objects change. Returns `false`, without a call of `name`, when a thread
    /// that takes a sample does not go on.
    pub fn name_stacks(&mut self, mut name: impl FnMut(&Allocations<'_>) -> u32) -> bool {
        let memory = self.memory;
        let Some((batch_number, batch)) = memory.tables.batches.turn(&memory.lock) else {
            return false;
        };
        if batch.is_empty() {
            return true;
        }
        batch.name_each(|stack| name(stack).min(Self::MAX_NAME));
        let of_batch = unnamed(batch_number, 0);
        memory.tables.live.renumber(|stack| {
            let own = stack & (NAMED | BATCH) == of_batch;
            if own { batch.name(stack & !BATCH).map(|name| name | NAMED) } else { None }
        });
        batch.clear();
        true
    }

    /// Whether it is time to call [`Heap::name_stacks`].
    pub fn stacks_fill(&self) -> bool {
        self.memory.tables.batches.is_half_full()
    }

    /// The sampled blocks in use, each for itself, while threads go on.
    pub fn in_use(&self) -> impl Iterator<Item = InUse> {
        self.memory.tables.live.blocks().map(|block| {
            let weight = weigh(block.size, self.rate);
            let stack = match block.stack & !NAMED {
                _ if block.stack & NAMED == 0 => Named::New,
                Self::INHERITED => Named::Inherited,
                name => Named::Stack(name),
            };
            InUse { stack, objects: weight.objects, bytes: weight.bytes }
        })
    }

    /// The counters.
    pub fn counters(&self) -> HeapCounters {
        let counts = &self.memory.counts;
        HeapCounters {
            samples: counts.samples.load(Ordering::Relaxed),
            untracked: counts.untracked.load(Ordering::Relaxed),
            stackless: counts.stackless.load(Ordering::Relaxed),
            contended: counts.contended.load(Ordering::Relaxed),
            ticks: counts.ticks.load(Ordering::Relaxed),
        }
    }

    /// Something that is another one when blocks were allocated since it was last asked for.
    pub fn beat(&self) -> (u64, i64) {
        (self.memory.counts.samples.load(Ordering::Relaxed), countdown::left())
    }
}

impl Drop for Heap {
    /// Stops sampling and forgets all blocks. The host's allocator may go on calling.
    fn drop(&mut self) {
        countdown::stop();
        if let Some(held) = self.memory.lock.enter_patiently() {
            countdown::stop();
            self.memory.clear(&held);
        }
        RUNNING.store(false, Ordering::Release);
    }
}

/// In a forked child: no samples until it starts its own agent. Frees go on being noticed, so that
/// what it has from its parent stays right. Async-signal-safe.
pub(crate) fn after_fork_in_child() {
    let Some(memory) = MEMORY.get() else { return };
    if RUNNING.swap(false, Ordering::AcqRel) {
        FORKED.store(true, Ordering::Release);
    }
    countdown::stop();
    memory.lock.reset();
}

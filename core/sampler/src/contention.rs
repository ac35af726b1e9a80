//! Sampled waits for locks: which stacks wait, how often and for how long.
//!
//! A runtime asks [`is_due`] on the thread that has waited, in ordinary code, and then calls
//! [`sample`]. Long waits are always sampled, short ones rarely, so that sums are right on average and
//! threads that wait all the time cost as little as those that do not: a sample costs a walk of the
//! stack under a lock that nobody waits for. Nothing here allocates.
//!
//! [`Contention`] is the agent's side.

use crate::arch;
use crate::heap::{Allocations, Batches, Held, Lock, Mapped, NO_ROOM, Refusal, StartError};
use crate::heap::{distance, next_random, weigh};
use crate::process::current_tid;
use crate::slot::Tally;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

// SAFETY: all zero is valid.
static MEMORY: Mapped<Memory> = unsafe { Mapped::new() };

/// Nanoseconds between two samples, on average; 0 while none are taken.
static RATE: AtomicU64 = AtomicU64::new(0);

static RUNNING: AtomicBool = AtomicBool::new(false);

/// All zero is valid and empty.
#[repr(C)]
struct Memory {
    lock: Lock,
    random: AtomicU64,
    samples: AtomicU64,
    stackless: AtomicU64,
    contended: AtomicU64,
    ticks: AtomicU64,
    batches: Batches,
}

/// Counters since the process' first start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContentionCounters {
    /// Waits sampled.
    pub samples: u64,
    /// Of these, those whose stack found no room.
    pub stackless: u64,
    /// Waits that were to be sampled while another thread took a sample, and were not.
    pub contended: u64,
    /// Time spent taking samples, in ticks of [`crate::ticks`].
    pub ticks: u64,
}

impl Memory {
    fn draw(&self) -> u64 {
        let (state, random) = next_random(self.random.load(Ordering::Relaxed));
        // Two threads at once may draw the same: no harm.
        self.random.store(state, Ordering::Relaxed);
        random
    }
}

/// Whether waits are sampled.
#[inline(always)]
pub fn is_on() -> bool {
    RATE.load(Ordering::Relaxed) != 0
}

/// Whether a wait for a lock, of so many nanoseconds, is to be [sampled](sample).
#[must_use = "a sample that is due must be taken"]
pub fn is_due(nanos: u64) -> bool {
    let rate = RATE.load(Ordering::Relaxed);
    let Some(memory) = MEMORY.get().filter(|_| rate != 0) else { return false };
    distance(rate, memory.draw()) < i64::try_from(nanos).unwrap_or(i64::MAX)
}

/// Takes the sample that [is due](is_due) of the calling thread, which has waited.
pub fn sample(nanos: u64) {
    let rate = RATE.load(Ordering::Relaxed);
    let Some(memory) = MEMORY.get().filter(|_| rate != 0) else { return };
    let started = arch::ticks();
    match memory.lock.enter() {
        Ok(mut held) => {
            take(memory, &mut held, nanos, rate);
            Tally::add(&memory.ticks, arch::ticks().wrapping_sub(started));
        }
        // The walk waits for no lock.
        Err(Refusal::Nested) => {}
        Err(Refusal::Taken) => _ = memory.contended.fetch_add(1, Ordering::Relaxed),
    }
}

fn take(memory: &Memory, held: &mut Held<'_>, nanos: u64, rate: u64) {
    let Some((_, stack)) = memory.batches.take(held, weigh(nanos, rate)) else { return };
    Tally::add(&memory.samples, 1);
    Tally::add(&memory.stackless, u64::from(stack == NO_ROOM));
}

/// Waits are sampled while it lives. There is one in a process.
#[derive(Debug)]
pub struct Contention {
    rate: u64,
}

impl Contention {
    /// Begins to sample one in `rate` nanoseconds of waiting, on average; each wait for a rate of 1.
    /// Waits have stacks while a [`Sampler`](crate::Sampler) runs.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(rate: u64) -> Result<Self, StartError> {
        let memory = MEMORY.make().map_err(StartError::Memory)?;
        if RUNNING.swap(true, Ordering::AcqRel) {
            return Err(StartError::AlreadyRunning);
        }
        let contention = Self { rate: rate.clamp(1, 1 << 40) };
        let held = memory.lock.enter_patiently().ok_or(StartError::Busy)?;
        memory.batches.clear(&held);
        memory.random.store(arch::ticks() ^ (current_tid() as u64) << 32, Ordering::Relaxed);
        drop(held);
        RATE.store(contention.rate, Ordering::Release);
        Ok(contention)
    }

    /// Nanoseconds between two samples, on average.
    pub fn rate(&self) -> u64 {
        self.rate
    }

    /// Shows every stack that has waited since the last call, with how often (objects) and for how
    /// long (bytes) in parts of one ([`PARTS`](crate::heap::PARTS)).
    ///
    /// Frames mean what they mean in samples taken now. Returns `false`, without a call of `see`, when
    /// a thread that takes a sample does not go on.
    pub fn take_stacks(&mut self, mut see: impl FnMut(&Allocations<'_>)) -> bool {
        let Some(memory) = MEMORY.get() else { return true };
        let Some((_, batch)) = memory.batches.turn(&memory.lock) else { return false };
        if !batch.is_empty() {
            batch.name_each(|stack| {
                see(stack);
                0
            });
            batch.clear();
        }
        true
    }

    /// Whether it is time to call [`Contention::take_stacks`].
    pub fn stacks_fill(&self) -> bool {
        MEMORY.get().is_some_and(|memory| memory.batches.is_half_full())
    }

    /// The counters.
    pub fn counters(&self) -> ContentionCounters {
        let Some(memory) = MEMORY.get() else { return ContentionCounters::default() };
        ContentionCounters {
            samples: memory.samples.load(Ordering::Relaxed),
            stackless: memory.stackless.load(Ordering::Relaxed),
            contended: memory.contended.load(Ordering::Relaxed),
            ticks: memory.ticks.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Contention {
    fn drop(&mut self) {
        RATE.store(0, Ordering::Release);
        RUNNING.store(false, Ordering::Release);
    }
}

/// In a forked child: no samples until it starts its own agent. Async-signal-safe.
pub(crate) fn after_fork_in_child() {
    RATE.store(0, Ordering::Release);
    RUNNING.store(false, Ordering::Release);
    if let Some(memory) = MEMORY.get() {
        memory.lock.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap::PARTS;

    #[test]
    fn sums_of_sampled_waits_are_right_whatever_their_length() {
        const RATE: u64 = 100_000;
        let _sampler = crate::heap::tests::sampler();
        let waited = |nanos| {
            if is_due(nanos) {
                sample(nanos);
            }
        };
        waited(u64::MAX);
        let mut contention = Contention::start(RATE).unwrap();
        assert_eq!(Contention::start(RATE).err(), Some(StartError::AlreadyRunning));
        for (nanos, count) in [(1_000, 100_000), (1_000_000, 200)] {
            (0..count).for_each(|_| waited(nanos));
            let (mut waits, mut sum) = (0, 0);
            assert!(contention.take_stacks(|stack| {
                waits += stack.objects;
                sum += stack.bytes;
            }));
            let (waits, sum) = ((waits / PARTS) as f64, (sum / PARTS) as f64);
            assert!((waits / f64::from(count) - 1.0).abs() < 0.2, "{waits} of {count}");
            assert!((sum / (f64::from(count) * nanos as f64) - 1.0).abs() < 0.2, "{sum}");
        }
        let samples = contention.counters().samples;
        assert!((1_000..1_500).contains(&samples), "{samples}: one in a hundred of the short ones");
        drop(contention);
        waited(u64::MAX);
        let mut contention = Contention::start(RATE).unwrap();
        assert!(contention.take_stacks(|_| panic!("nothing was on")));
        assert!(!contention.stacks_fill());
    }
}

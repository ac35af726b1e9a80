//! The stacks that allocated since the agent last looked, each stored once, and how much.
//!
//! There are two batches. Threads write into the current one, under the lock; the agent makes the
//! other one current, and then has the first for itself. So the numbers that frames have, of
//! modules and of code objects, are read while they mean what they meant.

use super::exponential::Weight;
use crate::labels::Labels;
use crate::sample::End;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Distinct stacks; what is beyond is counted under [`NO_ROOM`].
const MAX_STACKS: usize = 16_384;

/// Words of all their frames: 64 each.
const MAX_WORDS: usize = 1 << 20;

/// Entries of the index, a power of two; it is at most half full.
const INDEX: usize = 2 * MAX_STACKS;

/// The number of the stack without frames that stands for all which found no room.
pub(crate) const NO_ROOM: u32 = 0;

/// The longest stack: as many native frames as Python frames, and a word that says there were more.
pub(crate) const MAX_FRAMES: usize = 2 * 512 + 2;

/// One stack. All zero is one without frames.
#[derive(Debug)]
#[repr(C)]
struct Head {
    hash: AtomicU64,
    /// Where its words are, and how many.
    start: AtomicU32,
    len: AtomicU32,
    /// An [`End`].
    end: AtomicU32,
    label_set: AtomicU32,
    /// What the agent calls it.
    name: AtomicU32,
    objects: AtomicU64,
    bytes: AtomicU64,
}

/// All zero is an empty batch.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Batch {
    /// Stacks beside [`NO_ROOM`].
    stacks: AtomicU32,
    words: AtomicU32,
    /// Numbers of stacks; 0 is a free entry.
    index: [AtomicU32; INDEX],
    heads: [Head; MAX_STACKS],
    frames: [AtomicU64; MAX_WORDS],
}

/// A stack to be stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken<'a> {
    pub(crate) frames: &'a [u64],
    pub(crate) end: End,
    pub(crate) label_set: u32,
}

/// A stack that has allocated, and how much, in parts ([`PARTS`](super::PARTS)) of objects and
/// bytes.
#[derive(Clone, Copy, Debug)]
pub struct Allocations<'a> {
    /// Frame words as in samples: native ones leaf first, then Python's. Empty for all stacks
    /// together that found no room.
    pub frames: &'a [u64],
    /// Why the walk over native frames stopped.
    pub end: End,
    /// The labels that were current, without a span.
    pub labels: Labels,
    /// Objects allocated.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What only the thread that holds the lock does.
impl Batch {
    /// The number of a stack.
    pub(crate) fn intern(&self, taken: Taken<'_>) -> u32 {
        let hash = hash(taken);
        for step in 0..INDEX {
            let at = (hash as usize).wrapping_add(step) & INDEX.wrapping_sub(1);
            let Some(entry) = self.index.get(at) else { break };
            let number = entry.load(Ordering::Relaxed);
            if number == NO_ROOM {
                let added = self.add(taken, hash);
                entry.store(added, Ordering::Relaxed);
                return added;
            }
            if self.heads.get(number as usize).is_some_and(|head| self.is(head, hash, taken)) {
                return number;
            }
        }
        NO_ROOM
    }

    fn is(&self, head: &Head, hash: u64, taken: Taken<'_>) -> bool {
        head.hash.load(Ordering::Relaxed) == hash
            && head.label_set.load(Ordering::Relaxed) == taken.label_set
            && head.end.load(Ordering::Relaxed) == taken.end as u32
            && self
                .words(head)
                .map(|word| word.load(Ordering::Relaxed))
                .eq(taken.frames.iter().copied())
    }

    fn words(&self, head: &Head) -> impl Iterator<Item = &AtomicU64> {
        let start = head.start.load(Ordering::Relaxed) as usize;
        let len = head.len.load(Ordering::Relaxed) as usize;
        self.frames.iter().skip(start).take(len)
    }

    fn add(&self, taken: Taken<'_>, hash: u64) -> u32 {
        let number = self.stacks.load(Ordering::Relaxed).wrapping_add(1);
        let start = self.words.load(Ordering::Relaxed);
        let Some(head) = self.heads.get(number as usize) else { return NO_ROOM };
        let room = self.frames.get(start as usize..).unwrap_or(&[]);
        let Some(room) = room.get(..taken.frames.len()) else { return NO_ROOM };
        for (place, word) in room.iter().zip(taken.frames) {
            place.store(*word, Ordering::Relaxed);
        }
        let len = taken.frames.len() as u32;
        head.hash.store(hash, Ordering::Relaxed);
        head.start.store(start, Ordering::Relaxed);
        head.len.store(len, Ordering::Relaxed);
        head.end.store(taken.end as u32, Ordering::Relaxed);
        head.label_set.store(taken.label_set, Ordering::Relaxed);
        self.words.store(start.wrapping_add(len), Ordering::Relaxed);
        self.stacks.store(number, Ordering::Relaxed);
        number
    }

    /// Adds to what a stack has allocated.
    pub(crate) fn count(&self, stack: u32, weight: Weight) {
        if let Some(head) = self.heads.get(stack as usize) {
            add(&head.objects, weight.objects);
            add(&head.bytes, weight.bytes);
        }
    }

    /// Whether it is time for the agent to look.
    pub(crate) fn is_half_full(&self) -> bool {
        self.stacks.load(Ordering::Relaxed) as usize > MAX_STACKS / 2
            || self.words.load(Ordering::Relaxed) as usize > MAX_WORDS / 2
    }
}

/// What only the agent does, with a batch that is not current.
impl Batch {
    /// Shows each stack that has allocated to `name` and keeps what it answers.
    pub(crate) fn name_each(&self, mut name: impl FnMut(&Allocations<'_>) -> u32) {
        let mut frames = [0u64; MAX_FRAMES];
        let stacks = (self.stacks.load(Ordering::Relaxed) as usize).wrapping_add(1);
        for head in self.heads.iter().take(stacks) {
            let objects = head.objects.load(Ordering::Relaxed);
            if objects == 0 {
                continue;
            }
            let mut len = 0usize;
            for (place, word) in frames.iter_mut().zip(self.words(head)) {
                *place = word.load(Ordering::Relaxed);
                len = len.wrapping_add(1);
            }
            let set = head.label_set.load(Ordering::Relaxed);
            let allocations = Allocations {
                frames: frames.get(..len).unwrap_or(&[]),
                end: End::from_u8(head.end.load(Ordering::Relaxed) as u8),
                labels: Labels { set, ..Labels::NONE },
                objects,
                bytes: head.bytes.load(Ordering::Relaxed),
            };
            head.name.store(name(&allocations), Ordering::Relaxed);
        }
    }

    /// What [`Batch::name_each`] was answered for a stack.
    pub(crate) fn name(&self, stack: u32) -> Option<u32> {
        self.heads.get(stack as usize).map(|head| head.name.load(Ordering::Relaxed))
    }

    /// Whether nothing was allocated.
    pub(crate) fn is_empty(&self) -> bool {
        let nowhere = self.heads.first().map_or(0, |head| head.objects.load(Ordering::Relaxed));
        self.stacks.load(Ordering::Relaxed) == 0 && nowhere == 0
    }

    /// Empties the batch.
    pub(crate) fn clear(&self) {
        let stacks = (self.stacks.load(Ordering::Relaxed) as usize).wrapping_add(1);
        for head in self.heads.iter().take(stacks) {
            head.objects.store(0, Ordering::Relaxed);
            head.bytes.store(0, Ordering::Relaxed);
        }
        self.index.iter().for_each(|entry| entry.store(NO_ROOM, Ordering::Relaxed));
        self.words.store(0, Ordering::Relaxed);
        self.stacks.store(0, Ordering::Relaxed);
    }
}

fn add(total: &AtomicU64, more: u64) {
    total.store(total.load(Ordering::Relaxed).saturating_add(more), Ordering::Relaxed);
}

/// Mixes by the fraction of the golden ratio, as in Knuth's multiplicative hashing.
fn hash(taken: Taken<'_>) -> u64 {
    let mix =
        |hash: u64, word: u64| (hash.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let start = mix(u64::from(taken.label_set), taken.end as u64);
    let hash = taken.frames.iter().fold(start, |hash, word| mix(hash, *word));
    hash ^ hash >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(frames: &[u64], label_set: u32) -> Taken<'_> {
        Taken { frames, end: End::Root, label_set }
    }

    const ONE: Weight = Weight { objects: 1, bytes: 10 };

    fn seen(batch: &Batch) -> Vec<(Vec<u64>, u32, u64, u64)> {
        let mut seen = Vec::new();
        batch.name_each(|it| {
            seen.push((it.frames.to_vec(), it.labels.set, it.objects, it.bytes));
            seen.len() as u32
        });
        seen
    }

    #[test]
    fn a_stack_under_a_label_set_is_stored_once_and_adds_up() {
        let batch: Box<Batch> = super::super::zeroed();
        assert!(batch.is_empty());
        for _ in 0..3 {
            for stack in [taken(&[1, 2], 0), taken(&[1, 2, 3], 0), taken(&[1, 2], 7)] {
                batch.count(batch.intern(stack), ONE);
            }
        }
        let all = [(vec![1, 2], 0, 3, 30), (vec![1, 2, 3], 0, 3, 30), (vec![1, 2], 7, 3, 30)];
        assert_eq!(seen(&batch), all);
        assert_eq!(batch.name(batch.intern(taken(&[1, 2], 7))), Some(3));
        assert!(!batch.is_empty());
        batch.clear();
        assert!(batch.is_empty());
        assert_eq!(seen(&batch), []);
    }

    #[test]
    fn what_finds_no_room_is_counted_together() {
        let batch: Box<Batch> = super::super::zeroed();
        let all = MAX_STACKS as u64 + 100;
        for n in 0..all {
            batch.count(batch.intern(taken(&[n], 0)), ONE);
        }
        let seen = seen(&batch);
        assert_eq!(seen.len(), MAX_STACKS, "one of them is for the others");
        assert_eq!(seen[0], (vec![], 0, 101, 1010));
        assert_eq!(seen.iter().map(|it| it.2).sum::<u64>(), all);
        assert!(batch.is_half_full());
        batch.clear();
        assert_ne!(batch.intern(taken(&[all], 0)), NO_ROOM);
    }

    #[test]
    fn long_stacks_fill_the_room_for_words() {
        let batch: Box<Batch> = super::super::zeroed();
        let fits = MAX_WORDS / MAX_FRAMES;
        for n in 0..fits + 5 {
            let mut frames = [n as u64; MAX_FRAMES];
            frames[MAX_FRAMES - 1] = 1;
            batch.count(batch.intern(taken(&frames, 0)), ONE);
        }
        let seen = seen(&batch);
        assert_eq!((seen[0].2, seen.len()), (5, fits + 1));
        assert!(seen[1..].iter().all(|it| it.0.len() == MAX_FRAMES));
    }
}

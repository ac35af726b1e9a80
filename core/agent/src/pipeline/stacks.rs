//! Adds up raw samples: equal stacks under equal labels and the same span, on threads of equal name,
//! become one.
//!
//! Works on addresses as the handler saw them; they are given meaning when the table is settled,
//! which happens at every flush and before the module list changes.

use hashbrown::{DefaultHashBuilder, HashTable};
use sondage_sampler::{End, Labels, RawSample};
use std::hash::BuildHasher;

/// Names a thread name of the profile being collected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ThreadNameId(pub u32);

/// What one distinct stack has collected.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    start: u32,
    len: u32,
    /// The label set and the span.
    pub labels: Labels,
    /// The thread's name.
    pub thread: ThreadNameId,
    /// Why the walk stopped.
    pub end: End,
    /// Samples.
    pub samples: u64,
    /// Periods of CPU time.
    pub weight: u64,
    /// Waiting time charged to the stack, in nanoseconds.
    pub waited: u64,
}

/// The table of distinct stacks, bounded in entries and words.
#[derive(Debug)]
pub struct Stacks {
    hasher: DefaultHashBuilder,
    index: HashTable<u32>,
    entries: Vec<Entry>,
    words: Vec<u64>,
    max_entries: usize,
    max_words: usize,
    /// Periods of samples that found no room.
    pub overflow_weight: u64,
    /// Waiting time that found no room, in nanoseconds.
    pub overflow_waited: u64,
    /// Periods of samples that were added without their span.
    pub spanless_weight: u64,
}

impl Stacks {
    /// A table of at most `max_entries` stacks of 64 frames on average.
    pub fn new(max_entries: usize) -> Self {
        Self {
            hasher: DefaultHashBuilder::default(),
            index: HashTable::new(),
            entries: Vec::new(),
            words: Vec::new(),
            max_entries,
            max_words: max_entries.saturating_mul(64),
            overflow_weight: 0,
            overflow_waited: 0,
            spanless_weight: 0,
        }
    }

    /// Adds a sample and returns its entry's number; `None` if it went into the overflow.
    ///
    /// Each span makes stacks of its own. When only a quarter of the room is left, samples are
    /// added without theirs: better to know what ran and not for whom than neither.
    pub fn add(&mut self, sample: &RawSample<'_>, thread: ThreadNameId) -> Option<u32> {
        let weight = u64::from(sample.weight);
        let mut number = self.entry(sample, thread);
        let labels = sample.labels.without_span();
        if number.is_none() && labels != sample.labels {
            number = self.entry(&RawSample { labels, ..*sample }, thread);
            self.spanless_weight += number.map_or(0, |_| weight);
        }
        let Some(number) = number else {
            self.overflow_weight += weight;
            return None;
        };
        let entry = &mut self.entries[number as usize];
        entry.samples += 1;
        entry.weight += weight;
        Some(number)
    }

    /// The entry of a stack in which a thread was seen waiting, not sampled: nothing is added.
    pub fn waiting(&mut self, sample: &RawSample<'_>, thread: ThreadNameId) -> Option<u32> {
        self.entry(sample, thread)
    }

    /// Charges waiting time to an entry, or to the overflow.
    pub fn add_waited(&mut self, entry: Option<u32>, nanos: u64) {
        match entry.and_then(|number| self.entries.get_mut(number as usize)) {
            Some(entry) => entry.waited += nanos,
            None => self.overflow_waited += nanos,
        }
    }

    /// Finds or makes the entry of a stack.
    fn entry(&mut self, sample: &RawSample<'_>, thread: ThreadNameId) -> Option<u32> {
        let hash = self.hasher.hash_one((sample.frames, sample.labels, thread));
        let (entries, words) = (&self.entries, &self.words);
        let same = |number: &u32| {
            let entry = &entries[*number as usize];
            entry.labels == sample.labels
                && entry.thread == thread
                && frames_of(words, entry) == sample.frames
        };
        if let Some(number) = self.index.find(hash, same) {
            return Some(*number);
        }
        let has_span = sample.labels != sample.labels.without_span();
        if self.entries.len() >= room(self.max_entries, has_span)
            || self.words.len() + sample.frames.len() > room(self.max_words, has_span)
        {
            return None;
        }
        let number = self.entries.len() as u32;
        self.entries.push(Entry {
            start: self.words.len() as u32,
            len: sample.frames.len() as u32,
            labels: sample.labels,
            thread,
            end: sample.end,
            samples: 0,
            weight: 0,
            waited: 0,
        });
        self.words.extend_from_slice(sample.frames);
        let (entries, words, hasher) = (&self.entries, &self.words, &self.hasher);
        self.index.insert_unique(hash, number, |other| {
            let entry = &entries[*other as usize];
            hasher.hash_one((frames_of(words, entry), entry.labels, entry.thread))
        });
        Some(number)
    }

    /// The entries with their frames, leaf first.
    pub fn iter(&self) -> impl Iterator<Item = (&Entry, &[u64])> {
        self.entries.iter().map(|entry| (entry, frames_of(&self.words, entry)))
    }

    /// Forgets all entries and keeps the memory.
    pub fn clear(&mut self) {
        self.index.clear();
        self.entries.clear();
        self.words.clear();
        self.overflow_weight = 0;
        self.overflow_waited = 0;
        self.spanless_weight = 0;
    }
}

/// How much of a table's room a stack may use: a quarter is kept for those without a span.
pub(super) fn room(max: usize, has_span: bool) -> usize {
    if has_span { max - max / 4 } else { max }
}

fn frames_of<'w>(words: &'w [u64], entry: &Entry) -> &'w [u64] {
    let start = entry.start as usize;
    &words[start..start + entry.len as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use sondage_sampler::Source;

    fn sample(frames: &[u64], set: u32, weight: u32) -> RawSample<'_> {
        let labels = Labels { set, ..Labels::NONE };
        RawSample { weight, labels, end: End::Root, source: Source::Timer, tid: None, frames }
    }

    #[test]
    fn equal_stacks_add_up_and_different_labels_or_threads_keep_apart() {
        let mut stacks = Stacks::new(100);
        let main = ThreadNameId(0);
        let first = stacks.add(&sample(&[1, 2, 3], 0, 2), main);
        assert_eq!(stacks.add(&sample(&[1, 2, 3], 0, 3), main), first);
        assert_ne!(stacks.add(&sample(&[1, 2, 3], 1, 1), main), first);
        assert_ne!(stacks.add(&sample(&[1, 2, 3], 0, 1), ThreadNameId(1)), first);
        assert_ne!(stacks.add(&sample(&[1, 2], 0, 1), main), first);
        let (entry, frames) = stacks.iter().next().unwrap();
        assert_eq!((entry.samples, entry.weight, frames), (2, 5, &[1, 2, 3][..]));
        assert_eq!(stacks.iter().count(), 4);
    }

    #[test]
    fn stacks_of_different_spans_and_traces_keep_apart() {
        let mut stacks = Stacks::new(100);
        let ids = [(0, 0), (7, 0), (8, 0), (7, 1), (7, 1 << 64), (0, 1)];
        for _ in 0..2 {
            for (span, trace) in ids {
                let labels = Labels { set: 3, span, trace };
                stacks.add(&RawSample { labels, ..sample(&[1, 2], 0, 1) }, ThreadNameId(0));
            }
        }
        let seen = stacks.iter().map(|(entry, _)| {
            (entry.labels.set, entry.labels.span, entry.labels.trace, entry.weight)
        });
        assert_eq!(seen.collect::<Vec<_>>(), ids.map(|(span, trace)| (3, span, trace, 2)));
    }

    #[test]
    fn spans_give_way_before_stacks_are_lost() {
        let mut stacks = Stacks::new(100);
        let (main, total) = (ThreadNameId(0), 400);
        for number in 0..total {
            let labels = Labels { set: 1, span: number + 1, trace: 0 };
            stacks.add(&RawSample { labels, ..sample(&[number % 20], 0, 1) }, main);
        }
        let all: Vec<_> = stacks.iter().map(|(entry, _)| (entry.labels, entry.weight)).collect();
        let weight: u64 = all.iter().map(|(_, weight)| weight).sum();
        assert_eq!((all.len(), weight, stacks.overflow_weight), (95, total, 0));
        let without = all.iter().filter(|(labels, _)| labels.span == 0);
        assert_eq!(without.map(|(_, weight)| weight).sum::<u64>(), stacks.spanless_weight);
        assert_eq!(stacks.spanless_weight, total - 75);
    }

    #[test]
    fn a_full_table_counts_what_it_cannot_hold_and_still_adds_to_what_it_has() {
        let mut stacks = Stacks::new(2);
        for frame in 0..10 {
            stacks.add(&sample(&[frame], 0, 3), ThreadNameId(0));
        }
        stacks.add(&sample(&[1], 0, 5), ThreadNameId(0));
        let kept: u64 = stacks.iter().map(|(entry, _)| entry.weight).sum();
        assert_eq!((kept, stacks.overflow_weight), (11, 24));
    }
}

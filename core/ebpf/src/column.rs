//! One append-only array inside a BPF map.

use crate::error::{Error, ErrorKind};
use crate::sys::SharedWords;
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;

/// An array of 32-bit words in a map, filled from the front. What was written is never changed:
/// a program that reads an old range keeps reading what it was told.
#[derive(Debug)]
pub(crate) struct Column {
    name: &'static str,
    memory: SharedWords,
    used: usize,
}

impl Column {
    pub(crate) fn new(name: &'static str, memory: SharedWords) -> Self {
        Self { name, memory, used: 0 }
    }

    /// Words that may still be appended.
    pub(crate) fn free(&self) -> usize {
        self.memory.words().len() - self.used
    }

    /// Appends words and tells where they lie.
    ///
    /// # Errors
    /// [`ErrorKind::Full`]; nothing was written.
    pub(crate) fn append(
        &mut self,
        words: impl ExactSizeIterator<Item = u32>,
    ) -> Result<Range<usize>, Error> {
        let count = words.len();
        if count > self.free() {
            let (name, free) = (self.name, self.free());
            let message = format!("no room for {count} words of unwind {name}: {free} are free");
            return Err(Error::new(ErrorKind::Full, message));
        }
        let range = self.used..self.used + count;
        let slots = self.memory.words().get(range.clone()).unwrap_or_default();
        for (slot, word) in slots.iter().zip(words) {
            slot.store(word, Relaxed);
        }
        self.used = range.end;
        Ok(range)
    }

    /// Whether `range` holds exactly these words.
    pub(crate) fn holds(&self, range: &Range<usize>, words: impl Iterator<Item = u32>) -> bool {
        let slots = self.memory.words().get(range.clone()).unwrap_or_default();
        slots.iter().map(|slot| slot.load(Relaxed)).eq(words)
    }
}

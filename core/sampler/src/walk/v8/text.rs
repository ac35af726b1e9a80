//! V8's strings: where the characters are.

use super::heap::Heap;
use crate::memory::MemoryReader;

/// A run of characters outside of our memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Characters {
    pub(crate) start: u64,
    pub(crate) count: u32,
    /// Bytes of one: 1 (Latin-1) or 2 (UTF-16).
    pub(crate) width: u8,
    /// Whether they lie outside of V8's heap, where they stay.
    pub(crate) outside: bool,
}

impl Characters {
    /// Bytes of all of them.
    pub(crate) fn bytes(&self) -> usize {
        (self.count as usize).saturating_mul(usize::from(self.width))
    }

    /// At most so many characters of the run.
    pub(crate) fn up_to(self, count: u32) -> Self {
        Self { count: self.count.min(count), ..self }
    }
}

/// Strings that stand for others are followed this far.
const MAX_STEPS: usize = 8;

/// A text in one or two runs: two where V8 has put it together of two and not yet copied them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) runs: [Characters; 2],
}

impl Text {
    /// How many characters there are.
    pub(crate) fn count(&self) -> u32 {
        self.runs.iter().fold(0, |sum, run| sum.saturating_add(run.count))
    }
}

impl<M: MemoryReader> Heap<'_, M> {
    /// Whether an object is a string.
    #[inline(always)]
    pub(crate) fn is_string(&mut self, object: u64) -> bool {
        self.type_of(object).is_some_and(|found| found < self.layout.first_nonstring)
    }

    /// How many characters a string has.
    #[inline(always)]
    pub(crate) fn length(&mut self, string: u64) -> Option<u32> {
        self.half(string, self.layout.string_length)
    }

    /// Where the characters of a string are; `None` if it is none, or put together of more than two
    /// parts.
    pub(crate) fn text(&mut self, string: u64) -> Option<Text> {
        if let Some(run) = self.characters(string) {
            return Some(Text { runs: [run, Characters::default()] });
        }
        let shape = self.type_of(string)? & self.layout.string_shape_mask;
        if shape != self.layout.string_cons {
            return None;
        }
        let first = self.object(string, self.layout.string_data)?;
        let second = self.object(string, self.layout.string_second)?;
        Some(Text { runs: [self.characters(first)?, self.characters(second)?] })
    }

    /// Where the characters of a string are, if they are in one piece.
    pub(crate) fn characters(&mut self, string: u64) -> Option<Characters> {
        let layout = self.layout;
        let (mut string, mut skipped, mut wanted) = (string, 0u32, None);
        for _ in 0..MAX_STEPS {
            let found = self.type_of(string)?;
            if found >= layout.first_nonstring {
                return None;
            }
            let length = self.length(string)?;
            let count = wanted.unwrap_or(length);
            let shape = found & layout.string_shape_mask;
            let one_byte = found & layout.string_encoding_mask == layout.string_one_byte;
            let width = if one_byte { 1 } else { 2 };
            let outside = shape == layout.string_external;
            if shape == layout.string_sequential || outside {
                let start = match outside {
                    true => self.word(string, layout.string_second)?,
                    false => string.wrapping_add(u64::from(layout.string_data)),
                };
                if skipped.checked_add(count)? > length || start == 0 {
                    return None;
                }
                let start = start.wrapping_add(u64::from(skipped).wrapping_mul(u64::from(width)));
                return Some(Characters { start, count, width, outside });
            }
            if shape == layout.string_sliced {
                let offset = self.small(string, layout.string_second)?;
                skipped = skipped.checked_add(u32::try_from(offset).ok()?)?;
            } else if shape == layout.string_cons {
                // One whose second half is empty is as good as its first.
                let second = self.object(string, layout.string_second)?;
                if self.length(second)? != 0 {
                    return None;
                }
            } else if shape != layout.string_thin {
                return None;
            }
            wanted = Some(count);
            string = self.object(string, layout.string_data)?;
        }
        None
    }

    /// The first characters of a string, up to 8 bytes of them, and its length: tells most names
    /// apart.
    #[inline(always)]
    pub(crate) fn beginning(&mut self, string: u64) -> u64 {
        let Some(text) = self.text(string) else { return 0 };
        let [first, _] = text.runs;
        let word = self.memory.word(first.start & !7).unwrap_or(0);
        let skipped = (first.start & 7) as u32;
        let bytes = (first.bytes().min(8) as u32).min(8u32.wrapping_sub(skipped));
        let word = word >> skipped.wrapping_mul(8);
        let kept = match bytes {
            8 => u64::MAX,
            bytes => (1u64 << bytes.wrapping_mul(8)).wrapping_sub(1),
        };
        (word & kept) ^ u64::from(text.count()).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

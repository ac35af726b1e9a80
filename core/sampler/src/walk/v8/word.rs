//! A frame of V8 as one word of a sample.
//!
//! ```text
//! bits 0–27   the number of what it runs (see `Interner`), or one of those below
//! bits 28–54  where in that: a bytecode offset, or an offset of machine code; all ones: nowhere
//! bits 56–63  the kind, 2
//! ```

const KIND: u64 = 2;
const KIND_SHIFT: u32 = 56;
const OFFSET_SHIFT: u32 = 28;
const NOWHERE: u32 = (1 << 27) - 1;
const NUMBER_MASK: u64 = (1 << OFFSET_SHIFT) - 1;
const LOST: u32 = NUMBER_MASK as u32;
const GARBAGE_COLLECTOR: u32 = LOST - 1;
const REGEXP: u32 = LOST - 2;

/// What one word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum V8Frame {
    /// A frame of JavaScript.
    Code {
        /// The number by which the sampler knows the code; see [`Definition`](super::Definition).
        code: u32,
        /// Where it is, in the way of that definition; `None` if that is not known.
        offset: Option<u32>,
    },
    /// A frame that could not be read, or whose code found no room.
    Lost,
    /// Garbage is collected; the frames before it are those of the collector.
    GarbageCollector,
    /// A compiled regular expression.
    Regexp,
}

impl V8Frame {
    /// The numbers of code are below this.
    pub const MAX_CODES: u32 = REGEXP;

    /// The word.
    #[inline(always)]
    pub fn to_word(self) -> u64 {
        let (number, offset) = match self {
            Self::Code { code, offset } => (code, offset.map_or(NOWHERE, |at| at.min(NOWHERE))),
            Self::Lost => (LOST, NOWHERE),
            Self::GarbageCollector => (GARBAGE_COLLECTOR, NOWHERE),
            Self::Regexp => (REGEXP, NOWHERE),
        };
        KIND << KIND_SHIFT | u64::from(offset) << OFFSET_SHIFT | u64::from(number) & NUMBER_MASK
    }

    /// What a word says; `None` for a word of another kind.
    pub fn from_word(word: u64) -> Option<Self> {
        if word >> KIND_SHIFT != KIND {
            return None;
        }
        let offset = (word >> OFFSET_SHIFT) as u32 & NOWHERE;
        Some(match (word & NUMBER_MASK) as u32 {
            LOST => Self::Lost,
            GARBAGE_COLLECTOR => Self::GarbageCollector,
            REGEXP => Self::Regexp,
            code => Self::Code { code, offset: (offset != NOWHERE).then_some(offset) },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_reads_back_from_its_word() {
        let frames = [
            V8Frame::Lost,
            V8Frame::GarbageCollector,
            V8Frame::Regexp,
            V8Frame::Code { code: 0, offset: None },
            V8Frame::Code { code: V8Frame::MAX_CODES - 1, offset: Some(0) },
            V8Frame::Code { code: 7, offset: Some(NOWHERE - 1) },
        ];
        for frame in frames {
            assert_eq!(V8Frame::from_word(frame.to_word()), Some(frame));
        }
        assert_eq!(V8Frame::from_word(0x7fff_1234_5678), None, "a native address");
        assert_eq!(V8Frame::from_word(1 << KIND_SHIFT), None);
    }
}

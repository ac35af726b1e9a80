//! A Python frame as one word of a sample.
//!
//! ```text
//! bits 0–27   the code object's number (see `Interner`), or one of those below
//! bits 28–54  the instruction, in code units of two bytes
//! bit  55     the evaluation function was entered from C for this frame
//! bits 56–63  the kind, 1
//! ```

/// The kind of frame that the top byte of a word names.
const KIND: u64 = 1;
const KIND_SHIFT: u32 = 56;
const ENTRY: u64 = 1 << 55;
const UNIT_SHIFT: u32 = 28;
const MAX_UNIT: u32 = (1 << 27) - 1;
const CODE_MASK: u64 = (1 << UNIT_SHIFT) - 1;
const UNREADABLE: u32 = CODE_MASK as u32;
const TRUNCATED: u32 = UNREADABLE - 1;
const WAITS_FOR_GIL: u32 = UNREADABLE - 2;

/// What one word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PythonFrame {
    /// A frame of a code object.
    Code {
        /// The number by which the sampler knows the code object.
        code: u32,
        /// The instruction, in code units of two bytes from the start of the code.
        unit: u32,
        /// Whether this is the first frame of a call of the evaluation function: what called it
        /// is C, or nothing. The frames before it, back to the last such, ran in the same call.
        entry: bool,
    },
    /// Frames that could not be read, or whose code found no room.
    Unreadable,
    /// Frames beyond the limit on depth.
    Truncated,
    /// No frame: before the first one, it says that this waits for the interpreter's lock.
    WaitsForGil,
}

impl PythonFrame {
    /// The numbers of code objects are below this.
    pub const MAX_CODES: u32 = WAITS_FOR_GIL;

    /// The word.
    #[inline(always)]
    pub fn to_word(self) -> u64 {
        let (code, unit, entry) = match self {
            Self::Code { code, unit, entry } => (code, unit.min(MAX_UNIT), entry),
            Self::Unreadable => (UNREADABLE, 0, true),
            Self::Truncated => (TRUNCATED, 0, true),
            Self::WaitsForGil => (WAITS_FOR_GIL, 0, false),
        };
        let entry = if entry { ENTRY } else { 0 };
        KIND << KIND_SHIFT | entry | u64::from(unit) << UNIT_SHIFT | u64::from(code) & CODE_MASK
    }

    /// What a word says; `None` for a word of another kind.
    pub fn from_word(word: u64) -> Option<Self> {
        if word >> KIND_SHIFT != KIND {
            return None;
        }
        Some(match (word & CODE_MASK) as u32 {
            UNREADABLE => Self::Unreadable,
            TRUNCATED => Self::Truncated,
            WAITS_FOR_GIL => Self::WaitsForGil,
            code => Self::Code {
                code,
                unit: (word >> UNIT_SHIFT) as u32 & MAX_UNIT,
                entry: word & ENTRY != 0,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_reads_back_from_its_word() {
        let frames = [
            PythonFrame::Unreadable,
            PythonFrame::Truncated,
            PythonFrame::WaitsForGil,
            PythonFrame::Code { code: 0, unit: 0, entry: false },
            PythonFrame::Code { code: PythonFrame::MAX_CODES - 1, unit: MAX_UNIT, entry: true },
            PythonFrame::Code { code: 7, unit: 1, entry: true },
        ];
        for frame in frames {
            assert_eq!(PythonFrame::from_word(frame.to_word()), Some(frame));
        }
        assert_eq!(PythonFrame::from_word(0x7fff_1234_5678), None, "a native address");
        assert_eq!(PythonFrame::from_word(2 << KIND_SHIFT), None);
    }

    #[test]
    fn an_instruction_too_far_for_the_word_becomes_the_last_one() {
        let far = PythonFrame::Code { code: 1, unit: u32::MAX, entry: false };
        let last = PythonFrame::Code { code: 1, unit: MAX_UNIT, entry: false };
        assert_eq!(PythonFrame::from_word(far.to_word()), Some(last));
    }
}

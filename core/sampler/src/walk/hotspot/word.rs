//! A frame of HotSpot as one word of a sample.
//!
//! ```text
//! bits 0–27   the number of what it runs (see `Interner`), or all ones
//! bits 28–44  where in its bytecode, and one more; 0: nowhere
//! bits 45–47  what runs it
//! bits 56–63  the kind, 3
//! ```

const KIND: u64 = 3;
const KIND_SHIFT: u32 = 56;
const PLACE_SHIFT: u32 = 28;
const PLACE_MASK: u32 = (1 << 17) - 1;
const TIER_SHIFT: u32 = 45;
const NUMBER_MASK: u64 = (1 << PLACE_SHIFT) - 1;
const LOST: u32 = NUMBER_MASK as u32;

/// What runs a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Tier {
    /// The interpreter.
    Interpreter = 0,
    /// Code of C1.
    C1 = 1,
    /// Code of C2.
    C2 = 2,
    /// It was put into the code of its caller.
    Inlined = 3,
    /// A method in another language, called by code made for that.
    Native = 4,
}

/// What one word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HotspotFrame {
    /// A method.
    Method {
        /// The number by which the sampler knows it; see [`Definition`](super::Definition).
        number: u32,
        /// The bytecode instruction; `None` if that is not known.
        place: Option<u16>,
        /// What runs it.
        tier: Tier,
    },
    /// A frame that could not be read, or whose method found no room.
    Lost,
}

impl HotspotFrame {
    /// The numbers are below this.
    pub const MAX_NUMBERS: u32 = LOST;

    /// The word.
    #[inline(always)]
    pub fn to_word(self) -> u64 {
        let (number, place, tier) = match self {
            Self::Method { number, place, tier } => {
                (number, place.map_or(0, |place| u32::from(place).wrapping_add(1)), tier)
            }
            Self::Lost => (LOST, 0, Tier::Interpreter),
        };
        KIND << KIND_SHIFT
            | u64::from(tier as u8) << TIER_SHIFT
            | u64::from(place) << PLACE_SHIFT
            | u64::from(number) & NUMBER_MASK
    }

    /// What a word says; `None` for a word of another kind.
    pub fn from_word(word: u64) -> Option<Self> {
        if word >> KIND_SHIFT != KIND {
            return None;
        }
        let number = (word & NUMBER_MASK) as u32;
        if number == LOST {
            return Some(Self::Lost);
        }
        let place = (word >> PLACE_SHIFT) as u32 & PLACE_MASK;
        let place = place.checked_sub(1).map(|place| place as u16);
        let tier = match word >> TIER_SHIFT & 7 {
            0 => Tier::Interpreter,
            1 => Tier::C1,
            2 => Tier::C2,
            3 => Tier::Inlined,
            _ => Tier::Native,
        };
        Some(Self::Method { number, place, tier })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_reads_back_from_its_word() {
        let tiers = [Tier::Interpreter, Tier::C1, Tier::C2, Tier::Inlined, Tier::Native];
        let places = [None, Some(0), Some(65_535)];
        for tier in tiers {
            for place in places {
                let number = HotspotFrame::MAX_NUMBERS - 1;
                let frame = HotspotFrame::Method { number, place, tier };
                assert_eq!(HotspotFrame::from_word(frame.to_word()), Some(frame));
            }
        }
        let lost = HotspotFrame::Lost;
        assert_eq!(HotspotFrame::from_word(lost.to_word()), Some(lost));
        assert_eq!(HotspotFrame::from_word(0x7fff_1234_5678), None, "a native address");
        assert_eq!(HotspotFrame::from_word(2 << KIND_SHIFT), None);
    }
}

//! What is copied of V8's objects on first sight: all that names and lines need.
//!
//! The garbage collector moves and frees objects a moment after the sample, so everything is copied
//! in the handler, as V8 keeps it, and decoded on the agent thread. Definitions name each other by
//! their numbers.
//!
//! ```text
//! word 0   bits 0–7 which, then
//! script   bits 8–15 and 16–23 bytes of one character of the two parts of the name, 24–31 of the
//!          source, 32 whether that lies outside of V8's heap
//!          word 1 id, characters of the source; word 2 bytes of the two parts of the name;
//!          word 3 where the source lies if outside; word 4 hash of some of its characters
//!          then the name
//! function bits 8–23 as above; word 1 the script or ones, 0; word 2 as above; word 3 where it begins
//!          and ends in the source; then the name
//! bytecode word 1 the function, bytes of its positions; word 2 bytes of instructions, 0; then the
//!          positions
//! baseline word 1 the bytecode, bytes of the offsets; word 2 bytes of the instructions; then both
//! optimised bits 8–15 which compiler; word 1 the function, bytes of the positions; word 2 bytes of the
//!          inlining positions, number of inlined functions; word 3 bytes of machine code, 0; then
//!          these three
//! ```

use crate::interner::mix;

const SCRIPT: u8 = 1;
const FUNCTION: u8 = 2;
const BYTECODE: u8 = 3;
const BASELINE: u8 = 4;
const OPTIMIZED: u8 = 5;

/// Stands for the script of a function that has none.
pub(crate) const NO_SCRIPT: u32 = u32::MAX;

/// Stands for an inlined function that could not be read.
pub(crate) const NO_FUNCTION: u32 = u32::MAX;

/// Characters of which one in so many goes into a script's hash: at most so many.
pub const HASHED_CHARACTERS: u32 = 32;

/// A text as V8 stores it, in two parts, of which the second is mostly empty. Each is Latin-1 (1
/// byte a character) or UTF-16 (2) in native byte order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts<'a> {
    /// Bytes of one character, and the characters.
    pub parts: [(u8, &'a [u8]); 2],
}

/// Where the characters of a script are, and what they are recognised by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Characters, as UTF-16 counts them.
    pub count: u32,
    /// Bytes of one: 1 (Latin-1), 2 (UTF-16), or 0 where the source could not be found.
    pub width: u8,
    /// Where it lies, if that is outside of V8's heap: there it stays as long as the script does.
    pub outside: Option<u64>,
    /// See [`source_hash`].
    pub hash: u64,
}

/// Which compiler made optimised code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Tier {
    /// Maglev.
    Maglev = 0,
    /// TurboFan, or a later one.
    Turbofan = 1,
}

/// The copy of one of V8's objects; borrows from where it was copied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Definition<'a> {
    /// A script.
    Script {
        /// Its name: a path, a URL, or what `eval` was told.
        name: Parts<'a>,
        /// Its number in its isolate.
        id: u32,
        /// Its source.
        source: Source,
    },
    /// A function, with the positions of its bytecode unknown.
    Function {
        /// Its name; empty for one without.
        name: Parts<'a>,
        /// The number of its script; `None` for one of V8's own.
        script: Option<u32>,
        /// Where it begins and ends in the source, in characters; `None` if unknown.
        range: Option<(u32, u32)>,
    },
    /// The bytecode of a function: a frame's offset is one of bytecode.
    Bytecode {
        /// The number of the function.
        function: u32,
        /// Bytes of instructions.
        length: u32,
        /// From bytecode offsets to positions in the source.
        positions: &'a [u8],
    },
    /// What Sparkplug made of bytecode: a frame's offset is one of machine code.
    Baseline {
        /// The number of the bytecode.
        bytecode: u32,
        /// Bytes of machine code of each bytecode instruction.
        offsets: &'a [u8],
        /// The bytecode instructions.
        instructions: &'a [u8],
    },
    /// Optimised code: a frame's offset is one of machine code.
    Optimized {
        /// The number of the function.
        function: u32,
        /// Which compiler made it.
        tier: Tier,
        /// Bytes of machine code.
        size: u32,
        /// From offsets of machine code to positions in the source.
        positions: &'a [u8],
        /// Where functions were inlined: 16 bytes each.
        inlining: &'a [u8],
        /// The numbers of the functions that were inlined, 4 bytes each in native order; all ones
        /// for one that could not be read.
        inlined: &'a [u8],
    },
}

/// Lengths of a text of two parts: bytes of one character and of all.
pub(crate) type Widths = [(u8, u32); 2];

/// The header of a definition, to be followed by its runs.
pub(crate) fn script_header(name: Widths, id: u32, source: Source) -> [u64; 5] {
    let outside = u64::from(source.outside.is_some());
    [
        u64::from(SCRIPT) | widths(name) | u64::from(source.width) << 24 | outside << 32,
        u64::from(id) | u64::from(source.count) << 32,
        lengths(name),
        source.outside.unwrap_or(0),
        source.hash,
    ]
}

/// As [`script_header`].
pub(crate) fn function_header(name: Widths, script: u32, range: Option<(u32, u32)>) -> [u64; 4] {
    let (start, end) = range.unwrap_or((u32::MAX, u32::MAX));
    [
        u64::from(FUNCTION) | widths(name),
        u64::from(script),
        lengths(name),
        u64::from(start) | u64::from(end) << 32,
    ]
}

/// As [`script_header`].
pub(crate) fn bytecode_header(function: u32, length: u32, positions: u32) -> [u64; 3] {
    let second = u64::from(function) | u64::from(positions) << 32;
    [u64::from(BYTECODE), second, u64::from(length)]
}

/// As [`script_header`].
pub(crate) fn baseline_header(bytecode: u32, offsets: u32, instructions: u32) -> [u64; 3] {
    let second = u64::from(bytecode) | u64::from(offsets) << 32;
    [u64::from(BASELINE), second, u64::from(instructions)]
}

/// As [`script_header`].
pub(crate) fn optimized_header(
    (tier, size): (Tier, u32),
    function: u32,
    positions: u32,
    (inlining, inlined): (u32, u32),
) -> [u64; 4] {
    [
        u64::from(OPTIMIZED) | u64::from(tier as u8) << 8,
        u64::from(function) | u64::from(positions) << 32,
        u64::from(inlining) | u64::from(inlined) << 32,
        u64::from(size),
    ]
}

fn widths([first, second]: Widths) -> u64 {
    u64::from(first.0) << 8 | u64::from(second.0) << 16
}

fn lengths([first, second]: Widths) -> u64 {
    u64::from(first.1) | u64::from(second.1) << 32
}

/// A hash of at most [`HASHED_CHARACTERS`] characters spread over a source of `count`; `None` if
/// `character` does not know one of them.
pub fn source_hash(count: u32, mut character: impl FnMut(u32) -> Option<u16>) -> Option<u64> {
    let mut hash = u64::from(count);
    let step = (count / HASHED_CHARACTERS).max(1);
    let mut at = 0u32;
    while at < count {
        hash = mix(hash ^ u64::from(character(at)?));
        at = at.saturating_add(step);
    }
    Some(hash)
}

/// What is left to read of a definition.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn word(&mut self) -> Option<u64> {
        let (word, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_ne_bytes(*word))
    }

    fn halves(&mut self) -> Option<(u32, u32)> {
        self.word().map(|word| (word as u32, (word >> 32) as u32))
    }

    fn bytes(&mut self, count: u32) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count as usize)?;
        self.0 = rest;
        Some(bytes)
    }

    fn parts(&mut self, first: u64, (one, two): (u32, u32)) -> Option<Parts<'a>> {
        let parts =
            [((first >> 8) as u8, self.bytes(one)?), ((first >> 16) as u8, self.bytes(two)?)];
        Some(Parts { parts })
    }
}

impl<'a> Definition<'a> {
    /// Reads a definition; `None` if it is not one.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = Rest(bytes);
        let first = rest.word()?;
        match first as u8 {
            SCRIPT => Self::script(first, rest),
            FUNCTION => Self::function(first, rest),
            BYTECODE => {
                let (function, positions) = rest.halves()?;
                let (length, _) = rest.halves()?;
                Some(Self::Bytecode { function, length, positions: rest.bytes(positions)? })
            }
            BASELINE => {
                let (bytecode, offsets) = rest.halves()?;
                let (instructions, _) = rest.halves()?;
                Some(Self::Baseline {
                    bytecode,
                    offsets: rest.bytes(offsets)?,
                    instructions: rest.bytes(instructions)?,
                })
            }
            OPTIMIZED => {
                let (function, positions) = rest.halves()?;
                let (inlining, inlined) = rest.halves()?;
                let (size, _) = rest.halves()?;
                Some(Self::Optimized {
                    function,
                    tier: if (first >> 8) as u8 == 0 { Tier::Maglev } else { Tier::Turbofan },
                    size,
                    positions: rest.bytes(positions)?,
                    inlining: rest.bytes(inlining)?,
                    inlined: rest.bytes(inlined.checked_mul(4)?)?,
                })
            }
            _ => None,
        }
    }

    fn script(first: u64, mut rest: Rest<'a>) -> Option<Self> {
        let (id, count) = rest.halves()?;
        let lengths = rest.halves()?;
        let start = rest.word()?;
        let hash = rest.word()?;
        let outside = (first >> 32 & 1 != 0).then_some(start);
        let source = Source { count, width: (first >> 24) as u8, outside, hash };
        Some(Self::Script { name: rest.parts(first, lengths)?, id, source })
    }

    fn function(first: u64, mut rest: Rest<'a>) -> Option<Self> {
        let (script, _) = rest.halves()?;
        let lengths = rest.halves()?;
        let range = rest.halves()?;
        Some(Self::Function {
            name: rest.parts(first, lengths)?,
            script: (script != NO_SCRIPT).then_some(script),
            range: (range != (u32::MAX, u32::MAX)).then_some(range),
        })
    }
}

//! What is copied of a method on first sight: all that its name and its lines need.
//!
//! A class may be unloaded a moment after the sample, so everything is copied in the handler, as
//! HotSpot keeps it, and decoded on the agent thread.
//!
//! ```text
//! word 0   bits 0–15 bytes of the class' name, 16–31 of the method's, 32–47 of the signature,
//!          48–63 of the source file's name
//! word 1   bits 0–31 bytes of the table of lines, 32–47 bytes of bytecode, 48–55 what compressed
//!          numbers in the table exclude
//! then     these five
//! ```

/// The copy of a method; borrows from where it was copied to. Names are in Java's UTF-8, in which
/// NUL has two bytes and what is beyond 16 bits is two surrogates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Definition<'a> {
    /// The class, with slashes: `java/lang/String`.
    pub class: &'a [u8],
    /// The method.
    pub method: &'a [u8],
    /// Its signature.
    pub signature: &'a [u8],
    /// The source file, without a folder; empty if unknown.
    pub file: &'a [u8],
    /// Bytes of bytecode.
    pub code_size: u16,
    /// The compressed table of lines, up to the 0 at its end; empty without one.
    pub lines: &'a [u8],
    /// What compressed numbers in it exclude.
    pub excluded: u8,
}

/// Lengths of what follows the header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lengths {
    pub(super) texts: [u16; 4],
    pub(super) lines: u32,
}

impl Lengths {
    /// All bytes of a definition.
    pub(super) fn bytes(self) -> usize {
        let texts =
            self.texts.iter().fold(0usize, |sum, text| sum.saturating_add(usize::from(*text)));
        texts.saturating_add(self.lines as usize).saturating_add(16)
    }

    /// The header.
    pub(super) fn header(self, code_size: u16, excluded: u16) -> [u64; 2] {
        let [class, method, signature, file] = self.texts.map(u64::from);
        let first = class | method << 16 | signature << 32 | file << 48;
        let second = u64::from(self.lines) | u64::from(code_size) << 32 | u64::from(excluded) << 48;
        [first, second]
    }
}

impl<'a> Definition<'a> {
    /// Reads a copy; `None` if it is none.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (first, rest) = bytes.split_first_chunk::<8>()?;
        let (second, mut rest) = rest.split_first_chunk::<8>()?;
        let (first, second) = (u64::from_ne_bytes(*first), u64::from_ne_bytes(*second));
        let mut take = |length: u64| {
            let (taken, left) = rest.split_at_checked(length as usize)?;
            rest = left;
            Some(taken)
        };
        Some(Self {
            class: take(first & 0xffff)?,
            method: take(first >> 16 & 0xffff)?,
            signature: take(first >> 32 & 0xffff)?,
            file: take(first >> 48)?,
            lines: take(second & 0xffff_ffff)?,
            code_size: (second >> 32) as u16,
            excluded: (second >> 48) as u8,
        })
    }
}

//! The header of `.gopclntab`: where its parts lie.

use gimli::Reader as _;

use crate::resolve::paged::Reader;

/// More functions than any program has; kubelet has 150,000.
const MAX_FUNCTIONS: u64 = 1 << 24;

/// Bytes of the longest header.
const SIZE: u64 = 72;

/// What differs between the layouts, by the magic number they begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    /// Go 1.16 and 1.17: addresses as they are.
    Go116,
    /// Go 1.18 and 1.19: offsets from the start of the code.
    Go118,
    /// Go 1.20 and later: functions have the line that they start at.
    Go120,
}

impl Version {
    fn of(magic: u32) -> Option<Self> {
        match magic {
            0xffff_fffa => Some(Self::Go116),
            0xffff_fff0 => Some(Self::Go118),
            0xffff_fff1 => Some(Self::Go120),
            _ => None,
        }
    }
}

/// The header; offsets are from its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(super) version: Version,
    pub(super) functions: u64,
    /// Bytes of the shortest instruction, which lengths of code are counted in.
    pub(super) quantum: u8,
    /// Where the code starts, which functions are relative to. 0 where the header does not tell:
    /// before Go 1.18, from Go 1.26 on, and where the linker left it to the loader.
    pub(super) text: u64,
    /// Names of functions, each with a NUL behind it.
    pub(super) names: u64,
    /// For each compilation unit, its files' offsets in `files`.
    pub(super) units: u64,
    pub(super) files: u64,
    /// Values by instruction.
    pub(super) values: u64,
    /// The functions' addresses, and what is known of each.
    pub(super) table: u64,
}

impl Header {
    /// Reads the header that `reader` begins with; `None` where it is none, or not of a 64-bit
    /// little-endian program.
    pub(super) fn read(reader: &Reader<'_>) -> Option<Self> {
        let size = reader.len() as u64;
        let mut reader = reader.clone();
        let version = Version::of(reader.read_u32().ok()?)?;
        let [zero, pad, quantum, pointer] = reader.read_u32().ok()?.to_le_bytes();
        if (zero, pad, pointer) != (0, 0, 8) || !matches!(quantum, 1 | 4) {
            return None;
        }
        let mut word = || reader.read_u64().ok();
        let (functions, _files) = (word()?, word()?);
        let text = if version == Version::Go116 { 0 } else { word()? };
        let header = Self {
            version,
            functions,
            quantum,
            text,
            names: word()?,
            units: word()?,
            files: word()?,
            values: word()?,
            table: word()?,
        };
        let ascend = [SIZE - 8, header.names, header.units, header.files, header.values];
        let ascend = ascend.into_iter().chain([header.table, size]).is_sorted();
        (ascend && (1..=MAX_FUNCTIONS).contains(&functions)).then_some(header)
    }
}

//! What is copied of a code object on first sight: name, file, first line and line table.
//!
//! The object itself may be gone a moment after the sample, so all that names and lines need is
//! copied while the running frame keeps it alive. Texts are copied as CPython stores them (PEP 393)
//! and decoded on the agent thread.
//!
//! ```text
//! word 0   bits 0–31 first line (signed), bits 32–39 LineTable, 40–47 and 48–55 bytes of one
//!          character of the name and of the file
//! word 1   bits 0–31 bytes of the name, 32–63 bytes of the file
//! word 2   bytes of the line table
//! then     name, file, line table, without padding
//! ```

/// Bytes before the texts.
const HEADER_BYTES: usize = 24;

/// How a line table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum LineTable {
    /// `co_lnotab` of 3.9 and earlier: byte and line steps.
    Lnotab = 0,
    /// `co_linetable` of 3.10 (PEP 626): byte and line steps with ranges without a line.
    Ranges = 1,
    /// `co_linetable` of 3.11 and later (PEP 657): locations by code unit.
    Locations = 2,
}

/// A text as CPython stores it: Latin-1, UCS-2 or UCS-4 in native byte order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Text<'a> {
    /// Bytes of one character: 1, 2 or 4; 0 for a text that could not be read.
    pub char_bytes: u8,
    /// The characters.
    pub bytes: &'a [u8],
}

/// The copy of a code object; borrows from where it was copied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeDefinition<'a> {
    /// The line of the `def` or of the first decorator.
    pub first_line: i32,
    /// How `line_table` is written.
    pub format: LineTable,
    /// The qualified name from 3.11 on, the name before.
    pub name: Text<'a>,
    /// The file, as the compiler was told.
    pub file: Text<'a>,
    /// From instructions to lines.
    pub line_table: &'a [u8],
}

/// Lengths and kinds of what a definition holds: its header.
#[derive(Clone, Copy, Debug)]
pub struct CodeShape {
    /// See [`CodeDefinition::first_line`].
    pub first_line: i32,
    /// See [`CodeDefinition::format`].
    pub format: LineTable,
    /// Bytes of one character of the name, and bytes of all of them.
    pub name: (u8, u32),
    /// The same of the file.
    pub file: (u8, u32),
    /// Bytes of the line table.
    pub line_table: u32,
}

impl CodeShape {
    /// The words of the header.
    pub fn header(self) -> [u64; HEADER_BYTES / 8] {
        let kinds = u64::from(self.format as u8) << 32
            | u64::from(self.name.0) << 40
            | u64::from(self.file.0) << 48;
        [
            u64::from(self.first_line as u32) | kinds,
            u64::from(self.name.1) | u64::from(self.file.1) << 32,
            u64::from(self.line_table),
        ]
    }

    /// Bytes of the whole definition.
    pub fn bytes(self) -> usize {
        HEADER_BYTES
            .saturating_add(self.name.1 as usize)
            .saturating_add(self.file.1 as usize)
            .saturating_add(self.line_table as usize)
    }
}

impl<'a> CodeDefinition<'a> {
    /// Reads a definition; `None` if it is not one.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (kinds, rest) = bytes.split_first_chunk::<8>()?;
        let (lengths, rest) = rest.split_first_chunk::<8>()?;
        let (table_length, rest) = rest.split_first_chunk::<8>()?;
        let (kinds, lengths) = (u64::from_ne_bytes(*kinds), u64::from_ne_bytes(*lengths));
        let (name, rest) = rest.split_at_checked(lengths as u32 as usize)?;
        let (file, rest) = rest.split_at_checked((lengths >> 32) as usize)?;
        let table_length = usize::try_from(u64::from_ne_bytes(*table_length)).ok()?;
        let format = match (kinds >> 32) as u8 {
            0 => LineTable::Lnotab,
            1 => LineTable::Ranges,
            2 => LineTable::Locations,
            _ => return None,
        };
        Some(Self {
            first_line: kinds as i32,
            format,
            name: Text { char_bytes: (kinds >> 40) as u8, bytes: name },
            file: Text { char_bytes: (kinds >> 48) as u8, bytes: file },
            line_table: rest.get(..table_length)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> Vec<u8> {
        let shape = CodeShape {
            first_line: -3,
            format: LineTable::Locations,
            name: (1, 4),
            file: (2, 6),
            line_table: 5,
        };
        let header = shape.header();
        let mut bytes: Vec<u8> = header.iter().flat_map(|word| word.to_ne_bytes()).collect();
        bytes.extend(b"main");
        bytes.extend([1, 0, 2, 0, 3, 0]);
        bytes.extend(b"table");
        assert_eq!(bytes.len(), shape.bytes());
        bytes
    }

    #[test]
    fn a_definition_reads_back_and_not_when_a_byte_is_missing() {
        let bytes = written();
        let definition = CodeDefinition::parse(&bytes).unwrap();
        assert_eq!((definition.first_line, definition.format), (-3, LineTable::Locations));
        assert_eq!(definition.name, Text { char_bytes: 1, bytes: b"main" });
        assert_eq!(definition.file, Text { char_bytes: 2, bytes: &[1, 0, 2, 0, 3, 0] });
        assert_eq!(definition.line_table, b"table");
        for cut in 0..bytes.len() {
            assert_eq!(CodeDefinition::parse(&bytes[..cut]), None);
        }
    }

    #[test]
    fn an_unknown_kind_of_line_table_is_refused() {
        let mut bytes = written();
        bytes[4] = 3;
        assert_eq!(CodeDefinition::parse(&bytes), None);
    }
}

//! From instructions to lines, in the three ways that CPython has written it down.
//!
//! `Objects/lnotab_notes.txt` (to 3.10) and `InternalDocs/code_objects.md` (from 3.11) of CPython's
//! sources describe them.

use std::ops::Range;

use sondage_sampler::walk::python::{CodeDefinition, LineTable};

/// Bytes of a code unit, in which instructions are numbered.
const UNIT: u32 = 2;

/// "No line" in 3.10's table, which has one byte for a step.
const NO_LINE: i8 = -128;

/// The first byte of an entry of 3.11's table has its highest bit set, no other byte has.
const ENTRY_START: u8 = 0x80;

/// Instructions of one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineRange {
    /// Where they are, in bytes from the start of the code. An instruction of 3.6 and later starts
    /// at an even one.
    pub bytes: Range<u32>,
    /// Their line; `None` for instructions that the compiler added and gave none.
    pub line: Option<i32>,
}

/// The ranges of a table in order. Ends with the table: the last range of a table of 3.9 and
/// earlier has no end and goes to `u32::MAX`.
#[derive(Clone, Debug)]
pub struct LineRanges<'a> {
    format: LineTable,
    rest: &'a [u8],
    at: u32,
    line: i32,
    ended: bool,
}

impl<'a> LineRanges<'a> {
    /// The ranges of a code object whose first line is `first_line`.
    pub fn new(first_line: i32, format: LineTable, table: &'a [u8]) -> Self {
        Self { format, rest: table, at: 0, line: first_line, ended: false }
    }

    /// A pair of a step over bytes and one over lines.
    fn pair(&mut self) -> Option<(u32, i8)> {
        let (&[bytes, lines], rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some((u32::from(bytes), lines.cast_signed()))
    }

    fn range(&mut self, length: u32, line: Option<i32>) -> LineRange {
        let start = self.at;
        self.at = start.saturating_add(length);
        LineRange { bytes: start..self.at, line }
    }

    /// The step over lines comes after the bytes before it.
    fn next_lnotab(&mut self) -> Option<LineRange> {
        let line = self.line;
        let Some((bytes, lines)) = self.pair() else {
            let last = LineRange { bytes: self.at..u32::MAX, line: Some(line) };
            return (!std::mem::replace(&mut self.ended, true)).then_some(last);
        };
        self.line = line.wrapping_add(i32::from(lines));
        Some(self.range(bytes, Some(line)))
    }

    /// The step over lines comes before the bytes of the same pair.
    fn next_range(&mut self) -> Option<LineRange> {
        let (bytes, lines) = self.pair()?;
        if lines == NO_LINE {
            return Some(self.range(bytes, None));
        }
        self.line = self.line.wrapping_add(i32::from(lines));
        Some(self.range(bytes, Some(self.line)))
    }

    /// An entry: kind and length in its first byte, then a step over lines for some kinds. The
    /// columns after it are not read.
    fn next_location(&mut self) -> Option<LineRange> {
        let (&first, rest) = self.rest.split_first()?;
        let length = rest.iter().take_while(|byte| **byte & ENTRY_START == 0).count();
        let (body, rest) = rest.split_at(length);
        self.rest = rest;
        let units = u32::from(first & 7) + 1;
        let step = match first >> 3 & 15 {
            15 => return Some(self.range(units * UNIT, None)),
            // The long form, and the one without columns.
            13 | 14 => signed(variable(body)),
            kind @ 10..=12 => i32::from(kind) - 10,
            _ => 0,
        };
        self.line = self.line.wrapping_add(step);
        Some(self.range(units * UNIT, Some(self.line)))
    }
}

impl Iterator for LineRanges<'_> {
    type Item = LineRange;

    fn next(&mut self) -> Option<LineRange> {
        match self.format {
            LineTable::Lnotab => self.next_lnotab(),
            LineTable::Ranges => self.next_range(),
            LineTable::Locations => self.next_location(),
        }
    }
}

/// The number at the start of `bytes`: six bits a byte, lowest first, bit 6 set where more follow.
fn variable(bytes: &[u8]) -> u32 {
    let mut number = 0u32;
    for (index, byte) in bytes.iter().enumerate().take(6) {
        number |= u32::from(byte & 63) << (6 * index);
        if byte & 64 == 0 {
            break;
        }
    }
    number
}

/// The sign is in the lowest bit.
fn signed(number: u32) -> i32 {
    let magnitude = (number >> 1).cast_signed();
    if number & 1 == 0 { magnitude } else { -magnitude }
}

/// The line of the instruction at code unit `unit`; `None` where the code has none or the table
/// tells nothing. Reads the table from its start: microseconds for a function, more for a large
/// module's own code.
pub fn line_at(code: &CodeDefinition<'_>, unit: u32) -> Option<u32> {
    let byte = unit.checked_mul(UNIT)?;
    let mut ranges = LineRanges::new(code.first_line, code.format, code.line_table);
    let line = ranges.find(|range| range.bytes.contains(&byte))?.line?;
    u32::try_from(line).ok().filter(|line| *line > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(first: i32, format: LineTable, table: &[u8]) -> Vec<(Range<u32>, Option<i32>)> {
        LineRanges::new(first, format, table).map(|range| (range.bytes, range.line)).collect()
    }

    #[test]
    fn a_table_of_3_9_steps_over_bytes_and_then_over_lines_of_either_sign() {
        let table = [0, 1, 6, 2, 4, 0xff];
        let expected =
            vec![(0..0, Some(10)), (0..6, Some(11)), (6..10, Some(13)), (10..u32::MAX, Some(12))];
        assert_eq!(lines(10, LineTable::Lnotab, &table), expected);
        assert_eq!(lines(10, LineTable::Lnotab, &[]), [(0..u32::MAX, Some(10))]);
    }

    #[test]
    fn a_table_of_3_10_has_ranges_without_a_line() {
        let table = [4, 1, 2, 0x80, 6, 0xfe];
        let expected = vec![(0..4, Some(11)), (4..6, None), (6..12, Some(9))];
        assert_eq!(lines(10, LineTable::Ranges, &table), expected);
    }

    #[test]
    fn a_table_of_3_11_has_entries_of_many_kinds() {
        let entry = |kind: u8, units: u8| 0x80 | kind << 3 | (units - 1);
        let table = [
            vec![entry(0, 1), 0x12],
            vec![entry(12, 2), 5, 9],
            vec![entry(15, 8)],
            // 65 lines on, then 3 back.
            vec![entry(13, 1), 0x42, 0x02],
            vec![entry(14, 1), 7, 0, 1, 1],
        ];
        let expected = vec![
            (0..2, Some(10)),
            (2..6, Some(12)),
            (6..22, None),
            (22..24, Some(77)),
            (24..26, Some(74)),
        ];
        assert_eq!(lines(10, LineTable::Locations, &table.concat()), expected);
    }

    #[test]
    fn noise_gives_ranges_in_order_and_never_more_than_it_has_bytes() {
        let mut random = 1u64;
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 56) as u8
        };
        for round in 0..3_000usize {
            let table: Vec<u8> = (0..round % 300).map(|_| next()).collect();
            for format in [LineTable::Lnotab, LineTable::Ranges, LineTable::Locations] {
                let ranges = lines(i32::MAX - 5, format, &table);
                assert!(ranges.len() <= table.len() + 1);
                assert!(ranges.windows(2).all(|pair| pair[0].0.end == pair[1].0.start));
            }
        }
    }

    #[test]
    fn lines_that_are_none_are_not_shown() {
        let mut code = CodeDefinition {
            first_line: -3,
            format: LineTable::Lnotab,
            name: Default::default(),
            file: Default::default(),
            line_table: &[],
        };
        assert_eq!(line_at(&code, 0), None);
        code.first_line = 7;
        assert_eq!(line_at(&code, 0), Some(7));
        assert_eq!(line_at(&code, u32::MAX), None, "far beyond any code");
        code.format = LineTable::Ranges;
        assert_eq!(line_at(&code, 0), None, "a table that ends before the instruction");
    }
}

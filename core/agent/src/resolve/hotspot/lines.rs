//! The compressed table of lines of a method (`CompressedLineNumberReadStream`).
//!
//! Pairs of an instruction and a line, each told by how much both differ from the pair before: in
//! one byte, five bits and three, where both are small, else in two compressed numbers after 0xff.
//! A 0 ends it.

use sondage_sampler::walk::hotspot::Definition;

/// A byte that says that two numbers follow.
const ESCAPE: u8 = 0xff;

/// The lines of a method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lines {
    /// The lowest; 0 where there is none.
    pub(super) first: u32,
    /// That of the instruction that was asked for.
    pub(super) at: u32,
}

/// The lowest line of a method, and that of an instruction; 0 for what is not known.
pub(super) fn lines(method: &Definition<'_>, place: Option<u16>) -> Lines {
    let mut rest = Reader { bytes: method.lines, excluded: method.excluded };
    let mut found = Lines::default();
    let (mut instruction, mut line) = (0i32, 0i32);
    while let Some((more_instruction, more_line)) = rest.pair() {
        instruction = instruction.wrapping_add(more_instruction);
        line = line.wrapping_add(more_line);
        let Ok(number) = u32::try_from(line) else { continue };
        if found.first == 0 || number < found.first {
            found.first = number;
        }
        if place.is_some_and(|place| instruction <= i32::from(place)) {
            found.at = number;
        }
    }
    found
}

/// The line of an instruction; 0 if unknown.
pub(crate) fn line_of(method: &Definition<'_>, place: Option<u16>) -> u32 {
    lines(method, place).at
}

struct Reader<'a> {
    bytes: &'a [u8],
    excluded: u8,
}

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    /// How much the next pair differs from the one before.
    fn pair(&mut self) -> Option<(i32, i32)> {
        match self.byte()? {
            0 => None,
            ESCAPE => Some((self.signed()?, self.signed()?)),
            byte => Some((i32::from(byte >> 3), i32::from(byte & 7))),
        }
    }

    /// A signed number: its lowest bit is the sign.
    fn signed(&mut self) -> Option<i32> {
        let number = self.unsigned()?;
        Some((number >> 1) as i32 ^ -((number & 1) as i32))
    }

    /// A number of 1 to 5 bytes: one of 192 and more says that another follows, which counts 64
    /// times as much.
    fn unsigned(&mut self) -> Option<u32> {
        let mut number = 0u32;
        for shift in [0, 6, 12, 18, 24] {
            let byte = self.byte()?;
            let value = u32::from(byte).wrapping_sub(u32::from(self.excluded));
            number = number.wrapping_add(value << shift);
            if byte < 192 {
                break;
            }
        }
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method(lines: &[u8], excluded: u8) -> Definition<'_> {
        Definition {
            class: b"",
            method: b"",
            signature: b"",
            file: b"",
            code_size: 100,
            lines,
            excluded,
        }
    }

    #[test]
    fn an_instruction_has_the_line_of_the_last_pair_that_is_not_behind_it() {
        // Instruction 0: line 10; 3: 12; 8: 11, which is told in two numbers of one byte.
        let table = [ESCAPE, 1, 21, 3 << 3 | 2, ESCAPE, 11, 2, 0];
        let method = method(&table, 1);
        let at = |place| lines(&method, place).at;
        assert_eq!(
            [at(Some(0)), at(Some(2)), at(Some(3)), at(Some(8)), at(Some(99))],
            [10, 10, 12, 11, 11]
        );
        assert_eq!(lines(&method, None), Lines { first: 10, at: 0 });
    }

    #[test]
    fn larger_numbers_take_more_bytes_and_older_tables_exclude_nothing() {
        // 0, and 2 × 1000 = 192 + 64 × 28 + 16.
        let number = 2_000u32;
        let (low, high) = (192 + (number - 192) % 64, (number - 192) / 64);
        let table = [ESCAPE, 0, low as u8, high as u8, 0];
        assert_eq!(lines(&method(&table, 0), Some(5)), Lines { first: 1_000, at: 1_000 });
        let table = [ESCAPE, 1, low as u8 + 1, high as u8 + 1, 0];
        // The first byte must still be one that says that another follows.
        assert!(table[2] >= 192);
        assert_eq!(lines(&method(&table, 1), Some(5)).at, 1_000);
    }

    #[test]
    fn a_table_that_is_cut_short_or_missing_has_the_lines_before() {
        assert_eq!(lines(&method(&[], 1), Some(0)), Lines::default());
        let table = [ESCAPE, 1, 21, ESCAPE, 200];
        assert_eq!(lines(&method(&table, 1), Some(9)), Lines { first: 10, at: 10 });
    }
}

//! V8's tables of source positions: from an offset in code to a position in the source.
//!
//! Each entry is two numbers in variable-length encoding: how much further in the code, and how much
//! further in the source. A position in the source is a 64-bit number: bit 0 says that it is not one
//! of a script, bits 1–30 are the character plus one, bits 31–46 which inlined call it belongs to,
//! 0 for none (`SourcePosition` in V8's `codegen/source-position.h`).

/// A position as tables of V8 have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position(i64);

impl Position {
    /// One as it stands in a table.
    pub(super) fn from_raw(raw: i64) -> Self {
        Self(raw)
    }

    /// The character in the source, counted from 0.
    pub(super) fn character(self) -> Option<u32> {
        let number = (self.0 >> 1) as u32 & 0x3fff_ffff;
        if self.0 & 1 != 0 { None } else { number.checked_sub(1) }
    }

    /// Which of the inlined calls it is in, counted from 0.
    pub(super) fn inlined(self) -> Option<usize> {
        usize::from((self.0 >> 31) as u16).checked_sub(1)
    }
}

/// The position of what runs at `offset`: the last one that the table has up to there. `unsigned`
/// is how the way in the code is written from V8 14 on.
pub(super) fn position_at(table: &[u8], offset: u32, unsigned: bool) -> Option<Position> {
    let up_to = entries(table, unsigned).take_while(|(at, _)| *at <= i64::from(offset));
    up_to.last().map(|(_, position)| position)
}

/// The offset of the last entry.
pub(super) fn last_offset(table: &[u8], unsigned: bool) -> Option<i64> {
    entries(table, unsigned).last().map(|(at, _)| at)
}

/// Whether there is an entry for exactly this offset.
pub(super) fn has_offset(table: &[u8], offset: i64, unsigned: bool) -> bool {
    entries(table, unsigned).any(|(at, _)| at == offset)
}

/// Offsets with positions, in order, as far as the table can be read.
fn entries(table: &[u8], unsigned: bool) -> impl Iterator<Item = (i64, Position)> {
    let mut rest = table;
    // The first entry may be that of entering the function, which is before the first instruction.
    let mut at = -1i64;
    let mut position = 0i64;
    std::iter::from_fn(move || {
        let step = number(&mut rest)?;
        at = at.saturating_add(if unsigned {
            // Bit 0 tells whether a statement begins, and bit 1 is always set.
            (step >> 2) as i64
        } else {
            // The sign tells whether a statement begins, and is not a direction.
            let step = zigzag(step);
            if step >= 0 { step } else { -(step + 1) }
        });
        position = position.wrapping_add(zigzag(number(&mut rest)?));
        Some((at, Position(position)))
    })
}

/// A number of 7 bits a byte, lowest first; the highest bit of a byte says that more follow.
pub(super) fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, others) = rest.split_first()?;
        *rest = others;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn zigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(mut number: u64, table: &mut Vec<u8>) {
        while number > 0x7f {
            table.push(number as u8 | 0x80);
            number >>= 7;
        }
        table.push(number as u8);
    }

    fn signed(number: i64) -> u64 {
        ((number << 1) ^ (number >> 63)) as u64
    }

    /// A table of (offset, character, inlined call plus one, whether a statement begins).
    fn table(entries: &[(i64, i64, i64, bool)], unsigned: bool) -> Vec<u8> {
        let mut table = Vec::new();
        let (mut at, mut last) = (-1, 0);
        for (offset, character, inlined, statement) in entries {
            let step = offset - at;
            let raw = (character + 1) << 1 | inlined << 31;
            let written = match (unsigned, statement) {
                (true, statement) => (step as u64) << 2 | 2 | u64::from(*statement),
                (false, true) => signed(step),
                (false, false) => signed(-step - 1),
            };
            write(written, &mut table);
            write(signed(raw - last), &mut table);
            (at, last) = (*offset, raw);
        }
        table
    }

    #[test]
    fn a_position_holds_until_the_next_one_in_either_encoding() {
        let entries = [(0, 10, 0, true), (7, 500, 2, false), (300, 40, 1, true)];
        for unsigned in [false, true] {
            let table = table(&entries, unsigned);
            let at = |offset| {
                let found = position_at(&table, offset, unsigned).unwrap();
                (found.character(), found.inlined())
            };
            assert_eq!(at(0), (Some(10), None));
            assert_eq!(at(6), (Some(10), None));
            assert_eq!(at(7), (Some(500), Some(1)));
            assert_eq!(at(299), (Some(500), Some(1)));
            assert_eq!(at(100_000), (Some(40), Some(0)));
        }
    }

    /// As V8 14.6 wrote it for a function of ten lines, and what it says of that (`--print-bytecode`).
    #[test]
    fn a_table_of_v8_14_is_read_as_v8_prints_it() {
        let table = [
            2, 188, 2, 7, 144, 1, 11, 88, 11, 36, 10, 0, 27, 96, 10, 52, 43, 91, 22, 159, 1, 19,
            236, 2, 27, 132, 1,
        ];
        let printed = [
            (0, 114),
            (2, 136),
            (4, 145),
            (6, 145),
            (12, 169),
            (14, 182),
            (24, 159),
            (29, 119),
            (33, 210),
            (39, 243),
        ];
        for (offset, character) in printed {
            let found = position_at(&table, offset, true).unwrap();
            assert_eq!(found.character(), Some(character), "at {offset}");
        }
    }

    #[test]
    fn a_table_that_begins_later_or_is_cut_has_no_position() {
        let table = table(&[(5, 10, 0, true)], true);
        assert_eq!(position_at(&table, 4, true), None);
        assert_eq!(position_at(&table[..1], 9, true), None);
        assert_eq!(position_at(&[], 0, true), None);
        assert_eq!(position_at(&[0xff; 20], 0, true), None);
        assert_eq!(Position::from_raw(0).character(), None);
    }
}

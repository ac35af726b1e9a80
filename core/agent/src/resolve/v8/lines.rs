//! Lines of a script, as V8 counts them.

/// Where the lines of a text begin, counted in UTF-16 units as V8 counts: `\n`, `\r`, `\r\n`,
/// U+2028 and U+2029 each end a line and belong to it (V8's `String::CalculateLineEnds`). Takes
/// 4 bytes a line.
#[derive(Debug)]
pub(crate) struct LineIndex {
    /// The first unit of every line but the first, ascending.
    starts: Box<[u32]>,
    /// Units of the text.
    units: u32,
}

impl LineIndex {
    /// Reads `text` once. Only the first 4 Gi units are seen; V8's longest string has 512 Mi.
    pub(crate) fn new(text: &str) -> Self {
        if text.is_ascii() { Self::of_ascii(text.as_bytes()) } else { Self::of_units(text) }
    }

    /// The line and column, both 0-based, of the unit at `offset`: in `"a\r\nb"` the unit at 3 is
    /// at (1, 0). The end of the text has a position too; `None` beyond it.
    pub(crate) fn position(&self, offset: u32) -> Option<(u32, u32)> {
        if offset > self.units {
            return None;
        }
        let line = self.starts.partition_point(|&start| start <= offset);
        let start = line.checked_sub(1).map_or(0, |before| self.starts[before]);
        Some((u32::try_from(line).ok()?, offset - start))
    }

    fn of_ascii(text: &[u8]) -> Self {
        let text = &text[..text.len().min(u32::MAX as usize)];
        let ends = text.iter().enumerate().filter(|&(at, &byte)| match byte {
            b'\n' => true,
            b'\r' => text.get(at + 1) != Some(&b'\n'),
            _ => false,
        });
        Self { starts: ends.map(|(at, _)| at as u32 + 1).collect(), units: text.len() as u32 }
    }

    fn of_units(text: &str) -> Self {
        let mut starts = Vec::new();
        let mut units = 0_u32;
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            let Some(after) = units.checked_add(character.len_utf16() as u32) else { break };
            units = after;
            let ends = match character {
                '\n' | '\u{2028}' | '\u{2029}' => true,
                '\r' => characters.peek() != Some(&'\n'),
                _ => false,
            };
            if ends {
                starts.push(units);
            }
        }
        Self { starts: starts.into(), units }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn positions(text: &str) -> Vec<(u32, u32)> {
        let index = LineIndex::new(text);
        let units = text.encode_utf16().count() as u32;
        assert_eq!(index.position(units + 1), None);
        (0..=units).map(|offset| index.position(offset).unwrap()).collect()
    }

    #[test]
    fn every_line_terminator_of_javascript_ends_a_line() {
        assert_eq!(positions(""), [(0, 0)]);
        assert_eq!(positions("a\nb"), [(0, 0), (0, 1), (1, 0), (1, 1)]);
        assert_eq!(positions("a\rb"), [(0, 0), (0, 1), (1, 0), (1, 1)]);
        assert_eq!(positions("\r\n\n\r"), [(0, 0), (0, 1), (1, 0), (2, 0), (3, 0)]);
        assert_eq!(positions("\u{2028}\u{2029}x"), [(0, 0), (1, 0), (2, 0), (2, 1)]);
        assert_eq!(positions("\x0b\x0c\u{85}"), [(0, 0), (0, 1), (0, 2), (0, 3)]);
    }

    #[test]
    fn columns_count_utf16_units() {
        assert_eq!(positions("é🐍\nx"), [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1)]);
    }

    /// What V8 does, word by word: the ends of lines, then the first end not before the offset.
    fn as_v8(text: &str) -> Vec<(u32, u32)> {
        let units: Vec<u16> = text.encode_utf16().collect();
        let ends_line = |at: usize| match units[at] {
            0x0a | 0x2028 | 0x2029 => true,
            0x0d => units.get(at + 1) != Some(&0x0a),
            _ => false,
        };
        let mut ends: Vec<usize> = (0..units.len()).filter(|&at| ends_line(at)).collect();
        ends.push(units.len());
        let position = |offset| {
            let line = ends.iter().position(|&end| end >= offset).unwrap();
            let start = if line == 0 { 0 } else { ends[line - 1] + 1 };
            (line as u32, (offset - start) as u32)
        };
        (0..=units.len()).map(position).collect()
    }

    proptest! {
        #[test]
        fn positions_are_those_of_v8(text in "[ab\r\n\u{2028}\u{2029}é🐍]{0,40}") {
            prop_assert_eq!(positions(&text), as_v8(&text));
        }

        #[test]
        fn the_short_way_for_ascii_finds_the_same(text in "[ab\r\n]{0,40}") {
            let (short, long) = (LineIndex::of_ascii(text.as_bytes()), LineIndex::of_units(&text));
            prop_assert_eq!(short.starts, long.starts);
            prop_assert_eq!(short.units, long.units);
        }
    }
}

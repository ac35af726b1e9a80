//! The mappings of one map, decoded within bounds: base64 VLQ (ECMA-426).

use super::document::Document;
use super::document::Text;
use crate::resolve::error::ResolveError;
use crate::resolve::error::ResolveErrorKind;

/// Lines and tokens of one map together: those of some 10 MB of minified code, and 32 MiB while
/// they are in use.
pub(super) const MAX_TOKENS: usize = 2 << 20;

/// What a text takes beside its bytes.
const TEXT_BYTES: usize = 32;

/// In place of the index of a source or of a name.
const NONE: u32 = u32::MAX;

/// Where each piece of a script comes from.
#[derive(Debug)]
pub(super) struct Tokens {
    /// By line, then ascending by column.
    tokens: Vec<Raw>,
    /// Where the tokens of each line end.
    line_ends: Vec<u32>,
    sources: Box<[Box<str>]>,
    names: Box<[Box<str>]>,
}

#[derive(Clone, Copy, Debug)]
struct Raw {
    column: u32,
    source: u32,
    line: u32,
    name: u32,
}

/// Where one piece comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    /// The name of the source, as the map has it.
    pub(super) source: &'a str,
    /// 0-based.
    pub(super) line: u32,
    pub(super) name: Option<&'a str>,
}

/// How many lines and tokens a text of mappings has, at most.
pub(super) fn token_count(mappings: &str) -> usize {
    mappings.bytes().filter(|byte| matches!(byte, b',' | b';')).count() + 1
}

impl Tokens {
    /// Decodes the mappings of a map without sections.
    ///
    /// # Errors
    /// When they are not base64 VLQ, refer to sources or names that the map has not, leave the
    /// range of positions, or are more than [`MAX_TOKENS`].
    pub(super) fn decode(document: &Document<'_>) -> Result<Self, ResolveError> {
        let mappings = document.mappings.as_ref().map_or("", Text::as_str);
        let count = token_count(mappings);
        if count > MAX_TOKENS {
            let message = format!("it has {count} tokens, more than the limit of {MAX_TOKENS}");
            return Err(ResolveError::new(ResolveErrorKind::TooLarge, message));
        }
        let texts = |list: &Option<Vec<Text<'_>>>| -> Box<[Box<str>]> {
            list.iter().flatten().map(|text| text.as_str().into()).collect()
        };
        let (sources, names) = (texts(&document.sources), texts(&document.names));
        let lines = mappings.bytes().filter(|&byte| byte == b';').count() + 1;
        let mut running = Running { bounds: [sources.len(), names.len()], ..Running::default() };
        let mut tokens: Vec<Raw> = Vec::with_capacity(count);
        let mut line_ends = Vec::with_capacity(lines);
        for (number, line) in mappings.split(';').enumerate() {
            let begin = tokens.len();
            running.column = 0;
            for segment in line.split(',').filter(|segment| !segment.is_empty()) {
                let token = running.advance(segment.as_bytes());
                tokens.push(token.ok_or_else(|| {
                    let line = number + 1;
                    ResolveError::malformed(format!("its mappings are broken in line {line}"))
                })?);
            }
            if !tokens[begin..].is_sorted_by_key(|token| token.column) {
                tokens[begin..].sort_by_key(|token| token.column);
            }
            line_ends.push(tokens.len() as u32);
        }
        tokens.shrink_to_fit();
        Ok(Self { tokens, line_ends, sources, names })
    }

    /// The last token on `line` that begins at `column` or before it, both 0-based; `None` where
    /// there is none or it has no source. Of several that begin at `column` the first.
    pub(super) fn at(&self, line: u32, column: u32) -> Option<Token<'_>> {
        let line = line as usize;
        let end = *self.line_ends.get(line)?;
        let begin = line.checked_sub(1).map_or(0, |before| self.line_ends[before]);
        let tokens = &self.tokens[begin as usize..end as usize];
        let before = tokens.partition_point(|token| token.column < column);
        let token = match tokens.get(before) {
            Some(token) if token.column == column => token,
            _ => &tokens[before.checked_sub(1)?],
        };
        let source = self.sources.get(token.source as usize)?;
        let name = self.names.get(token.name as usize).filter(|name| !name.is_empty());
        Some(Token { source, line: token.line, name: name.map(|name| &**name) })
    }

    /// About what it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        let texts = self.sources.iter().chain(&self.names);
        self.tokens.capacity() * size_of::<Raw>()
            + self.line_ends.capacity() * size_of::<u32>()
            + texts.map(|text| text.len() + TEXT_BYTES).sum::<usize>()
    }
}

/// The numbers of a token count from those of the one before it.
#[derive(Default)]
struct Running {
    column: u32,
    source: u32,
    line: u32,
    source_column: u32,
    name: u32,
    /// How many sources and names there are.
    bounds: [usize; 2],
}

impl Running {
    /// The token of the next segment; `None` if it is broken.
    fn advance(&mut self, segment: &[u8]) -> Option<Raw> {
        let mut values = [0; 5];
        let count = read_values(segment, &mut values)?;
        self.column = moved(self.column, values[0])?;
        if count == 1 {
            return Some(Raw { column: self.column, source: NONE, line: 0, name: NONE });
        }
        if count < 4 {
            return None;
        }
        self.source = moved(self.source, values[1])?;
        self.line = moved(self.line, values[2])?;
        self.source_column = moved(self.source_column, values[3])?;
        if count == 5 {
            self.name = moved(self.name, values[4])?;
        }
        let name = if count == 5 { self.name } else { NONE };
        let [sources, names] = self.bounds;
        let known = (self.source as usize) < sources && (name == NONE || (name as usize) < names);
        known.then_some(Raw { column: self.column, source: self.source, line: self.line, name })
    }
}

/// A position moved by a difference; `None` outside of 31 bits, which ECMA-426 allows.
fn moved(position: u32, difference: i64) -> Option<u32> {
    let position = u32::try_from(i64::from(position) + difference).ok()?;
    (position <= i32::MAX as u32).then_some(position)
}

/// Reads at most five VLQs; `None` for more, for a digit that is none, for a number beyond 32 bits
/// and for one that does not end.
fn read_values(segment: &[u8], values: &mut [i64; 5]) -> Option<usize> {
    let (mut count, mut value, mut shift) = (0, 0_u64, 0);
    for &byte in segment {
        let digit = digit_of(byte)?;
        if shift > 30 {
            return None;
        }
        value |= u64::from(digit & 31) << shift;
        shift += 5;
        if digit & 32 == 0 {
            let magnitude = (value >> 1) as i64;
            *values.get_mut(count)? = if value & 1 == 0 { magnitude } else { -magnitude };
            (count, value, shift) = (count + 1, 0, 0);
        }
    }
    (shift == 0).then_some(count)
}

fn digit_of(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(mappings: &str) -> Result<Tokens, String> {
        let json = format!(r#"{{"sources":["a","b"],"names":["n"],"mappings":"{mappings}"}}"#);
        Tokens::decode(&Document::parse(json.as_bytes()).unwrap()).map_err(|e| e.to_string())
    }

    fn at(tokens: &Tokens, line: u32, column: u32) -> Option<(&str, u32, Option<&str>)> {
        tokens.at(line, column).map(|token| (token.source, token.line, token.name))
    }

    #[test]
    fn a_position_belongs_to_the_last_token_before_it_on_its_line() {
        // Line 0 from column 4: a, line 5. Line 2: from 0 nothing; from 3 b, line 4, named.
        let tokens = decode("IAKA;;A,GCDAA,EACA").unwrap();
        assert_eq!(at(&tokens, 0, 3), None);
        assert_eq!(at(&tokens, 0, 4), Some(("a", 5, None)));
        assert_eq!(at(&tokens, 0, u32::MAX), Some(("a", 5, None)));
        assert_eq!(at(&tokens, 1, 9), None);
        assert_eq!(at(&tokens, 2, 2), None);
        assert_eq!(at(&tokens, 2, 4), Some(("b", 4, Some("n"))));
        assert_eq!(at(&tokens, 3, 0), None);
        assert_eq!(at(&tokens, u32::MAX, u32::MAX), None);
    }

    #[test]
    fn tokens_out_of_order_are_found() {
        // Columns 8, 4 and 12, of lines 0, 1 and 2.
        let tokens = decode("QAAA,JACA,QACA").unwrap();
        let lines = [3, 4, 7, 8, 11, 12].map(|column| at(&tokens, 0, column).map(|it| it.1));
        assert_eq!(lines, [None, Some(1), Some(1), Some(0), Some(0), Some(2)]);
    }

    #[test]
    fn empty_mappings_have_no_tokens() {
        for mappings in ["", ";;;", ",,", ";,;"] {
            assert_eq!(at(&decode(mappings).unwrap(), 0, 0), None);
        }
    }

    #[test]
    fn broken_mappings_are_errors() {
        let broken = ["AEAA", "AAAAC", "AAD", "AA", "AAAAAA", "g", "AAAg", "ADAA", "AAAAD"];
        for mappings in broken.into_iter().chain(["zzzzzzzzzzzzzzzzzzzz", "A A", "A!", "é", "A=="])
        {
            assert!(decode(mappings).unwrap_err().contains("mappings are"), "{mappings}");
        }
        assert!(decode(&",".repeat(MAX_TOKENS)).unwrap_err().contains("more than the limit"));
    }

    #[test]
    fn giant_numbers_are_broken_and_the_greatest_are_none() {
        assert_eq!(at(&decode("+/////DAAA").unwrap(), 0, i32::MAX as u32), Some(("a", 0, None)));
        assert_eq!(at(&decode("AA+/////DA").unwrap(), 0, 0), Some(("a", i32::MAX as u32, None)));
        for beyond in ["ggggggE", "+/////D,C", "ggggggggC", "AA+/////DA,AACA", "AADA", "D", "AAAD"]
        {
            assert!(decode(beyond).unwrap_err().contains("in line 1"), "{beyond}");
        }
        assert!(decode(&"g".repeat(100)).is_err());
    }

    /// What the crate `sourcemap` finds.
    fn by_oracle(json: &str, line: u32, column: u32) -> Option<(String, u32, Option<String>)> {
        let map = sourcemap::SourceMap::from_slice(json.as_bytes()).unwrap();
        let token = map.lookup_token(line, column).filter(|token| token.get_dst_line() == line)?;
        let name = token.get_name().map(str::to_owned);
        Some((token.get_source()?.to_owned(), token.get_src_line(), name))
    }

    /// A map's lines: the tokens of each as their column's distance from the one before and, of
    /// most, the source, line, column and maybe name.
    type Lines = Vec<Vec<(i64, Option<([i64; 3], Option<i64>)>)>>;

    fn lines() -> impl Strategy<Value = Lines> {
        let source = (0..3_i64, 0..5_000_i64, 0..200_i64).prop_map(|(a, b, c)| [a, b, c]);
        let origin = prop::option::of((source, prop::option::of(0..2_i64)));
        prop::collection::vec(prop::collection::vec((1..40_i64, origin), 0..6), 0..5)
    }

    fn encoded(lines: &Lines) -> String {
        let (mut place, mut last_name) = ([0; 3], 0);
        let mut mappings = Vec::new();
        for line in lines {
            let mut segments = Vec::new();
            for (column, origin) in line {
                let mut numbers = vec![*column];
                if let Some((to, name)) = origin {
                    numbers.extend(to.iter().zip(place).map(|(to, from)| to - from));
                    place = *to;
                    numbers.extend(name.map(|name| name - last_name));
                    last_name = name.unwrap_or(last_name);
                }
                segments.push(sourcemap::vlq::generate_vlq_segment(&numbers).unwrap());
            }
            mappings.push(segments.join(","));
        }
        mappings.join(";")
    }

    proptest! {
        #[test]
        fn any_map_is_read_as_the_crate_sourcemap_reads_it(lines in lines()) {
            let mappings = encoded(&lines);
            let json = format!(
                r#"{{"version":3,"sources":["a","b","c"],"names":["n","m"],"mappings":"{mappings}"}}"#
            );
            let tokens = Tokens::decode(&Document::parse(json.as_bytes()).unwrap()).unwrap();
            for line in 0..6 {
                for column in (0..240).step_by(3) {
                    let found = at(&tokens, line, column);
                    let found = found.map(|(a, b, c)| (a.to_owned(), b, c.map(str::to_owned)));
                    prop_assert_eq!(found, by_oracle(&json, line, column));
                }
            }
        }
    }
}

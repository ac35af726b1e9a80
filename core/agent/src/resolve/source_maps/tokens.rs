//! The mappings of one map, by the crate `sourcemap`.
//!
//! It is given no more of a map than it needs: what it would copy (the texts of sources), what it
//! may refuse a map for (ids of other tools) and what it cannot take from a stranger (ranges,
//! digits outside of base64, millions of tokens) does not reach it.

use serde::Serialize;
use sourcemap::RawToken;
use sourcemap::SourceMap;

use super::document::Document;
use super::document::Text;
use crate::resolve::error::ResolveError;
use crate::resolve::error::ResolveErrorKind;

/// Lines and tokens of one map together: those of some 10 MB of minified code, and 56 MiB while
/// they are in use.
pub(super) const MAX_TOKENS: usize = 2 << 20;

/// What a text takes beside its bytes.
const TEXT_BYTES: usize = 48;

/// Where each piece of a script comes from.
#[derive(Debug)]
pub(super) struct Tokens {
    map: SourceMap,
    bytes: usize,
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

#[derive(Serialize)]
struct Plain<'a> {
    version: u32,
    sources: &'a [Text<'a>],
    names: &'a [Text<'a>],
    mappings: &'a str,
}

/// How many lines and tokens a text of mappings has, at most.
pub(super) fn token_count(mappings: &str) -> usize {
    mappings.bytes().filter(|byte| matches!(byte, b',' | b';')).count() + 1
}

impl Tokens {
    /// Decodes the mappings of a map without sections.
    ///
    /// # Errors
    /// When they are not base64 VLQ, refer to sources or names that the map has not, or are more
    /// than [`MAX_TOKENS`].
    pub(super) fn decode(document: &Document<'_>) -> Result<Self, ResolveError> {
        let mappings = document.mappings.as_ref().map_or("", Text::as_str);
        let tokens = token_count(mappings);
        if tokens > MAX_TOKENS {
            let message = format!("it has {tokens} tokens, more than the limit of {MAX_TOKENS}");
            return Err(ResolveError::new(ResolveErrorKind::TooLarge, message));
        }
        let digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
        if !mappings.bytes().all(|byte| digit(byte) || matches!(byte, b',' | b';')) {
            return Err(ResolveError::malformed("its mappings are not base64"));
        }
        let sources = document.sources.as_deref().unwrap_or_default();
        let names = document.names.as_deref().unwrap_or_default();
        let broken = |error: &dyn std::fmt::Display| {
            ResolveError::malformed(format!("its mappings are broken: {error}"))
        };
        let json = serde_json::to_vec(&Plain { version: 3, sources, names, mappings })
            .map_err(|error| broken(&error))?;
        let map = SourceMap::from_slice(&json).map_err(|error| broken(&error))?;
        let texts = sources.iter().chain(names).map(|text| text.as_str().len() + TEXT_BYTES);
        let bytes = tokens * size_of::<RawToken>() + texts.sum::<usize>();
        Ok(Self { map, bytes })
    }

    /// The last token on `line` that begins at `column` or before it, both 0-based; `None` where
    /// there is none or it has no source.
    pub(super) fn at(&self, line: u32, column: u32) -> Option<Token<'_>> {
        let token = self.map.lookup_token(line, column).filter(|it| it.get_dst_line() == line)?;
        let source = token.get_source()?;
        // The crate lets a line before the first one wrap around.
        let line = Some(token.get_src_line()).filter(|&line| line <= i32::MAX as u32)?;
        let name = token.get_name().filter(|name| !name.is_empty());
        Some(Token { source, line, name })
    }

    /// About what it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn giant_numbers_are_no_positions() {
        // A column and a source line of 2^31 - 1, again and again: beyond any number of 32 bits.
        let huge = ["+/////DA+/////DA"; 8].join(",");
        if let Ok(tokens) = decode(&huge) {
            for column in [0, 1, i32::MAX as u32, u32::MAX] {
                let _ = at(&tokens, 0, column);
            }
        }
        for before_the_first in ["AADA", "AAFA", "AAAA,CA/////D"] {
            if let Ok(tokens) = decode(before_the_first) {
                assert_eq!(at(&tokens, 0, 1), None, "{before_the_first}");
            }
        }
    }
}

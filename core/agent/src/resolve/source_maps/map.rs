use std::collections::HashMap;
use std::sync::Arc;

use super::document::Document;
use super::document::Offset;
use super::document::Text;
use super::location::source_name;
use super::tokens::MAX_TOKENS;
use super::tokens::Tokens;
use super::tokens::token_count;
use crate::resolve::error::ResolveError;
use crate::resolve::error::ResolveErrorKind;
use crate::resolve::names::bounded;

/// How deep sections may hold sections.
const MAX_DEPTH: usize = 8;

/// What a part takes beside its tokens.
const PART_BYTES: usize = 512;

/// Where a position of a script comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Original {
    /// The file as people know it: `/app/src/cart.ts`; of a bundle by webpack `src/cart.ts`.
    pub(crate) file: Arc<str>,
    /// 1-based.
    pub(crate) line: u32,
    /// What was called there before it was renamed, if the map says so of the token that covers
    /// the position: asked for where a function's name stands, the function's name.
    pub(crate) name: Option<Arc<str>>,
}

/// A source map, with its sections side by side.
#[derive(Debug)]
pub(super) struct Map {
    /// Ascending by `start`; at least one.
    parts: Vec<Part>,
    /// What its sources are relative to.
    folder: Option<Box<str>>,
}

#[derive(Debug)]
struct Part {
    start: Offset,
    root: Box<str>,
    tokens: Tokens,
}

impl Map {
    /// Reads a map that stands in `folder`.
    ///
    /// # Errors
    /// When any of it is broken or too much.
    pub(super) fn parse(json: &[u8], folder: Option<&str>) -> Result<Self, ResolveError> {
        let document = Document::parse(json)?;
        let mut gathered = Gathered { parts: Vec::new(), room: MAX_TOKENS };
        gathered.add(document, Offset::default(), MAX_DEPTH)?;
        let mut parts = gathered.parts;
        parts.sort_by_key(|part| part.start);
        Ok(Self { parts, folder: folder.map(Box::from) })
    }

    /// About what it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        let part = |part: &Part| PART_BYTES + part.root.len() + part.tokens.bytes();
        self.parts.iter().map(part).sum()
    }

    /// Where each position (line and column, 0-based) comes from. Equal texts are one.
    pub(super) fn originals(&self, positions: &[(u32, u32)]) -> Vec<Option<Original>> {
        let mut files: HashMap<(usize, &str), Option<Arc<str>>> = HashMap::new();
        let mut names: HashMap<&str, Arc<str>> = HashMap::new();
        let mut original = |line, column| {
            let (index, part) = self.part_at(Offset { line, column })?;
            let line = line - part.start.line;
            let column = if line == 0 { column - part.start.column } else { column };
            let token = part.tokens.at(line, column)?;
            let name_of = || source_name(self.folder.as_deref(), &part.root, token.source);
            let file =
                files.entry((index, token.source)).or_insert_with(|| name_of().map(Arc::from));
            let name = token
                .name
                .map(|name| names.entry(name).or_insert_with(|| Arc::from(bounded(name))).clone());
            Some(Original { file: file.clone()?, line: token.line.checked_add(1)?, name })
        };
        positions.iter().map(|&(line, column)| original(line, column)).collect()
    }

    fn part_at(&self, position: Offset) -> Option<(usize, &Part)> {
        let index = self.parts.partition_point(|part| part.start <= position).checked_sub(1)?;
        Some((index, &self.parts[index]))
    }
}

struct Gathered {
    parts: Vec<Part>,
    /// Tokens that there is room for.
    room: usize,
}

impl Gathered {
    /// Adds a map that begins at `start` of the script, or its sections.
    fn add(
        &mut self,
        document: Document<'_>,
        start: Offset,
        depth: usize,
    ) -> Result<(), ResolveError> {
        let Some(sections) = document.sections else {
            let tokens = token_count(document.mappings.as_ref().map_or("", Text::as_str));
            self.room = self.room.checked_sub(tokens).ok_or_else(|| {
                let message = format!("it has more than the limit of {MAX_TOKENS} tokens");
                ResolveError::new(ResolveErrorKind::TooLarge, message)
            })?;
            let tokens = Tokens::decode(&document)?;
            let root = document.root.as_ref().map_or("", Text::as_str).into();
            self.parts.push(Part { start, root, tokens });
            return Ok(());
        };
        let deeper = depth
            .checked_sub(1)
            .ok_or_else(|| ResolveError::malformed("its sections have sections without end"))?;
        for section in sections {
            // What begins beyond any position is never asked for.
            let (Some(start), Some(map)) = (within(start, section.offset), section.map) else {
                continue;
            };
            self.add(*map, start, deeper)?;
        }
        Ok(())
    }
}

/// The position `offset` of a text that begins at `start`.
fn within(start: Offset, offset: Offset) -> Option<Offset> {
    let column = if offset.line == 0 { start.column } else { 0 };
    Some(Offset {
        line: start.line.checked_add(offset.line)?,
        column: column.checked_add(offset.column)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(json: &str) -> Map {
        Map::parse(json.as_bytes(), Some("/app")).unwrap()
    }

    /// `FILE:LINE` of a position.
    fn at(map: &Map, line: u32, column: u32) -> Option<String> {
        let original = map.originals(&[(line, column)]).pop().unwrap()?;
        Some(format!("{}:{}", original.file, original.line))
    }

    fn one(source: &str, mappings: &str) -> String {
        format!(r#"{{"version":3,"sources":["{source}"],"mappings":"{mappings}"}}"#)
    }

    fn section(line: u32, column: u32, map: &str) -> String {
        format!(r#"{{"offset":{{"line":{line},"column":{column}}},"map":{map}}}"#)
    }

    fn list(sections: &[String]) -> String {
        format!(r#"{{"version":3,"sections":[{}]}}"#, sections.join(","))
    }

    #[test]
    fn sections_begin_at_their_offsets_and_end_at_the_next() {
        // Each maps its first two lines, from their first columns, to its lines 1 and 2.
        let sections = [
            section(4, 10, &one("c.ts", "AAAA;AACA")),
            section(0, 0, &one("a.ts", "AAAA;AACA")),
            section(0, 20, &one("b.ts", "AAAA;AACA")),
        ];
        let map = map(&list(&sections));
        let expected = [
            ((0, 0), Some("/app/a.ts:1")),
            ((0, 19), Some("/app/a.ts:1")),
            ((0, 20), Some("/app/b.ts:1")),
            ((1, 0), Some("/app/b.ts:2")),
            ((2, 0), None),
            ((4, 9), None),
            ((4, 10), Some("/app/c.ts:1")),
            ((5, 0), Some("/app/c.ts:2")),
        ];
        for ((line, column), original) in expected {
            assert_eq!(at(&map, line, column).as_deref(), original, "{line}:{column}");
        }
    }

    #[test]
    fn sections_within_sections_add_their_offsets() {
        let inner = [section(0, 5, &one("a.ts", "AAAA")), section(2, 5, &one("b.ts", "AAAA"))];
        let map = map(&list(&[section(3, 7, &list(&inner))]));
        assert_eq!(at(&map, 3, 11), None);
        assert_eq!(at(&map, 3, 12).as_deref(), Some("/app/a.ts:1"));
        assert_eq!(at(&map, 5, 4), None);
        assert_eq!(at(&map, 5, 5).as_deref(), Some("/app/b.ts:1"));
    }

    #[test]
    fn sections_without_end_and_beyond_any_line_are_refused_or_passed_over() {
        let nested = |depth: usize| {
            (0..depth).fold(one("a.ts", "AAAA"), |map, _| list(&[section(0, 0, &map)]))
        };
        assert_eq!(at(&map(&nested(MAX_DEPTH)), 0, 0).as_deref(), Some("/app/a.ts:1"));
        let refused = move || {
            for depth in [MAX_DEPTH + 1, 40, 50, 10_000] {
                assert!(Map::parse(nested(depth).as_bytes(), None).is_err(), "{depth}");
            }
        };
        // A quarter of what the agent's thread has.
        let small = std::thread::Builder::new().stack_size(256 << 10);
        small.spawn(refused).unwrap().join().unwrap();
        let far = list(&[section(u32::MAX, u32::MAX, &nested(1).replace(":0", ":9"))]);
        assert_eq!(at(&map(&far), u32::MAX, u32::MAX), None);
        let beyond = list(&[section(0, 0, &one("a.ts", "AAAA"))]).replace(":0", ":4294967296");
        assert!(Map::parse(beyond.as_bytes(), None).is_err());
        let elsewhere = r#"{"sections":[{"offset":{"line":0,"column":0},"url":"http://h/x"}]}"#;
        assert_eq!(at(&map(elsewhere), 0, 0), None);
    }

    #[test]
    fn all_sections_together_have_no_more_tokens_than_one_map_may() {
        let half = one("a.ts", &";".repeat(MAX_TOKENS / 2));
        let two = list(&[section(0, 0, &half), section(9, 0, &half)]);
        let error = Map::parse(two.as_bytes(), None).unwrap_err();
        assert_eq!(error.kind(), ResolveErrorKind::TooLarge, "{error}");
    }

    #[test]
    fn equal_texts_of_one_batch_are_one() {
        let json = r#"{"sources":["a.ts"],"sourceRoot":"../src","names":["f"],
            "mappings":"AAAAA,CACAA,CACAA"}"#;
        let found = Map::parse(json.as_bytes(), Some("/app/dist")).unwrap();
        let found: Vec<_> = found.originals(&[(0, 2), (0, 0)]).into_iter().flatten().collect();
        assert_eq!((found[0].line, found[1].line), (3, 1));
        assert_eq!(&*found[0].file, "/app/src/a.ts");
        assert!(Arc::ptr_eq(&found[0].file, &found[1].file));
        let names: Vec<_> = found.iter().filter_map(|original| original.name.as_ref()).collect();
        assert_eq!(&**names[0], "f");
        assert!(Arc::ptr_eq(names[0], names[1]));
    }
}

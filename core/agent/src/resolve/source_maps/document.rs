//! The JSON of a source map, without what is not needed of it.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use serde::de::Error;
use serde::de::IgnoredAny;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;

use crate::resolve::error::ResolveError;
use crate::resolve::error::ResolveErrorKind;

/// Values in one map: sources, names and sections, some hundred thousand at most in real ones.
/// Each takes some 30 bytes once it is read, however short it is in the file.
const MAX_VALUES: usize = 512 << 10;

/// A map or, where it has sections, a list of maps. The texts of sources are passed over.
#[derive(Debug, Deserialize)]
pub(super) struct Document<'a> {
    #[serde(borrow)]
    pub(super) mappings: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) sources: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    pub(super) names: Option<Vec<Text<'a>>>,
    #[serde(borrow, rename = "sourceRoot")]
    pub(super) root: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) sections: Option<Vec<Section<'a>>>,
}

/// A map that begins at a position of the script.
#[derive(Debug, Deserialize)]
pub(super) struct Section<'a> {
    pub(super) offset: Offset,
    /// A section may name a map elsewhere instead, which no tool does.
    #[serde(borrow)]
    pub(super) map: Option<Box<Document<'a>>>,
}

/// A position in a script, 0-based.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Offset {
    pub(super) line: u32,
    pub(super) column: u32,
}

impl<'a> Document<'a> {
    /// Reads a map, with the byte order mark or the line `)]}'` that may precede it.
    ///
    /// # Errors
    /// When it is no JSON, not that of a map, or of more than 524,288 values.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, ResolveError> {
        let json = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let json = match json.strip_prefix(b")]}") {
            Some(guard) => guard.splitn(2, |&byte| byte == b'\n').nth(1).unwrap_or_default(),
            None => json,
        };
        let values = values_in(json);
        if values > MAX_VALUES {
            let message = format!("it has {values} values, more than the limit of {MAX_VALUES}");
            return Err(ResolveError::new(ResolveErrorKind::TooLarge, message));
        }
        let document: Self = serde_json::from_slice(json).map_err(|error| {
            // Its own message may quote the file.
            let (line, column) = (error.line(), error.column());
            ResolveError::malformed(format!("no source map: line {line}, column {column}"))
        })?;
        if document.mappings.is_none() && document.sections.is_none() {
            return Err(ResolveError::malformed("no source map: neither mappings nor sections"));
        }
        Ok(document)
    }
}

/// At least the number of values in a JSON text.
fn values_in(json: &[u8]) -> usize {
    let (mut values, mut in_string, mut escaped) = (1, false, false);
    for &byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b',' | b'[' | b'{' if !in_string => values += 1,
            _ => {}
        }
    }
    values
}

/// A text, or what stands in its place: a number is its digits, anything else is empty.
#[derive(Debug, Default)]
pub(super) struct Text<'a>(Cow<'a, str>);

impl Text<'_> {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(number.to_string())))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(number.to_string())))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Text<'de>, E> {
        Ok(Text::default())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Text<'de>, E> {
        Ok(Text::default())
    }

    fn visit_unit<E: Error>(self) -> Result<Text<'de>, E> {
        Ok(Text::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Text<'de>, A::Error> {
        while values.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Text::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Text<'de>, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Text::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(json: &[u8]) -> String {
        Document::parse(json).unwrap_err().to_string()
    }

    #[test]
    fn what_may_precede_the_json_is_passed_over() {
        for before in ["", "\u{feff}", ")]}'\n", ")]}\r\n", "\u{feff})]}' x\n"] {
            let json = format!("{before}{{\"version\":3,\"mappings\":\"AAAA\"}}");
            let document = Document::parse(json.as_bytes()).unwrap();
            assert_eq!(document.mappings.unwrap().as_str(), "AAAA");
        }
        assert!(error(b")]}'{\"mappings\":\"\"}").contains("no source map"));
    }

    #[test]
    fn odd_values_cost_themselves_only() {
        let json = br#"{"mappings":"","names":["a",1,-2,1.5,null,true,[[0]],{"b":"c"},"\u00e9"],
            "sources":[null,"a.ts"],"sourceRoot":null,"version":"x"}"#;
        let document = Document::parse(json).unwrap();
        let texts = |list: Option<Vec<Text<'_>>>| -> Vec<String> {
            list.unwrap().iter().map(|text| text.as_str().to_owned()).collect()
        };
        assert_eq!(texts(document.names), ["a", "1", "-2", "", "", "", "", "", "é"]);
        assert_eq!(texts(document.sources), ["", "a.ts"]);
        assert!(document.root.is_none());
    }

    #[test]
    fn bytes_that_are_no_text_hurt_only_where_they_are_read() {
        assert!(Document::parse(b"{\"mappings\":\"\",\"sourcesContent\":[\"\xff\xfe\"]}").is_ok());
        assert!(error(b"{\"mappings\":\"\xff\"}").contains("line 1, column"));
        assert!(error(b"{\"mappings\":\"\",\"names\":[\"\\ud800\"]}").contains("no source map"));
    }

    #[test]
    fn what_is_no_map_is_an_error_that_quotes_nothing() {
        for json in
            ["", "null", "[", "{}", "{\"secret\":1}", "\"secret\"", "{\"mappings\":\"secret"]
        {
            let error = error(json.as_bytes());
            assert!(error.contains("no source map") && !error.contains("secret"), "{error}");
        }
        let section = r#"{"sections":[{"offset":{"line":-1,"column":0}}]}"#;
        assert!(error(section.as_bytes()).contains("no source map"));
    }

    #[test]
    fn depth_and_number_of_values_are_bounded() {
        let deep = format!("{{\"mappings\":\"\",\"x\":{}", "[".repeat(1_000_000));
        assert!(error(deep.as_bytes()).contains("values"));
        let deep = format!("{{\"mappings\":\"\",\"x\":{}", "[".repeat(100_000));
        assert!(error(deep.as_bytes()).contains("no source map"));
        let many = format!("{{\"mappings\":\"\",\"names\":[{}1]}}", "1,".repeat(MAX_VALUES));
        assert!(error(many.as_bytes()).contains("more than the limit"));
        let text = format!("{{\"mappings\":\"{}\\\",[\"}}", ",".repeat(MAX_VALUES));
        assert!(Document::parse(text.as_bytes()).is_ok(), "commas within texts are no values");
    }
}

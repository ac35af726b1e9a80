//! Texts with references to what a pattern found.

use regex_lite::Captures;

use crate::relabel::MAX_WORKING_VALUE;
use crate::text::is_label_name;

/// A text with references to groups, in Go's notation: `$1`, `${1}`, `${name}`, `$$`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Group(String),
}

impl Template {
    /// Every text is one: what is no reference stands for itself.
    pub(crate) fn parse(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            push_text(&mut pieces, before);
            rest = match reference(after) {
                _ if after.starts_with('$') => {
                    push_text(&mut pieces, "$");
                    &after[1..]
                }
                Some((name, after)) => {
                    pieces.push(Piece::Group(name.to_owned()));
                    after
                }
                // Not a reference: the sign stands for itself.
                None => {
                    push_text(&mut pieces, "$");
                    after
                }
            };
        }
        push_text(&mut pieces, rest);
        Self(pieces)
    }

    /// A template that can give a label's name: letters, digits and underscores, not beginning with
    /// a digit, and references.
    pub(crate) fn of_name(text: &str) -> Option<Self> {
        let template = Self::parse(text);
        let word =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let fits = template.0.iter().enumerate().all(|(at, piece)| match piece {
            Piece::Text(text) if at == 0 => is_label_name(text),
            Piece::Text(text) | Piece::Group(text) => word(text),
        });
        (fits && !template.0.is_empty()).then_some(template)
    }

    /// The text with what the groups found.
    pub(crate) fn expand(&self, found: &Captures<'_>) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Group(name) => out.push_str(group(found, name).unwrap_or_default()),
            }
            if out.len() > 4 * MAX_WORKING_VALUE {
                break;
            }
        }
        out
    }
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    match pieces.last_mut() {
        _ if text.is_empty() => {}
        Some(Piece::Text(last)) => last.push_str(text),
        _ => pieces.push(Piece::Text(text.to_owned())),
    }
}

/// The name after a dollar sign, and what follows it. Without braces it is as long as it can be:
/// `$1x` is the group `1x`.
fn reference(after: &str) -> Option<(&str, &str)> {
    let word = |char: char| char.is_alphanumeric() || char == '_';
    let (name, rest) = match after.strip_prefix('{') {
        Some(inner) => {
            let (name, rest) = inner.split_once('}')?;
            (name, rest)
        }
        None => after.split_at(after.find(|char| !word(char)).unwrap_or(after.len())),
    };
    (!name.is_empty() && name.chars().all(word)).then_some((name, rest))
}

/// By number, without leading zeros, or by name.
fn group<'a>(found: &Captures<'a>, name: &str) -> Option<&'a str> {
    let number =
        name.bytes().all(|byte| byte.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
    match name.parse() {
        Ok(at) if number => Some(found.get(at)?.as_str()),
        _ => Some(found.name(name)?.as_str()),
    }
}

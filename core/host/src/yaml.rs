//! Settings files: the part of YAML that settings need, with the line of everything.
//!
//! Scalars stay the text that they were written as, so that `off` is no `false` and `1e3` no number
//! before the setting says what it wants. Anchors, aliases, tags and keys that are no text are
//! refused: nobody writes them in settings, and an alias of an alias is how a small file becomes a
//! big one.

use saphyr_parser::{Event, Parser, ScanError, Span};

/// Nodes within nodes.
const MAX_DEPTH: usize = 16;

/// A value, and the line that it begins at, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) line: usize,
    pub(crate) value: Value,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// Nothing is written, or `null` or `~`.
    Nothing,
    Text(String),
    List(Vec<Node>),
    /// In the order of the file; no key twice.
    Map(Vec<(Key, Node)>),
}

/// A key and its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) line: usize,
    pub(crate) name: String,
}

/// A line, from 1, and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) line: usize,
    pub(crate) message: String,
}

impl Wrong {
    pub(crate) fn new(line: usize, message: impl Into<String>) -> Self {
        Self { line, message: message.into() }
    }
}

impl From<ScanError> for Wrong {
    fn from(error: ScanError) -> Self {
        Self::new(error.marker().line(), error.info())
    }
}

/// Reads the one document of a file. An empty file is [`Value::Nothing`].
pub(crate) fn parse(text: &str) -> Result<Node, Wrong> {
    let mut events = Parser::new_from_str(text);
    let mut root = None;
    while let Some(event) = events.next_event() {
        let (event, span) = event?;
        match event {
            Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
            Event::StreamEnd => break,
            Event::DocumentStart(_) if root.is_some() => {
                return Err(Wrong::new(line(span), "a second document"));
            }
            Event::DocumentStart(_) => {
                let (event, span) = next(&mut events)?;
                root = Some(node(&mut events, event, span, 0)?);
            }
            _ => return Err(Wrong::new(line(span), "not a document")),
        }
    }
    Ok(root.unwrap_or(Node { line: 1, value: Value::Nothing }))
}

type Events<'a> = Parser<'a, saphyr_parser::StrInput<'a>>;

fn line(span: Span) -> usize {
    span.start.line()
}

fn next<'a>(events: &mut Events<'a>) -> Result<(Event<'a>, Span), Wrong> {
    match events.next_event() {
        Some(event) => Ok(event?),
        None => Err(Wrong::new(0, "the file ends too early")),
    }
}

fn node<'a>(
    events: &mut Events<'a>,
    event: Event<'a>,
    span: Span,
    depth: usize,
) -> Result<Node, Wrong> {
    let line = line(span);
    if depth > MAX_DEPTH {
        return Err(Wrong::new(line, "nested too deeply"));
    }
    let refused = |what: &str| Err(Wrong::new(line, format!("{what} have no place in settings")));
    let value = match event {
        Event::Alias(_) => return refused("aliases"),
        Event::Scalar(_, _, anchor, _)
        | Event::SequenceStart(anchor, _)
        | Event::MappingStart(anchor, _)
            if anchor != 0 =>
        {
            return refused("anchors");
        }
        Event::Scalar(_, _, _, Some(_))
        | Event::SequenceStart(_, Some(_))
        | Event::MappingStart(_, Some(_)) => {
            return refused("tags");
        }
        Event::Scalar(text, style, ..) => {
            let plain = style == saphyr_parser::ScalarStyle::Plain;
            match text.as_ref() {
                "" | "~" | "null" if plain => Value::Nothing,
                text => Value::Text(text.to_owned()),
            }
        }
        Event::SequenceStart(..) => Value::List(list(events, depth)?),
        Event::MappingStart(..) => Value::Map(map(events, depth)?),
        _ => return Err(Wrong::new(line, "a value is missing")),
    };
    Ok(Node { line, value })
}

fn list(events: &mut Events<'_>, depth: usize) -> Result<Vec<Node>, Wrong> {
    let mut items = Vec::new();
    loop {
        match next(events)? {
            (Event::SequenceEnd, _) => return Ok(items),
            (event, span) => items.push(node(events, event, span, depth + 1)?),
        }
    }
}

fn map(events: &mut Events<'_>, depth: usize) -> Result<Vec<(Key, Node)>, Wrong> {
    let mut entries: Vec<(Key, Node)> = Vec::new();
    loop {
        let (event, span) = next(events)?;
        if event == Event::MappingEnd {
            return Ok(entries);
        }
        let key = node(events, event, span, depth + 1)?;
        let Value::Text(name) = key.value else {
            return Err(Wrong::new(key.line, "a key must be a text"));
        };
        if let Some((first, _)) = entries.iter().find(|(known, _)| known.name == name) {
            let message = format!("{name} is there twice, first in line {}", first.line);
            return Err(Wrong::new(key.line, message));
        }
        let (event, span) = next(events)?;
        entries.push((Key { line: key.line, name }, node(events, event, span, depth + 1)?));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stay_as_they_were_written() {
        let read = parse("a: off\nb: 1e3\nc: 'null'\nd:\ne: [010, \"x\\ty\"]\n").unwrap();
        let Value::Map(entries) = read.value else { panic!() };
        let text = |text: &str| Value::Text(text.to_owned());
        let values: Vec<&Value> = entries.iter().map(|(_, node)| &node.value).collect();
        assert_eq!(values[..4], [&text("off"), &text("1e3"), &text("null"), &Value::Nothing]);
        let Value::List(items) = values[4] else { panic!() };
        assert_eq!((&items[0].value, &items[1].value), (&text("010"), &text("x\ty")));
        assert_eq!(entries.iter().map(|(key, _)| key.line).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn an_empty_file_holds_nothing() {
        for text in ["", "# only a comment\n", "---\n"] {
            assert_eq!(parse(text).unwrap().value, Value::Nothing, "{text:?}");
        }
    }

    #[test]
    fn what_settings_do_not_need_is_refused_by_line() {
        let deep = format!("a: {}{}", "[".repeat(20), "]".repeat(20));
        for (text, line, part) in [
            ("a: &x 1\nb: *x\n", 1, "anchors"),
            ("a: !!str 1\n", 1, "tags"),
            ("a: 1\nb: 2\na: 3\n", 3, "a is there twice, first in line 1"),
            ("a: 1\n---\nb: 2\n", 2, "a second document"),
            ("[1]: 2\n", 1, "a key must be a text"),
            (deep.as_str(), 1, "nested too deeply"),
            ("a: [1\n", 2, ""),
            ("a: \"x\n", 0, ""),
            ("a:\n\t- x\n", 0, ""),
        ] {
            let wrong = parse(text).unwrap_err();
            assert!(wrong.message.contains(part), "{text}: {wrong:?}");
            assert!(line == 0 || wrong.line == line, "{text}: {wrong:?}");
        }
    }
}

//! Folded (collapsed) stacks: one line for each stack, `main;handle;parse 42`, root first.
//!
//! What would break a line apart is written as `\x` and two hexadecimal digits: `;` as `\x3b`,
//! control characters by their code point, and a backslash before `x` as `\x5c`. Other backslashes
//! are left alone. Values of at most 0 are left out, as are labels, lines and losses' causes.

use std::collections::HashMap;
use std::fmt::Write;

use hashbrown::HashSet;

use super::LocationId;
use super::Profile;
use super::ValueType;
use super::frame::Detail;
use super::frame::FrameTable;
use super::limits;
use crate::Error;
use crate::ErrorKind;

/// Writes one column of a profile, in order of first sight.
///
/// # Errors
/// `InvalidInput` if there is no such column, `TooLarge` if the text would exceed
/// [`MAX_OUTPUT_BYTES`](limits::MAX_OUTPUT_BYTES).
pub fn encode(profile: &Profile, column: usize) -> Result<String, Error> {
    if column >= profile.sample_types().len() {
        let message = format!("the profile has no column {column}");
        return Err(Error::new(ErrorKind::InvalidInput, message));
    }
    let table = FrameTable::new(profile, Detail::Name);
    let mut order: Vec<(Vec<u32>, i64)> = Vec::new();
    let mut positions: HashMap<Vec<u32>, usize> = HashMap::new();
    let mut stack = Vec::new();
    for sample in profile.samples() {
        let value = sample.values[column];
        table.stack(profile, sample.stack, &mut stack);
        match positions.get(&stack) {
            Some(&position) => order[position].1 = order[position].1.saturating_add(value),
            None => {
                positions.insert(stack.clone(), order.len());
                order.push((stack.clone(), value));
            }
        }
    }
    drop(positions);
    let mut out = String::new();
    for (stack, value) in order.iter().filter(|(_, value)| *value > 0) {
        for (depth, &number) in stack.iter().enumerate() {
            if depth > 0 {
                out.push(';');
            }
            let name = table.frames().get(number as usize).map_or("", |f| f.name(profile));
            push_escaped(&mut out, name)?;
        }
        // Writing to a string does not fail.
        let _ = writeln!(out, " {value}");
    }
    Ok(out)
}

fn push_escaped(out: &mut String, name: &str) -> Result<(), Error> {
    if out.len().saturating_add(name.len()) > limits::MAX_OUTPUT_BYTES {
        let limit = limits::MAX_OUTPUT_BYTES;
        return Err(Error::too_large(format!("folded stacks of more than {limit} bytes")));
    }
    let mut chars = name.chars().peekable();
    while let Some(c) = chars.next() {
        if c == ';' || c.is_control() || (c == '\\' && chars.peek() == Some(&'x')) {
            let _ = write!(out, "\\x{:02x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    Ok(())
}

/// Reads folded stacks into a profile with one column, `samples` in `count`. Empty lines are
/// skipped.
///
/// # Errors
/// `Malformed`, with the line's number, if a line does not end in a whole number; `TooLarge` if
/// one of the [`limits`] is exceeded.
pub fn decode(data: &[u8]) -> Result<Profile, Error> {
    if data.len() > limits::MAX_INPUT_BYTES {
        return Err(Error::too_large(format!("more than {} bytes", limits::MAX_INPUT_BYTES)));
    }
    if has_too_many_stacks(data) {
        return Err(Error::too_large(format!("more than {} stacks", limits::MAX_ENTRIES)));
    }
    let mut profile = Profile::new(vec![ValueType::new("samples", "count")]);
    let mut frames = 0;
    let mut stack = Vec::new();
    for (number, line) in (1..).zip(data.split(|&byte| byte == b'\n')) {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end_matches('\r');
        if line.trim().is_empty() {
            continue;
        }
        let (names, value) = line
            .rsplit_once(' ')
            .and_then(|(names, value)| Some((names, value.parse().ok()?)))
            .ok_or_else(|| Error::malformed(format!("line {number} has no value at its end")))?;
        read_stack(&mut profile, names, &mut stack);
        frames += stack.len();
        if profile.samples().len() >= limits::MAX_ENTRIES
            || stack.len() > limits::MAX_STACK_FRAMES
            || frames > limits::MAX_FRAMES
        {
            return Err(Error::too_large(format!("too many stacks or frames at line {number}")));
        }
        let stack = profile.stack(&stack);
        profile.add(stack, Default::default(), &[value]);
    }
    Ok(profile)
}

/// Tells it without interning them, which would take seconds. A file may have more lines than that
/// with few stacks: some tools write one for each sample.
fn has_too_many_stacks(data: &[u8]) -> bool {
    let lines = || data.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    if lines().nth(limits::MAX_ENTRIES).is_none() {
        return false;
    }
    let mut stacks = HashSet::new();
    lines().any(|line| {
        let end = line.iter().rposition(|&byte| byte == b' ').unwrap_or(line.len());
        stacks.insert(&line[..end]);
        stacks.len() > limits::MAX_ENTRIES
    })
}

/// Fills `stack` with the locations of a line, leaf first: with one too many of a line that has too
/// many, which then costs no more than one that has not.
fn read_stack(profile: &mut Profile, names: &str, stack: &mut Vec<LocationId>) {
    stack.clear();
    if names.is_empty() {
        return;
    }
    for name in names.split(';').rev().take(limits::MAX_STACK_FRAMES + 1) {
        let name = if name.contains("\\x") { unescape(name) } else { name.to_owned() };
        stack.push(profile.named_location(&name));
    }
}

fn unescape(name: &str) -> String {
    let mut parts = name.split("\\x");
    let mut out = parts.next().unwrap_or("").to_owned();
    for part in parts {
        let digits = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match digits {
            Some(code) => {
                out.push(char::from(code));
                out.push_str(&part[2..]);
            }
            None => {
                out.push_str("\\x");
                out.push_str(part);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{decode, encode, push_escaped, unescape};
    use crate::ErrorKind;

    #[test]
    fn names_come_back_from_their_escaped_form() {
        for name in ["a;b", "line\nbreak", "C:\\x41", "App\\Foo", "\\", "tab\there\u{85}", "\\\\x"]
        {
            let mut escaped = String::new();
            push_escaped(&mut escaped, name).unwrap();
            assert!(!escaped.contains(|c: char| c == ';' || c.is_control()), "{escaped}");
            assert_eq!(unescape(&escaped), name);
        }
    }

    #[test]
    fn equal_stacks_add_up_and_spaces_in_names_stay() {
        let text = "main;Vec<T, A>::push 2\r\n\nmain;Vec<T, A>::push 3\nmain 1\n";
        let profile = decode(text.as_bytes()).unwrap();
        assert_eq!(encode(&profile, 0).unwrap(), "main;Vec<T, A>::push 5\nmain 1\n");
    }

    #[test]
    fn a_line_without_a_value_is_named_in_the_error() {
        for bad in ["main 1\nmain;f\n", "main 1\nmain;f x\n", "main 1\nmain;f 1.5\n"] {
            let error = decode(bad.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Malformed);
            assert!(error.to_string().contains("line 2"), "{error}");
        }
    }

    #[test]
    fn a_column_that_is_not_there_is_an_error() {
        let profile = decode(b"main 1\n").unwrap();
        assert_eq!(encode(&profile, 1).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

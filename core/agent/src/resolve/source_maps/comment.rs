//! The comment by which a script names its source map.

use crate::resolve::bytes::Bytes;
use crate::resolve::error::ResolveError;
use crate::resolve::source::Source;

/// Lines from the end, blank ones aside, in which the comment is looked for: compilers write it
/// last, and some tool may append a few lines of its own.
const LINES: usize = 32;
/// Bytes of a file's end that are read at first.
const TAIL: u64 = 64 << 10;
/// Bytes of a file's end that are read at most, to hold a map within the comment.
const MAX_TAIL: u64 = super::load::MAX_MAP + TAIL;
/// Places of one line that may be a comment.
const CANDIDATES: usize = 16;
/// Bytes in front of the URL at most: `//# sourceMappingURL=` and some blanks.
const PREFIX: usize = 32;

/// The URL of the last `//# sourceMappingURL=` comment in the last lines of `text`, in any of its
/// spellings: `//@`, `/*# */`. As in V8 a URL has no quotes, and nothing follows it on its line.
pub(super) fn map_url(text: &[u8]) -> Option<&str> {
    last_lines(text).find_map(url_in)
}

/// As much of the end of a script's file as holds its comment, if it has one.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn read_tail(file: &Source) -> Result<Bytes, ResolveError> {
    let longest = file.len().min(MAX_TAIL);
    let mut size = longest.min(TAIL);
    loop {
        let tail = file.read(file.len() - size, size, MAX_TAIL)?;
        if size == longest || map_url(&tail).is_some() || !begins_within_comment(&tail) {
            return Ok(tail);
        }
        size = size.saturating_mul(8).min(longest);
    }
}

fn last_lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = text.rsplit(|byte| matches!(byte, b'\n' | b'\r'));
    lines.map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()).take(LINES)
}

fn url_in(line: &[u8]) -> Option<&str> {
    let mut end = line.len();
    for _ in 0..CANDIDATES {
        end = line[..end].iter().rposition(|&byte| byte == b'=')?;
        if let Some(url) = url_at(line, end) {
            return Some(url);
        }
    }
    None
}

/// The URL behind the `=` at `equals`, if a comment stands in front of it.
fn url_at(line: &[u8], equals: usize) -> Option<&str> {
    let opening = line[..equals].strip_suffix(b"sourceMappingURL")?.trim_ascii_end();
    let opening = opening.strip_suffix(b"#").or_else(|| opening.strip_suffix(b"@"))?;
    let rest = line[equals + 1..].trim_ascii_start();
    let mut end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
    if opening.ends_with(b"/*") {
        end = rest[..end].windows(2).position(|pair| pair == b"*/").unwrap_or(end);
    } else if !opening.ends_with(b"//") || !rest[end..].trim_ascii().is_empty() {
        return None;
    }
    let url = std::str::from_utf8(&rest[..end]).ok()?;
    (!url.is_empty() && !url.contains(['"', '\'', '`'])).then_some(url)
}

/// Whether the first line of `tail` may be the rest of a comment that began before it: one of the
/// last lines, and one word, as the maps within comments are.
fn begins_within_comment(tail: &[u8]) -> bool {
    let end = tail.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(tail.len());
    if last_lines(&tail[end..]).count() >= LINES {
        return false;
    }
    let word = tail[..end].get(PREFIX..).unwrap_or_default().trim_ascii_end();
    let word = word.strip_suffix(b"*/").unwrap_or(word).trim_ascii_end();
    !word.iter().any(|byte| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'`'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Option<&str> {
        map_url(text.as_bytes())
    }

    #[test]
    fn every_spelling_of_the_comment_is_understood() {
        assert_eq!(url("f()\n//# sourceMappingURL=a.js.map"), Some("a.js.map"));
        assert_eq!(url("f()\r\n//@ sourceMappingURL=a.js.map\r\n\r\n"), Some("a.js.map"));
        assert_eq!(url("f() /*# sourceMappingURL=a.js.map */"), Some("a.js.map"));
        assert_eq!(url("/*@ sourceMappingURL=a.js.map*/ f()"), Some("a.js.map"));
        assert_eq!(url("f(); //#\tsourceMappingURL= a.js.map  "), Some("a.js.map"));
        assert_eq!(url("//# sourceMappingURL=data:a;base64,e30="), Some("data:a;base64,e30="));
        assert_eq!(url("//# sourceMappingURL=a.map?x=1"), Some("a.map?x=1"));
    }

    #[test]
    fn the_last_comment_counts_and_others_may_follow_it() {
        let two = "//# sourceMappingURL=old.map\nf()\n//# sourceMappingURL=new.map\n";
        assert_eq!(url(two), Some("new.map"));
        assert_eq!(url("//# sourceMappingURL=a.map\n//# debugId=1=2\n});"), Some("a.map"));
        let early = format!("//# sourceMappingURL=a.map\n{}", "f()\n".repeat(LINES));
        assert_eq!(url(&early), None);
        assert_eq!(url(&early[..early.len() - 4]), Some("a.map"));
    }

    #[test]
    fn code_that_writes_such_comments_is_none() {
        assert_eq!(url("x = '//# sourceMappingURL=' + name"), None);
        assert_eq!(url("x = \"//# sourceMappingURL=a.map\""), None);
        assert_eq!(url("x = `//# sourceMappingURL=${name}`"), None);
        assert_eq!(url("//# sourceMappingURL=a.map and more"), None);
        assert_eq!(url("sourceMappingURL=a.map"), None);
        assert_eq!(url("# sourceMappingURL=a.map"), None);
        assert_eq!(url("//# sourceMappingURL="), None);
        assert_eq!(url(""), None);
        assert_eq!(map_url(b"//# sourceMappingURL=\xff.map"), None);
    }

    #[test]
    fn lines_full_of_comments_are_not_searched_for_ever() {
        let line = format!("{}\"", "//#sourceMappingURL=".repeat(500_000));
        assert_eq!(url(&line), None);
    }

    fn tail(text: Vec<u8>) -> Bytes {
        read_tail(&Source::Memory(text.into())).unwrap()
    }

    #[test]
    fn of_a_file_the_end_is_read_up_to_its_comment() {
        let code = "function f() { return 1 }\n".repeat(100_000);
        let far = format!("{code}//# sourceMappingURL=a.map\n");
        assert_eq!(tail(far.into_bytes()).len() as u64, TAIL);
        assert_eq!(tail(code.clone().into_bytes()).len() as u64, TAIL, "no comment");
        for length in [TAIL as usize - 60, TAIL as usize, 1 << 20] {
            for lead in 0..30 {
                let data = "x".repeat(length + lead);
                let text = format!("{code}//# sourceMappingURL=data:,{data}\n//# debugId=1\n");
                assert_eq!(map_url(&tail(text.into_bytes())).unwrap().len(), 6 + data.len());
            }
        }
    }

    #[test]
    fn of_a_word_without_end_no_more_than_the_bound_is_read() {
        let huge = tail(vec![b'x'; MAX_TAIL as usize + 10]);
        assert_eq!(huge.len() as u64, MAX_TAIL);
        assert_eq!(map_url(&huge), None);
    }
}

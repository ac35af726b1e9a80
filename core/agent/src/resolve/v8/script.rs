//! Scripts: what they are called, and where their lines begin.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use sondage_sampler::walk::v8::{Source, source_hash};

use crate::resolve::own_memory::read_own;

/// A source that is larger has no lines.
const MAX_BYTES: u64 = 32 << 20;

/// A script, as frames name it.
#[derive(Clone, Debug)]
pub(super) struct Script {
    /// Its path, or what V8 calls it.
    pub(super) file: Arc<str>,
    /// The characters at which lines after the first begin.
    lines: Option<Vec<u32>>,
}

impl Script {
    /// The script of that name with the lines of that source, which is looked for where the name
    /// says, and where V8 has it.
    pub(super) fn find(name: &str, source: Source) -> Self {
        let path = path_of(name);
        let read = |units: Vec<u16>| is_of(&units, source, path.as_deref()).then(|| starts(&units));
        let lines = path
            .as_deref()
            .and_then(read_file)
            .and_then(read)
            .or_else(|| outside(source).and_then(read));
        let file = path.as_ref().map_or(name, |path| path);
        Self { file: Arc::from(file), lines }
    }

    /// The line of a character, counted from 1; 0 if lines are not known.
    pub(super) fn line(&self, character: u32) -> u32 {
        let Some(lines) = &self.lines else { return 0 };
        lines.partition_point(|start| *start <= character) as u32 + 1
    }
}

/// The path that a name is: of `file:///app/a%20b.mjs` or `/app/a.js`.
fn path_of(name: &str) -> Option<String> {
    if name.starts_with('/') {
        return Some(name.to_owned());
    }
    let path = name.strip_prefix("file://")?;
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        let code = rest.get(1..3).and_then(|code| std::str::from_utf8(code).ok());
        let escaped = code.filter(|_| *first == b'%');
        match escaped.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[3..];
            }
            None => {
                bytes.push(*first);
                rest = others;
            }
        }
    }
    let path = String::from_utf8(bytes).ok()?;
    // A query tells instances of the same module apart.
    let path = path.split(['?', '#']).next().unwrap_or_default();
    path.starts_with('/').then(|| path.to_owned())
}

/// The characters of a file, if it is one and not too large.
fn read_file(path: &str) -> Option<Vec<u16>> {
    // Opening a pipe would wait for its other end.
    let mut options = File::options();
    options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC);
    let file = options.open(PathBuf::from(path)).ok()?;
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() || metadata.len() > MAX_BYTES {
        return None;
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).ok()?);
    file.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    Some(text.strip_prefix('\u{feff}').unwrap_or(&text).encode_utf16().collect())
}

/// The characters that V8 has outside of its heap, such as those of its embedder's own scripts.
fn outside(source: Source) -> Option<Vec<u16>> {
    let start = source.outside?;
    let count = u64::from(source.count);
    let bytes = count.checked_mul(u64::from(source.width)).filter(|bytes| *bytes <= MAX_BYTES)?;
    let bytes = read_own(start, usize::try_from(bytes).ok()?)?;
    Some(match source.width {
        1 => bytes.into_iter().map(u16::from).collect(),
        _ => {
            let (units, _) = bytes.as_chunks::<2>();
            units.iter().map(|unit| u16::from_ne_bytes(*unit)).collect()
        }
    })
}

/// Whether these are the characters that V8 runs. Node.js puts blanks in place of the types of
/// TypeScript, and leaves everything where it is.
fn is_of(units: &[u16], source: Source, path: Option<&str>) -> bool {
    if units.len() != source.count as usize {
        return false;
    }
    let is_typed = path
        .is_some_and(|path| [".ts", ".mts", ".cts"].iter().any(|ending| path.ends_with(ending)));
    let hash = source_hash(source.count, |at| units.get(at as usize).copied());
    is_typed || hash == Some(source.hash)
}

/// Where lines after the first begin, by what ends a line in JavaScript.
fn starts(units: &[u16]) -> Vec<u32> {
    const NEWLINE: u16 = b'\n' as u16;
    const RETURN: u16 = b'\r' as u16;
    let ends = |(at, unit): (usize, &u16)| match *unit {
        NEWLINE | 0x2028 | 0x2029 => Some(at as u32 + 1),
        RETURN if units.get(at + 1) != Some(&NEWLINE) => Some(at as u32 + 1),
        _ => None,
    };
    units.iter().enumerate().filter_map(ends).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        let units: Vec<u16> = text.encode_utf16().collect();
        let hash = source_hash(units.len() as u32, |at| units.get(at as usize).copied()).unwrap();
        Source { count: units.len() as u32, width: 2, outside: None, hash }
    }

    #[test]
    fn lines_are_those_of_the_file_if_that_is_what_runs() {
        let path = std::env::temp_dir().join(format!("sondage script {}.mjs", std::process::id()));
        let text = "let a\r\nlet ä = '😀'\u{2028}b\rc\n";
        std::fs::write(&path, format!("\u{feff}{text}")).unwrap();
        let name = format!("file://{}?v=1", path.display().to_string().replace(' ', "%20"));
        let script = Script::find(&name, source(text));
        assert_eq!(&*script.file, path.to_str().unwrap());
        let line_of = |part: &str| {
            let before = &text[..text.find(part).unwrap()];
            script.line(before.encode_utf16().count() as u32)
        };
        assert_eq!((line_of("let a"), line_of("ä"), line_of("b"), line_of("c")), (1, 2, 3, 4));
        assert_eq!(script.line(u32::MAX), 5);
        let other = Script::find(&name, source(&text.replace('c', "d")));
        assert_eq!(other.line(0), 0, "another source of the same length");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(Script::find(&name, source(text)).line(0), 0);
    }

    #[test]
    fn names_that_are_no_paths_stay_as_they_are() {
        assert_eq!(path_of("/app/a%20b.js").as_deref(), Some("/app/a%20b.js"));
        assert_eq!(path_of("file:///app/a%20b%.js#x").as_deref(), Some("/app/a b%.js"));
        for name in ["node:fs", "evalmachine.<anonymous>", "", "file://host/x", "file:///%ff"] {
            assert_eq!(path_of(name), None, "{name}");
        }
        assert_eq!(&*Script::find("node:fs", Source::default()).file, "node:fs");
        assert!(read_file("/dev/zero").is_none() && read_file("/").is_none());
    }

    #[test]
    fn a_source_outside_of_the_heap_is_read_from_memory() {
        let text = b"first\nsecond";
        let units: Vec<u16> = text.iter().map(|byte| u16::from(*byte)).collect();
        let hash = source_hash(12, |at| units.get(at as usize).copied()).unwrap();
        let outside = Some(text.as_ptr() as u64);
        let source = Source { count: 12, width: 1, outside, hash };
        assert_eq!(Script::find("node:x", source).line(7), 2);
        let gone = Source { outside: Some(4096), ..source };
        assert_eq!(Script::find("node:x", gone).line(7), 0);
    }
}

//! Scripts: what they are called, and where their lines begin.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use sondage_sampler::walk::v8::{Source, source_hash};

use super::lines::LineIndex;
use crate::resolve;
use crate::resolve::own_memory::read_memory;
use crate::resolve::percent::percent_decoded;

/// A source that is larger has no lines.
const MAX_BYTES: u64 = 32 << 20;

/// A script, as frames name it.
#[derive(Clone, Debug)]
pub(super) struct Script {
    /// Its path, or what V8 calls it.
    pub(super) file: Arc<str>,
    /// What V8 calls it, if its lines are those of its file.
    #[cfg_attr(not(feature = "node"), allow(dead_code, reason = "without source maps"))]
    url: Option<Arc<str>>,
    lines: Option<Rc<LineIndex>>,
}

impl Script {
    /// The script of that name with the lines of that source, which is looked for where the name
    /// says, and where V8 has it: in the process `pid`, or in this one.
    pub(super) fn find(name: &str, source: Source, pid: Option<u32>) -> Self {
        let path = path_of(name);
        let lines = |text: String| {
            is_of(&text, source, path.as_deref()).then(|| Rc::new(LineIndex::new(&text)))
        };
        let in_file = path.as_deref().and_then(|path| {
            // Its root is another in a container, and gone when it has ended.
            let in_root = pid.and_then(|pid| read_file(&format!("/proc/{pid}/root{path}")));
            in_root.and_then(lines).or_else(|| read_file(path).and_then(lines))
        });
        let file = path.as_ref().map_or(name, |path| path);
        Self {
            file: Arc::from(file),
            url: in_file.is_some().then(|| Arc::from(name)),
            lines: in_file.or_else(|| outside(source, pid).and_then(lines)),
        }
    }

    /// The line and the column of a character, both counted from 0; `None` if lines are not known.
    pub(super) fn position(&self, character: u32) -> Option<(u32, u32)> {
        self.lines.as_ref()?.position(character)
    }

    /// The name by which the script's source map is looked for, if it is a file's.
    #[cfg_attr(not(feature = "node"), allow(dead_code, reason = "without source maps"))]
    pub(super) fn url(&self) -> Option<&Arc<str>> {
        self.url.as_ref()
    }
}

/// The path that a name is: of `file:///app/a%20b.mjs` or `/app/a.js`.
fn path_of(name: &str) -> Option<String> {
    if name.starts_with('/') {
        return Some(name.to_owned());
    }
    let path = name.strip_prefix("file://")?;
    let path = String::from_utf8(percent_decoded(path.as_bytes()).into_owned()).ok()?;
    // A query tells instances of the same module apart.
    let path = path.split(['?', '#']).next().unwrap_or_default();
    path.starts_with('/').then(|| path.to_owned())
}

/// The text of a file, if it is one and not too large.
fn read_file(path: &str) -> Option<String> {
    let (file, _) = resolve::source::Source::open(Path::new(path)).ok()?;
    let bytes = file.read(0, file.len(), MAX_BYTES).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    Some(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned())
}

/// The characters that V8 has outside of its heap, such as those of its embedder's own scripts.
fn outside(source: Source, pid: Option<u32>) -> Option<String> {
    let start = source.outside?;
    let count = u64::from(source.count);
    let bytes = count.checked_mul(u64::from(source.width)).filter(|bytes| *bytes <= MAX_BYTES)?;
    let bytes = read_memory(pid, start, usize::try_from(bytes).ok()?)?;
    Some(match source.width {
        1 => bytes.into_iter().map(char::from).collect(),
        _ => {
            let (units, _) = bytes.as_chunks::<2>();
            let units: Vec<_> = units.iter().map(|unit| u16::from_ne_bytes(*unit)).collect();
            String::from_utf16_lossy(&units)
        }
    })
}

/// Whether this is the text that V8 runs. Node.js puts blanks in place of the types of TypeScript,
/// and leaves everything where it is.
fn is_of(text: &str, source: Source, path: Option<&str>) -> bool {
    let hash = if text.is_ascii() {
        let bytes = text.as_bytes();
        (bytes.len() == source.count as usize)
            .then(|| source_hash(source.count, |at| bytes.get(at as usize).copied().map(u16::from)))
    } else {
        let units: Vec<u16> = text.encode_utf16().collect();
        (units.len() == source.count as usize)
            .then(|| source_hash(source.count, |at| units.get(at as usize).copied()))
    };
    let Some(hash) = hash else { return false };
    let is_typed = path
        .is_some_and(|path| [".ts", ".mts", ".cts"].iter().any(|ending| path.ends_with(ending)));
    is_typed || hash == Some(source.hash)
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
        let script = Script::find(&name, source(text), None);
        assert_eq!(&*script.file, path.to_str().unwrap());
        let line_of = |part: &str| {
            let before = &text[..text.find(part).unwrap()];
            script.position(before.encode_utf16().count() as u32).unwrap().0
        };
        assert_eq!((line_of("let a"), line_of("ä"), line_of("b"), line_of("c")), (0, 1, 2, 3));
        assert_eq!(script.position(u32::MAX), None);
        let other = Script::find(&name, source(&text.replace('c', "d")), None);
        assert_eq!(other.position(0), None, "another source of the same length");
        assert_eq!((other.url(), script.url().map(|url| &**url)), (None, Some(name.as_str())));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(Script::find(&name, source(text), None).position(0), None);
    }

    #[test]
    fn names_that_are_no_paths_stay_as_they_are() {
        assert_eq!(path_of("/app/a%20b.js").as_deref(), Some("/app/a%20b.js"));
        assert_eq!(path_of("file:///app/a%20b%.js#x").as_deref(), Some("/app/a b%.js"));
        for name in ["node:fs", "evalmachine.<anonymous>", "", "file://host/x", "file:///%ff"] {
            assert_eq!(path_of(name), None, "{name}");
        }
        assert_eq!(&*Script::find("node:fs", Source::default(), None).file, "node:fs");
        assert!(read_file("/dev/zero").is_none() && read_file("/").is_none());
    }

    #[test]
    fn a_source_outside_of_the_heap_is_read_from_memory() {
        let text = b"first\nsecond";
        let units: Vec<u16> = text.iter().map(|byte| u16::from(*byte)).collect();
        let hash = source_hash(12, |at| units.get(at as usize).copied()).unwrap();
        let outside = Some(text.as_ptr() as u64);
        let source = Source { count: 12, width: 1, outside, hash };
        assert_eq!(Script::find("node:x", source, None).position(7), Some((1, 1)));
        let gone = Source { outside: Some(4096), ..source };
        assert_eq!(Script::find("node:x", gone, None).position(7), None);
    }
}

//! By what it is seen that a script or a map is another one than before.

use std::hash::DefaultHasher;
use std::hash::Hasher;
use std::os::unix::fs::MetadataExt;

use super::script::ScriptText;

/// Bytes of a text's end that tell two texts of one length apart: a map within it stands there.
const HASHED: usize = 256 << 10;

/// A file at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileStamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl FileStamp {
    /// The file that is now at `path`; `None` where there is none.
    pub(super) fn of(path: &str) -> Option<Self> {
        let meta = std::fs::metadata(path).ok()?;
        Some(Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
        })
    }
}

/// A script at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScriptStamp {
    Text { bytes: usize, hash: u64 },
    File(Option<FileStamp>),
}

impl ScriptStamp {
    /// `None` for a script that has neither text nor place, so that there is nothing to read.
    pub(super) fn of(script: &ScriptText<'_>) -> Option<Self> {
        let Some(text) = script.text else {
            return script.path().map(|path| Self::File(FileStamp::of(&path)));
        };
        let mut hasher = DefaultHasher::new();
        hasher.write(&text.as_bytes()[text.len().saturating_sub(HASHED)..]);
        Some(Self::Text { bytes: text.len(), hash: hasher.finish() })
    }
}

/// What was looked at to find a script's map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) script: ScriptStamp,
    /// The file that the script names as its map, and which one that was, if any.
    pub(super) map: Option<(Box<str>, Option<FileStamp>)>,
}

impl Seen {
    /// Whether the script is `now` what it was, and so is its map.
    pub(super) fn still_holds(&self, now: &ScriptStamp) -> bool {
        self.script == *now
            && self.map.as_ref().is_none_or(|(path, was)| FileStamp::of(path) == *was)
    }

    /// Bytes of its texts.
    pub(super) fn bytes(&self) -> usize {
        self.map.as_ref().map_or(0, |(path, _)| path.len())
    }
}

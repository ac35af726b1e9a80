//! The names of the files that [`FileSink`](super::FileSink) writes, and what they tell.

use super::{groups, utc};
use crate::profile::ValueType;

const SUFFIX: &str = ".pb.gz";

/// Bytes of the service's name in a file's name, which may have 255.
const MAX_SERVICE: usize = 64;

/// What a file's profile measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    /// CPU time, waiting time, or anything that is not below.
    Cpu,
    /// Memory that was allocated and that is in use.
    Heap,
    /// Waits for locks.
    Locks,
}

impl FileKind {
    /// The kind of files that have a column of this name: `inuse_space` is of [`Heap`](Self::Heap).
    pub fn of_column(kind: &str) -> Self {
        Self::of_columns(&[ValueType::new(kind, "")])
    }

    /// The kind of a profile with these columns.
    pub fn of_columns(types: &[ValueType]) -> Self {
        match types {
            types if groups::is_heap(types) => Self::Heap,
            types if groups::is_locks(types) => Self::Locks,
            _ => Self::Cpu,
        }
    }

    /// What stands before the suffix.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Cpu => "",
            Self::Heap => "heap",
            Self::Locks => "locks",
        }
    }

    pub(super) fn of_word(word: &str) -> Option<Self> {
        [Self::Cpu, Self::Heap, Self::Locks].into_iter().find(|kind| kind.word() == word)
    }
}

/// What `SERVICE-YYYYmmddTHHMMSSZ-PID-SEQ[-heap|-locks].pb.gz` tells of its profile without opening
/// it. Labels are not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileName<'a> {
    /// The service, with `_` for what may not stand in a file's name and at most 64 bytes of it:
    /// compare with [`file_service`](Self::file_service).
    pub service: &'a str,
    /// The profile's start, in seconds since the Unix epoch.
    pub start_unix_seconds: u64,
    /// The process that wrote it.
    pub pid: u32,
    /// Its number among that process' files.
    pub sequence: u64,
    /// What it measures.
    pub kind: FileKind,
}

impl<'a> FileName<'a> {
    /// Reads a name without its folder. `None` for one that no sink has written.
    pub fn parse(name: &'a str) -> Option<Self> {
        let rest = name.strip_suffix(SUFFIX)?;
        let (rest, kind) = match rest.rsplit_once('-')? {
            (rest, word) if !word.is_empty() && FileKind::of_word(word).is_some() => {
                (rest, FileKind::of_word(word)?)
            }
            _ => (rest, FileKind::Cpu),
        };
        let (rest, sequence) = rest.rsplit_once('-')?;
        let (rest, pid) = rest.rsplit_once('-')?;
        let (service, stamp) = rest.rsplit_once('-')?;
        let start_unix_seconds = utc::parse_compact(stamp)?;
        let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if service.is_empty() || !number(pid) || !number(sequence) {
            return None;
        }
        let (pid, sequence) = (pid.parse().ok()?, sequence.parse().ok()?);
        Some(Self { service, start_unix_seconds, pid, sequence, kind })
    }

    pub(super) fn to_text(self) -> String {
        let Self { service, start_unix_seconds, pid, sequence, kind } = self;
        let stamp = utc::compact(start_unix_seconds);
        let dash = if kind == FileKind::Cpu { "" } else { "-" };
        format!("{service}-{stamp}-{pid}-{sequence}{dash}{}{SUFFIX}", kind.word())
    }

    /// A service's name as files have it: `my shop` is `my_shop`.
    pub fn file_service(service: &str) -> String {
        let kept = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
        let name: String = service.chars().take(MAX_SERVICE).map(kept).collect();
        match name.strip_prefix('.') {
            Some(rest) => format!("_{rest}"),
            None if name.is_empty() => "profile".to_owned(),
            None => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_service_start_and_kind_and_is_written_as_it_is_read() {
        for (name, service, kind) in [
            ("a-b-20250131T235959Z-12-3.pb.gz", "a-b", FileKind::Cpu),
            ("a-20250131T235959Z-12-3-heap.pb.gz", "a", FileKind::Heap),
            ("heap-20250131T235959Z-12-3-locks.pb.gz", "heap", FileKind::Locks),
            (
                "a-20240101T000000Z-1-2-20250131T235959Z-12-3.pb.gz",
                "a-20240101T000000Z-1-2",
                FileKind::Cpu,
            ),
        ] {
            let read = FileName::parse(name).unwrap();
            assert_eq!((read.service, read.kind), (service, kind), "{name}");
            assert_eq!((read.start_unix_seconds, read.pid, read.sequence), (1_738_367_999, 12, 3));
            assert_eq!(read.to_text(), name);
        }
    }

    #[test]
    fn only_our_own_form_of_name_is_recognised() {
        for name in [
            "a-20250131T235959Z-12-3.txt",
            "a-20250131T235959Z-12.pb.gz",
            "a-20250131T235959Z-12-x.pb.gz",
            "a-20250131T235959Z-12-+3.pb.gz",
            "a-20250131T235959Z--3.pb.gz",
            "a-20250131T235959Z-12-3-4.pb.gz",
            "a-20250131T235959Z-12-3-heap-4.pb.gz",
            "a-20250131T235959Z-12-3-.pb.gz",
            "a-20250131-235959Z-12-3.pb.gz",
            "a-20251331T235959Z-12-3.pb.gz",
            "-20250131T235959Z-12-3.pb.gz",
            "a-20250131T235959Z-12-3.pb.gz.tmp",
            "a-.pb.gz",
            "important.pb.gz",
        ] {
            assert_eq!(FileName::parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_service_name_stays_inside_the_directory() {
        for (service, name) in
            [("shop", "shop"), ("../../etc/x", "_._.._etc_x"), ("", "profile"), ("a b/ü", "a_b__")]
        {
            assert_eq!(FileName::file_service(service), name);
        }
        assert_eq!(FileName::file_service(&"x".repeat(1000)).len(), MAX_SERVICE);
    }

    #[test]
    fn a_column_says_in_which_files_it_is() {
        for (column, kind) in [
            ("cpu", FileKind::Cpu),
            ("wall", FileKind::Cpu),
            ("inuse_space", FileKind::Heap),
            ("contentions", FileKind::Locks),
        ] {
            assert_eq!(FileKind::of_column(column), kind);
        }
    }
}

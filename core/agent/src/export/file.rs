//! Profiles as files in a directory.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::sink::{PushError, Sink, Upload};
use super::{groups, headed, utc};
use crate::error::{self, Error};
use crate::profile::{Profile, pprof};

/// Files of one service that a directory keeps: 2 h 46 min of one process at 10 s.
const MAX_FILES: usize = 1000;

/// Bytes that they may hold together.
const MAX_BYTES: u64 = 256 << 20;

/// Files written between two looks at the directory, by which the limits can be exceeded.
const CLEAN_EVERY: u64 = 16;

/// Age of a half-written file that its writer must have left behind.
const STALE: Duration = Duration::from_secs(3600);

/// Bytes of the service's name in a file's name, which may have 255.
const MAX_SERVICE: usize = 64;

const SUFFIX: &str = ".pb.gz";
/// What stands before the suffix of profiles of the heap and of locks.
const HEAP: &str = "heap";
const LOCKS: &str = "locks";
const HALF_WRITTEN: &str = ".tmp";

/// Writes `SERVICE-YYYYmmddTHHMMSSZ-PID-SEQ.pb.gz`, named for the profile's start in UTC, with
/// permissions for the owner only; a profile of the heap has `-heap` before the suffix, one of locks
/// `-locks`. A file appears under its name when it is complete.
///
/// The directory keeps the newest 1,000 files and 256 MiB of one service, whichever process wrote
/// them; older ones are deleted. Files whose names have another form are never touched.
#[derive(Debug)]
pub struct FileSink {
    dir: PathBuf,
    shown: String,
    service: String,
    max_files: usize,
    max_bytes: u64,
    sequence: u64,
    written: u64,
}

impl FileSink {
    /// Writes into `dir`, which is made with the first file. A relative path is taken from the
    /// present working directory, also when the process changes that later.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) when there is no working directory.
    pub fn new(dir: &Path, service: &str) -> Result<Self, Error> {
        let shown = format!("file:{}", dir.display());
        let dir = std::path::absolute(dir).map_err(|error| {
            let message = format!("{shown}: no working directory: {error}");
            Error::new(error::ErrorKind::Io, message).with_source(error)
        })?;
        let (max_files, max_bytes) = (MAX_FILES, MAX_BYTES);
        let service = file_name(service);
        Ok(Self { dir, shown, service, max_files, max_bytes, sequence: 0, written: 0 })
    }

    /// Keeps at most `files` files and `bytes` bytes of the service.
    pub fn with_limits(mut self, files: usize, bytes: u64) -> Self {
        (self.max_files, self.max_bytes) = (files.max(1), bytes);
        self
    }

    fn write(&mut self, upload: &Upload) -> Result<(), Failure> {
        let (kind, bytes) = headed::parts(upload).unwrap_or(("", &upload.body));
        let mut dirs = DirBuilder::new();
        let made = dirs.recursive(true).mode(0o700).create(&self.dir);
        made.map_err(|error| Failure { doing: "cannot make the directory", error })?;
        if self.written.is_multiple_of(CLEAN_EVERY) {
            // A directory that cannot be listed can be written to; it is then not cleaned.
            let _ = self.clean();
        }
        let path = self.free_path(upload, kind);
        let mut half = path.clone().into_os_string();
        half.push(HALF_WRITTEN);
        let failed = |error| Failure { doing: "cannot write", error };
        let file = create(Path::new(&half)).map_err(failed)?;
        let result = write_all(file, bytes).and_then(|()| fs::rename(&half, &path));
        if result.is_err() {
            let _ = fs::remove_file(&half);
        }
        result.map_err(failed)?;
        self.written += 1;
        Ok(())
    }

    /// A name that no file has: process ids come again, in containers most of all.
    fn free_path(&mut self, upload: &Upload, kind: &str) -> PathBuf {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let start = upload.start_unix_nanos.map_or(now, Duration::from_nanos);
        let stamp = utc::compact(start.as_secs());
        loop {
            let (pid, sequence) = (std::process::id(), self.sequence);
            let kind = match kind {
                HEAP => "-heap",
                LOCKS => "-locks",
                _ => "",
            };
            let name = format!("{}-{stamp}-{pid}-{sequence}{kind}{SUFFIX}", self.service);
            let path = self.dir.join(name);
            self.sequence += 1;
            if fs::symlink_metadata(&path).is_err() {
                return path;
            }
        }
    }

    /// Deletes the oldest files of this service until one more fits.
    fn clean(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir)?.flatten() {
            let name = entry.file_name();
            let Some(stamp) = name.to_str().and_then(|name| stamp(name, &self.service)) else {
                continue;
            };
            // The entry's own metadata: a link is not followed, and not deleted.
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_file() {
                let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                files.push(((stamp.to_owned(), modified), metadata.len(), entry.path()));
            }
        }
        let (half_written, mut files): (Vec<_>, Vec<_>) = files
            .into_iter()
            .partition(|(_, _, path)| path.extension().is_some_and(|it| it == "tmp"));
        for ((_, modified), _, path) in half_written {
            if modified.elapsed().is_ok_and(|age| age > STALE) {
                fs::remove_file(path)?;
            }
        }
        files.sort();
        let mut bytes: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        let mut count = files.len();
        for (_, size, path) in files {
            if count < self.max_files && bytes <= self.max_bytes {
                break;
            }
            fs::remove_file(path)?;
            (count, bytes) = (count - 1, bytes - size);
        }
        Ok(())
    }
}

impl Sink for FileSink {
    fn name(&self) -> String {
        self.shown.clone()
    }

    fn is_local(&self) -> bool {
        true
    }

    /// An upload is what the name says of the kind of profile, a line feed, and the file.
    fn encode(&mut self, profile: &Profile) -> Result<Vec<Upload>, Error> {
        let kind = match profile.sample_types() {
            types if groups::is_heap(types) => HEAP,
            types if groups::is_locks(types) => LOCKS,
            _ => "",
        };
        Ok(vec![headed::upload(kind, profile, pprof::encode(profile))])
    }

    fn push(&mut self, upload: &Upload, _deadline: Instant) -> Result<(), PushError> {
        self.write(upload).map_err(|failure| failure.into_push_error(&self.dir))
    }
}

/// What an operation on the directory failed with.
struct Failure {
    doing: &'static str,
    error: io::Error,
}

impl Failure {
    fn into_push_error(self, dir: &Path) -> PushError {
        let Self { doing, error } = self;
        let dir = dir.display();
        let message = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                format!("{doing}: the disk of {dir} is full")
            }
            ErrorKind::ReadOnlyFilesystem => {
                format!("{doing}: {dir} is on a read-only file system")
            }
            ErrorKind::PermissionDenied => {
                format!("{doing}: this process may not write to {dir}: {error}")
            }
            _ => format!("{doing}: {dir}: {error}"),
        };
        match error.kind() {
            // Nothing that time heals; the next profile tries again anyway.
            ErrorKind::ReadOnlyFilesystem
            | ErrorKind::PermissionDenied
            | ErrorKind::NotADirectory
            | ErrorKind::InvalidFilename
            | ErrorKind::FileTooLarge => PushError::rejected(message),
            _ => PushError::retry(message),
        }
    }
}

/// Makes a file that must not exist: a planted link is not followed (`O_EXCL`).
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// The file is not synced: that would stall the disk of the host for a profile.
fn write_all(mut file: File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)
}

/// A service's name as part of a file's name.
fn file_name(service: &str) -> String {
    let kept =
        |char: char| if char.is_ascii_alphanumeric() || "._-".contains(char) { char } else { '_' };
    let name: String = service.chars().take(MAX_SERVICE).map(kept).collect();
    match name.strip_prefix('.') {
        Some(rest) => format!("_{rest}"),
        None if name.is_empty() => "profile".to_owned(),
        None => name,
    }
}

/// The time in the name of a file that this service wrote, finished or not.
fn stamp<'a>(name: &'a str, service: &str) -> Option<&'a str> {
    let name = name.strip_suffix(HALF_WRITTEN).unwrap_or(name);
    let rest = name.strip_suffix(SUFFIX)?.strip_prefix(service)?.strip_prefix('-')?;
    let mut parts = rest.split('-');
    let (stamp, pid, sequence) = (parts.next()?, parts.next()?, parts.next()?);
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let form = stamp.len() == 16
        && stamp.bytes().enumerate().all(|(index, byte)| match index {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        });
    let kind =
        parts.next().is_none_or(|kind| kind == HEAP || kind == LOCKS) && parts.next().is_none();
    (form && number(pid) && number(sequence) && kind).then_some(stamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_named_and_tried_again() {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let error = write_all(full, b"profile").unwrap_err();
        let failure = Failure { doing: "cannot write", error };
        let error = failure.into_push_error(Path::new("/var/profiles"));
        assert!(error.message().contains("the disk of /var/profiles is full"), "{error}");
        assert!(matches!(error, PushError::Retry { .. }));
    }

    #[test]
    fn what_time_does_not_heal_is_not_tried_again() {
        for kind in [ErrorKind::ReadOnlyFilesystem, ErrorKind::PermissionDenied] {
            let failure = Failure { doing: "cannot write", error: kind.into() };
            let error = failure.into_push_error(Path::new("/x"));
            assert!(matches!(error, PushError::Rejected { .. }), "{error}");
        }
    }

    #[test]
    fn only_our_own_form_of_name_is_recognised() {
        assert_eq!(stamp("a-b-20250131T235959Z-12-3.pb.gz", "a-b"), Some("20250131T235959Z"));
        assert_eq!(stamp("a-20250131T235959Z-12-3.pb.gz.tmp", "a"), Some("20250131T235959Z"));
        assert_eq!(stamp("a-20250131T235959Z-12-3-heap.pb.gz", "a"), Some("20250131T235959Z"));
        assert_eq!(stamp("a-20250131T235959Z-12-3-locks.pb.gz", "a"), Some("20250131T235959Z"));
        for name in [
            "a-b-20250131T235959Z-12-3.pb.gz",
            "a-20250131T235959Z-12-3.txt",
            "a-20250131T235959Z-12.pb.gz",
            "a-20250131T235959Z-12-x.pb.gz",
            "a-20250131T235959Z-12-3-4.pb.gz",
            "a-20250131T235959Z-12-3-heap-4.pb.gz",
            "a-20250131-235959Z-12-3.pb.gz",
            "a-.pb.gz",
            "important.pb.gz",
        ] {
            assert_eq!(stamp(name, "a"), None, "{name}");
        }
    }

    #[test]
    fn a_service_name_stays_inside_the_directory() {
        for (service, name) in
            [("shop", "shop"), ("../../etc/x", "_._.._etc_x"), ("", "profile"), ("a b/ü", "a_b__")]
        {
            assert_eq!(file_name(service), name);
        }
        assert_eq!(file_name(&"x".repeat(1000)).len(), MAX_SERVICE);
    }
}

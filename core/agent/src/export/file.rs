//! Profiles as files in a directory.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::file_name::{FileKind, FileName};
use super::headed;
use super::sink::{PushError, Sink, Upload};
use crate::error::{self, Error};
use crate::profile::{Profile, pprof};

/// Files written at most between two looks at the directory, by which the limits can be exceeded; and
/// at most a tenth of the limit on their number.
const CLEAN_EVERY: u64 = 16;

/// Age of a half-written file that its writer must have left behind.
const STALE: Duration = Duration::from_secs(3600);

/// What stands behind the name of a file that is being written.
const HALF_WRITTEN: &str = ".tmp";

/// What a directory keeps of one service. A further file is deleted when the next 16 are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLimits {
    /// Files, at least 1; 10,000: 28 hours of one process at 10 s, 3 hours and a half of eight.
    pub count: usize,
    /// Bytes of all files together; 256 MiB: 3 days of one process with files of 10 KiB.
    pub bytes: u64,
    /// Time since a profile's start; 7 days, so that a day can be compared with the same one of the
    /// week before.
    pub age: Duration,
}

impl Default for FileLimits {
    fn default() -> Self {
        Self { count: 10_000, bytes: 256 << 20, age: Duration::from_secs(7 * 24 * 3600) }
    }
}

/// Writes `SERVICE-YYYYmmddTHHMMSSZ-PID-SEQ.pb.gz`, named for the profile's start in UTC, with
/// permissions for the owner only; a profile of the heap has `-heap` before the suffix, one of locks
/// `-locks`. A file appears under its name when it is complete.
///
/// The directory keeps what [`FileLimits`] allow of one service, whichever process wrote it; older
/// files are deleted. Any number of processes may write into it at once. Files whose names have another
/// form are never touched.
#[derive(Debug)]
pub struct FileSink {
    dir: PathBuf,
    shown: String,
    service: String,
    limits: FileLimits,
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
        let limits = FileLimits::default();
        let service = FileName::file_service(service);
        Ok(Self { dir, shown, service, limits, sequence: 0, written: 0 })
    }

    /// Keeps as much of the service.
    pub fn with_limits(mut self, limits: FileLimits) -> Self {
        self.limits = limits;
        self
    }

    fn write(&mut self, upload: &Upload) -> Result<(), Failure> {
        let (kind, bytes) = headed::parts(upload).unwrap_or(("", &upload.body));
        let mut dirs = DirBuilder::new();
        let made = dirs.recursive(true).mode(0o700).create(&self.dir);
        made.map_err(|error| Failure { doing: "cannot make the directory", error })?;
        let every = CLEAN_EVERY.min(self.limits.count as u64 / 10).max(1);
        if self.written.is_multiple_of(every) {
            // A directory that cannot be listed can be written to; it is then not cleaned.
            let _ = self.clean();
        }
        let failed = |error| Failure { doing: "cannot write", error };
        loop {
            let path = self.free_path(upload, kind);
            let mut half = path.clone().into_os_string();
            half.push(HALF_WRITTEN);
            let half = PathBuf::from(half);
            let file = create(&half).map_err(failed)?;
            let result = write_all(file, bytes).and_then(|()| publish(&half, &path));
            match result {
                Ok(()) => break,
                // Somebody with this process id, of another container, was faster.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    drop(fs::remove_file(&half))
                }
                Err(error) => {
                    let _ = fs::remove_file(&half);
                    return Err(failed(error));
                }
            }
        }
        self.written += 1;
        Ok(())
    }

    /// A name that no file has: process ids come again, in containers most of all.
    fn free_path(&mut self, upload: &Upload, kind: &str) -> PathBuf {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let start = upload.start_unix_nanos.map_or(now, Duration::from_nanos);
        let kind = FileKind::of_word(kind).unwrap_or(FileKind::Cpu);
        loop {
            let name = FileName {
                service: &self.service,
                start_unix_seconds: start.as_secs(),
                pid: std::process::id(),
                sequence: self.sequence,
                kind,
            };
            let name = name.to_text();
            let path = self.dir.join(name);
            self.sequence += 1;
            if fs::symlink_metadata(&path).is_err() {
                return path;
            }
        }
    }

    /// The start in the name of a file that this service wrote, finished or not.
    fn start_of(&self, name: &str) -> Option<u64> {
        let name = FileName::parse(name.strip_suffix(HALF_WRITTEN).unwrap_or(name))?;
        (name.service == self.service).then_some(name.start_unix_seconds)
    }

    /// Deletes the oldest files of this service until one more fits, and those that are too old.
    fn clean(&self) -> io::Result<()> {
        let (half_written, mut files): (Vec<_>, Vec<_>) =
            self.files()?.into_iter().partition(|file| file.is_half_written());
        for file in half_written {
            if file.modified.elapsed().is_ok_and(|age| age > STALE) {
                remove(&file.path);
            }
        }
        files.sort_by(|a, b| (a.start, a.modified, &a.path).cmp(&(b.start, b.modified, &b.path)));
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let oldest = now.saturating_sub(self.limits.age).as_secs();
        let mut bytes: u64 = files.iter().map(|file| file.bytes).sum();
        let mut count = files.len();
        for file in files {
            let fits = count < self.limits.count.max(1) && bytes <= self.limits.bytes;
            if fits && file.start >= oldest {
                break;
            }
            // One that stays, another user's in a shared directory, is made up for by the next.
            if remove(&file.path) {
                (count, bytes) = (count - 1, bytes - file.bytes);
            }
        }
        Ok(())
    }

    /// The files of this service, finished or not.
    fn files(&self) -> io::Result<Vec<Written>> {
        let files = fs::read_dir(&self.dir)?.flatten().filter_map(|entry| {
            let start = self.start_of(entry.file_name().to_str()?)?;
            // The entry's own metadata: a link is not followed, and not deleted.
            let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            Some(Written { start, modified, bytes: metadata.len(), path: entry.path() })
        });
        Ok(files.collect())
    }
}

/// A file of the service.
struct Written {
    /// In seconds since the Unix epoch, by its name.
    start: u64,
    modified: SystemTime,
    bytes: u64,
    path: PathBuf,
}

impl Written {
    fn is_half_written(&self) -> bool {
        self.path.extension().is_some_and(|it| it == "tmp")
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
        let kind = FileKind::of_columns(profile.sample_types()).word();
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

/// Gives a complete file its name, unless another file has it.
fn publish(half: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(half, path) {
        Ok(()) => fs::remove_file(half),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(error),
        // Not every file system has a second name for a file.
        Err(_) => fs::rename(half, path),
    }
}

/// Removes a file that another process may have removed by now, and tells whether it is gone.
fn remove(path: &Path) -> bool {
    !fs::remove_file(path).is_err_and(|error| error.kind() != ErrorKind::NotFound)
}

/// The file is not synced: that would stall the disk of the host for a profile.
fn write_all(mut file: File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)
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
}

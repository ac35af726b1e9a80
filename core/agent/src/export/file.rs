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

/// Files of one service that a directory keeps: 2 h 46 min of one process at 10 s.
const MAX_FILES: usize = 1000;

/// Bytes that they may hold together.
const MAX_BYTES: u64 = 256 << 20;

/// Files written between two looks at the directory, by which the limits can be exceeded.
const CLEAN_EVERY: u64 = 16;

/// Age of a half-written file that its writer must have left behind.
const STALE: Duration = Duration::from_secs(3600);

/// What stands behind the name of a file that is being written.
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
        let service = FileName::file_service(service);
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

    /// Deletes the oldest files of this service until one more fits.
    fn clean(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir)?.flatten() {
            let name = entry.file_name();
            let Some(stamp) = name.to_str().and_then(|name| self.start_of(name)) else { continue };
            // The entry's own metadata: a link is not followed, and not deleted.
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_file() {
                let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                files.push(((stamp, modified), metadata.len(), entry.path()));
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

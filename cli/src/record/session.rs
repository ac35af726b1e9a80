//! The private directory through which recorded processes hand over their profiles.
//!
//! What is in it is written down in the recording module of the library.

use std::cell::Cell;
use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::args;
use crate::error::Error;

/// Names that are tried before giving up.
const ATTEMPTS: u32 = 16;

/// A directory that only this user can read, removed when dropped.
#[derive(Debug)]
pub(crate) struct Session {
    directory: PathBuf,
    kept: Cell<bool>,
}

impl Session {
    /// Makes the directory and writes the settings of the recording into it.
    pub(crate) fn create(options: &args::Record) -> Result<Self, Error> {
        let session = Self { directory: make_directory()?, kept: Cell::new(false) };
        let mut settings = format!("hz {}\nwall {}\n", options.hz, u8::from(options.wall));
        if let Some(duration) = options.duration {
            let end = SystemTime::now() + duration;
            let end = end.duration_since(UNIX_EPOCH).unwrap_or_default();
            settings.push_str(&format!("until_unix_ms {}\n", end.as_millis()));
        }
        let path = session.directory.join("settings");
        std::fs::write(&path, settings).map_err(|error| Error::of_file(&path, error))?;
        Ok(session)
    }

    /// Its absolute path.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Waits until every process that lives has written all it will, at most for `longest`.
    pub(crate) fn wait_for_processes(&self, longest: Duration, look: Duration) {
        let latest = Instant::now() + longest;
        while self.is_recording() && Instant::now() < latest {
            std::thread::sleep(look);
        }
    }

    fn is_recording(&self) -> bool {
        let Ok(listing) = std::fs::read_dir(&self.directory) else { return false };
        listing.filter_map(Result::ok).any(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let image = name.strip_suffix(".open").and_then(|image| image.split_once('-'));
            image.is_some_and(|(pid, _)| Path::new("/proc").join(pid).exists())
        })
    }

    /// Leaves the directory where it is, and tells where.
    pub(crate) fn keep(&self) -> String {
        self.kept.set(true);
        self.directory.display().to_string()
    }

    /// A path of the library that `LD_PRELOAD` can hold: it has no escape for blanks and colons.
    pub(crate) fn preloadable(&self, library: &Path) -> Result<PathBuf, Error> {
        let plain = |path: &Path| {
            let text = path.to_string_lossy();
            !text.contains([' ', ':', '\t', '\n'])
        };
        if plain(library) {
            return Ok(library.to_owned());
        }
        let link = self.directory.join("libsondage.so");
        let linked = std::os::unix::fs::symlink(library, &link);
        linked.map_err(|error| Error::of_file(&link, error))?;
        if plain(&link) {
            return Ok(link);
        }
        let message = "a path with blanks or colons cannot be preloaded; set TMPDIR to one without";
        Err(Error::of_file(&link, message))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.kept.get() {
            // A process that still writes may have added a file meanwhile.
            let removed = std::fs::remove_dir_all(&self.directory);
            if removed.is_err() {
                let _ = std::fs::remove_dir_all(&self.directory);
            }
        }
    }
}

fn make_directory() -> Result<PathBuf, Error> {
    let parent = std::env::temp_dir();
    let parent = parent.canonicalize().map_err(|error| Error::of_file(&parent, error))?;
    let mut last = None;
    for _ in 0..ATTEMPTS {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let path = parent.join(format!("sondage-{}-{now:x}", std::process::id()));
        // Fails when the name is taken, also by a symbolic link.
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => last = Some(error),
            Err(error) => return Err(Error::of_file(&path, error)),
        }
    }
    Err(Error::of_file(&parent, last.map_or_else(String::new, |error| error.to_string())))
}

//! The profiles in a directory, by their names.

use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};

use sondage::export::{FileKind, FileName};

use crate::error::Error;
use crate::format;

/// Files of a directory that are looked at.
const MAX_FILES: usize = 1_000_000;

/// A file that may hold a profile.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    /// What its name tells, where Sondage gave it.
    pub(super) told: Option<Told>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Told {
    pub(super) start_unix_seconds: u64,
    pub(super) kind: FileKind,
    /// As files have it.
    service: String,
}

impl Told {
    pub(super) fn is_of(&self, service: &str) -> bool {
        self.service == FileName::file_service(service)
    }
}

/// The profiles in a directory and not below it, in order of time as far as names tell it.
pub(super) fn files(dir: &Path) -> Result<Vec<File>, Error> {
    let entries = fs::read_dir(dir).map_err(|error| Error::of_file(dir, error))?;
    let files = entries.flatten().take(MAX_FILES).filter_map(|entry| {
        let name = entry.file_name();
        let told = FileName::parse(name.to_str()?).map(|name| Told {
            start_unix_seconds: name.start_unix_seconds,
            kind: name.kind,
            service: name.service.to_owned(),
        });
        let path = entry.path();
        (format::is_readable(&path) && is_file(&entry)).then_some(File { path, told })
    });
    let mut files: Vec<_> = files.collect();
    files.sort_by(|a, b| (&a.told, &a.path).cmp(&(&b.told, &b.path)));
    Ok(files)
}

/// Whether reading it comes to an end: a pipe by such a name would be waited for.
fn is_file(entry: &DirEntry) -> bool {
    match entry.file_type() {
        Ok(kind) if kind.is_symlink() => entry.path().is_file(),
        Ok(kind) => kind.is_file(),
        Err(_) => false,
    }
}

//! Where the process finds the library: at its own path, or as a copy for the time of loading.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::folder::Folder;
use super::process::Process;
use crate::error::Error;

/// Folders of the process for a copy: of some file systems no code may be run.
const FOLDERS: [&[&str]; 3] = [&["tmp"], &["var", "tmp"], &["dev", "shm"]];

/// A place to load the library from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The path that it has here.
    Here,
    /// A folder of the process.
    Folder(&'static [&'static str]),
}

/// The places to try, in their order.
pub(crate) fn places(library: &Path, process: &Process) -> Vec<Place> {
    let visible = is_visible(library, process);
    let mut places = Vec::new();
    if visible {
        places.push(Place::Here);
    }
    // Another user may see the path and not be allowed to read it.
    if !visible || process.is_foreign() {
        places.extend(FOLDERS.map(Place::Folder));
    }
    places
}

/// Whether the process finds the same file at the same path: not in a container.
fn is_visible(library: &Path, process: &Process) -> bool {
    let Ok(own) = library.metadata() else { return false };
    let inside = library.strip_prefix("/").unwrap_or(library);
    let seen = process.proc().path("root").join(inside).metadata();
    seen.is_ok_and(|seen| (seen.dev(), seen.ino()) == (own.dev(), own.ino()))
}

impl Place {
    /// Has the library there, until the value is dropped.
    pub(crate) fn occupy(self, library: &Path, process: &Process) -> Result<Placed, Error> {
        match self {
            Self::Here => Ok(Placed { path: library.to_owned(), copy: None }),
            Self::Folder(names) => copy(names, library, process).map_err(|error| {
                process.failed(&format!("its folder /{}: {error}", names.join("/")))
            }),
        }
    }
}

/// The library as the process finds it.
#[derive(Debug)]
pub(crate) struct Placed {
    path: PathBuf,
    copy: Option<(Folder, String)>,
}

impl Placed {
    /// Its path in the file system of the process.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        if let Some((folder, name)) = &self.copy {
            let _ = std::fs::remove_file(folder.path(name));
        }
    }
}

/// A copy that only the owner of the process can read.
fn copy(names: &[&str], library: &Path, process: &Process) -> io::Result<Placed> {
    let folder = process.root()?.descend(names)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let name = format!(".sondage-{}-{now:x}.so", std::process::id());
    let mut file = folder.create(&name)?;
    let path = Path::new("/").join(names.join("/")).join(&name);
    let placed = Placed { path, copy: Some((folder, name)) };
    io::copy(&mut File::open(library)?, &mut file)?;
    process.give(&file)?;
    Ok(placed)
}

//! Where the libraries are that the command puts into processes.

use std::path::{Path, PathBuf};

use sondage::resolve::Image;

/// One of our libraries, and how it is found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    file: &'static str,
    /// Names the library where it is not beside the command.
    variable: &'static str,
}

/// What `record` preloads.
pub(crate) const PRELOADED: Wanted = Wanted { file: "libsondage.so", variable: "SONDAGE_PRELOAD" };

/// The agent of virtual machines for Java.
pub(crate) const OF_JVM: Wanted =
    Wanted { file: "libsondage_jvm.so", variable: "SONDAGE_JVM_LIBRARY" };

/// A library that was found.
#[derive(Debug)]
pub(crate) struct Library {
    path: PathBuf,
}

impl Library {
    /// Finds a library: where its variable says, otherwise what the command's package has, otherwise
    /// beside the command or in `lib` beside its directory.
    pub(crate) fn find(wanted: Wanted, packaged: Option<&Path>) -> Result<Self, String> {
        let Wanted { file, variable } = wanted;
        let path = match (std::env::var_os(variable), packaged) {
            (Some(path), _) => {
                checked(Path::new(&path)).map_err(|why| format!("{variable}: {why}"))?
            }
            (None, Some(packaged)) => checked(packaged)?,
            (None, None) => {
                let places = beside_command(file)?;
                let Some(found) = places.iter().find(|place| place.exists()) else {
                    let [first, second] = &places;
                    let (first, second) = (first.display(), second.display());
                    return Err(format!(
                        "{file} is neither {first} nor {second}: install it there, or set \
                         {variable} to its path"
                    ));
                };
                checked(found)?
            }
        };
        Ok(Self { path })
    }

    /// As [`Library::find`], where a command without it does less: `None` where it is not installed.
    pub(crate) fn find_installed(
        wanted: Wanted,
        packaged: Option<&Path>,
    ) -> Result<Option<Self>, String> {
        let named = std::env::var_os(wanted.variable).is_some() || packaged.is_some();
        if !named && !beside_command(wanted.file)?.iter().any(|place| place.exists()) {
            return Ok(None);
        }
        Self::find(wanted, packaged).map(Some)
    }

    /// A library that the user has named.
    pub(crate) fn given(path: &Path) -> Result<Self, String> {
        checked(path).map(|path| Self { path })
    }

    /// Its absolute path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Where a library may be installed with the command.
fn beside_command(file: &str) -> Result<[PathBuf; 2], String> {
    let command = std::env::current_exe().and_then(|path| path.canonicalize());
    let command = command.map_err(|error| format!("where is this command? {error}"))?;
    let folder = command.parent().unwrap_or(Path::new("/"));
    Ok([folder.join(file), folder.join("../lib").join(file)])
}

fn checked(path: &Path) -> Result<PathBuf, String> {
    let real = path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))?;
    match Image::open(&real, None) {
        Ok(_) => Ok(real),
        Err(error) => Err(format!("{}: {error}", real.display())),
    }
}

//! Where libsondage.so is.

use std::path::{Path, PathBuf};

use sondage::resolve::Image;

/// Names the library where it is not beside the command.
const VARIABLE: &str = "SONDAGE_PRELOAD";

const NAME: &str = "libsondage.so";

/// The library to preload.
#[derive(Debug)]
pub(crate) struct Library {
    path: PathBuf,
}

impl Library {
    /// Finds the library: where `SONDAGE_PRELOAD` says, otherwise what the command's package has,
    /// otherwise beside the command or in `lib` beside its directory.
    pub(crate) fn find(packaged: Option<&Path>) -> Result<Self, String> {
        let path = match (std::env::var_os(VARIABLE), packaged) {
            (Some(path), _) => {
                checked(Path::new(&path)).map_err(|why| format!("{VARIABLE}: {why}"))?
            }
            (None, Some(packaged)) => checked(packaged)?,
            (None, None) => beside_command()?,
        };
        Ok(Self { path })
    }

    /// Its absolute path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn beside_command() -> Result<PathBuf, String> {
    let command = std::env::current_exe().and_then(|path| path.canonicalize());
    let command = command.map_err(|error| format!("where is this command? {error}"))?;
    let folder = command.parent().unwrap_or(Path::new("/"));
    let places = [folder.join(NAME), folder.join("../lib").join(NAME)];
    let Some(found) = places.iter().find(|place| place.exists()) else {
        let [first, second] = &places;
        let (first, second) = (first.display(), second.display());
        return Err(format!(
            "{NAME} is neither {first} nor {second}: install it there, or set {VARIABLE} to its path"
        ));
    };
    checked(found)
}

fn checked(path: &Path) -> Result<PathBuf, String> {
    let real = path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))?;
    match Image::open(&real, None) {
        Ok(_) => Ok(real),
        Err(error) => Err(format!("{}: {error}", real.display())),
    }
}

//! Finding and reading the map of a script.

use std::path::Path;

use super::comment::map_url;
use super::comment::read_tail;
use super::data_url;
use super::location::folder_of;
use super::location::map_path;
use super::map::Map;
use super::script::ScriptText;
use super::stamp::FileStamp;
use crate::resolve::bytes::Bytes;
use crate::resolve::error::ResolveError;
use crate::resolve::error::ResolveErrorKind;
use crate::resolve::source::Source;

/// Bytes of a map that are read at most, as a file or as a data URL.
pub(super) const MAX_MAP: u64 = 32 << 20;

/// What was found for a script.
#[derive(Debug)]
pub(super) struct Loaded {
    /// The file that was named as its map, and which one that was before it was read.
    pub(super) file: Option<(Box<str>, Option<FileStamp>)>,
    /// `None` for a script without a map, which most are.
    pub(super) map: Result<Option<Map>, ResolveError>,
}

impl Loaded {
    fn within_script(map: Result<Option<Map>, ResolveError>) -> Self {
        Self { file: None, map }
    }
}

/// Reads the map of a script, from disk where it is not within the script. Errors name the file.
pub(super) fn load(script: &ScriptText<'_>) -> Loaded {
    let path = script.path();
    let tail = match (script.text, &path) {
        (Some(_), _) => Ok(Bytes::default()),
        (None, Some(path)) => tail_of(path),
        (None, None) => return Loaded::within_script(Ok(None)),
    };
    let tail = match tail {
        Ok(tail) => tail,
        // The code was in a file that is gone, or in none; that is no fault of a map.
        Err(error) if error.kind() == ResolveErrorKind::Missing => {
            return Loaded::within_script(Ok(None));
        }
        Err(error) => {
            return Loaded::within_script(Err(error.about(&format!("the script {}", script.url))));
        }
    };
    let Some(url) = map_url(script.text.map_or(&*tail, str::as_bytes)) else {
        return Loaded::within_script(Ok(None));
    };
    let folder = path.as_deref().and_then(folder_of);
    if let Some(data) = data_url::data_of(url) {
        let map = data_url::decode(data).and_then(|json| Map::parse(&json, folder));
        let about = |error: ResolveError| error.about(&format!("the source map in {}", script.url));
        return Loaded::within_script(map.map(Some).map_err(about));
    }
    match map_path(folder, url) {
        Ok(path) => from_file(&path),
        Err(error) => {
            let subject = format!("the source map of {}", script.url);
            Loaded::within_script(Err(error.about(&subject)))
        }
    }
}

fn tail_of(path: &str) -> Result<Bytes, ResolveError> {
    let (file, _) = Source::open(Path::new(path))?;
    read_tail(&file)
}

fn from_file(path: &str) -> Loaded {
    // First, so that a file that changes meanwhile is read again the next time.
    let stamp = FileStamp::of(path);
    let map = read_map(path).and_then(|json| Map::parse(&json, folder_of(path)));
    let about = |error: ResolveError| error.about(&format!("the source map {path}"));
    Loaded { file: Some((path.into(), stamp)), map: map.map(Some).map_err(about) }
}

fn read_map(path: &str) -> Result<Bytes, ResolveError> {
    let (file, _) = Source::open(Path::new(path))?;
    if file.len() > MAX_MAP {
        return Err(ResolveError::too_large("the file", file.len(), MAX_MAP));
    }
    file.read(0, file.len(), MAX_MAP)
}

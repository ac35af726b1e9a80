//! Reading bounded files and writing whole ones.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

use sondage::profile::limits::MAX_INPUT_BYTES;

use crate::error::Error;

/// Reads a file of at most [`MAX_INPUT_BYTES`].
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let limit = MAX_INPUT_BYTES as u64 + 1;
    let read = File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
    read.map_err(|error| Error::of_file(path, error))?;
    if bytes.len() > MAX_INPUT_BYTES {
        return Err(Error::of_file(path, format!("larger than {} MiB", MAX_INPUT_BYTES >> 20)));
    }
    Ok(bytes)
}

/// Writes a whole file or none: to a new file beside it, which then takes its place. What is no
/// regular file (`/dev/stdout`, a pipe) is written to directly.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let special = path.metadata().is_ok_and(|metadata| !metadata.is_file());
    let written = if special { std::fs::write(path, bytes) } else { replace(path, bytes) };
    written.map_err(|error| Error::of_file(path, error))
}

fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    // Through a symbolic link, its target is replaced and not the link.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let new = path.with_file_name(name);
    let file = OpenOptions::new().write(true).create_new(true).open(&new);
    let written = file.and_then(|mut file| {
        file.write_all(bytes)?;
        std::fs::rename(&new, &path)
    });
    if written.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    written
}

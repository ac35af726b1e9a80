//! Files that are whole or not there.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Writes a whole file or none: to a new file beside it, which then takes its place.
///
/// # Errors
/// What the operating system says; nothing is left behind then.
pub fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}-{}.tmp", std::process::id(), now.as_nanos()));
    let new = path.with_file_name(name);
    let mut options = std::fs::OpenOptions::new();
    let written = options.write(true).create_new(true).open(&new).and_then(|mut file| {
        std::io::Write::write_all(&mut file, bytes)?;
        std::fs::rename(&new, path)
    });
    if written.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    written
}

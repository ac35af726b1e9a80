//! The folder of one service and one destination.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const SUFFIX: &str = ".spool";

/// Bytes of the readable beginning of a folder's name, which may have 255.
const MAX_SLUG: usize = 80;

/// A folder that is this user's alone. Nobody else can plant a file in it.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    next: u32,
}

/// A segment's file as the folder lists it.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
}

/// The folder's name: telling, and with a checksum, for what telling leaves out.
pub(super) fn name(service: &str, sink: &str) -> String {
    let whole = format!("{service} {sink}");
    let plain = |char: char| match char {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' => char,
        _ => '-',
    };
    let slug: String = whole.chars().take(MAX_SLUG).map(plain).collect();
    let slug = slug.trim_start_matches('.');
    format!("{slug}-{:08x}", crc32fast::hash(whole.as_bytes()))
}

impl Folder {
    /// Makes the folder if need be. One that is a link or another user's is refused.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
        let folder = OpenOptions::new().read(true).custom_flags(flags).open(&path)?;
        let metadata = folder.metadata()?;
        check_owner(&metadata)?;
        if metadata.mode() & 0o077 != 0 {
            folder.set_permissions(fs::Permissions::from_mode(0o700))?;
        }
        Ok(Self { path, next: 0 })
    }

    /// The segments, oldest first, whoever has them.
    pub(super) fn list(&self) -> io::Result<Vec<Listed>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path)?.flatten() {
            let name = entry.file_name();
            let ours = name.to_str().is_some_and(|name| name.ends_with(SUFFIX));
            // The entry's own metadata: a link is not followed.
            let Some(metadata) = entry.metadata().ok().filter(|_| ours) else { continue };
            if metadata.is_file() {
                files.push(Listed { path: entry.path(), bytes: metadata.len() });
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    /// A name that sorts after those of before.
    pub(super) fn new_path(&mut self) -> PathBuf {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let (pid, number) = (std::process::id(), self.next);
        self.next = self.next.wrapping_add(1);
        self.path.join(format!("{:020}-{pid}-{number}{SUFFIX}", now.as_nanos()))
    }
}

/// Refuses what another user could have put there.
pub(super) fn check_owner(metadata: &fs::Metadata) -> io::Result<()> {
    if metadata.uid() == nix::unistd::geteuid().as_raw() {
        return Ok(());
    }
    Err(io::Error::new(ErrorKind::PermissionDenied, "it belongs to another user"))
}

/// Opens a file that must be a plain one of this user, with no other name.
pub(super) fn open_own(path: &Path) -> io::Result<fs::File> {
    // A FIFO would hold up who opens it.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    check_owner(&metadata)?;
    if !metadata.is_file() || metadata.nlink() != 1 {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is not a plain file"));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_have_telling_names_that_differ() {
        let sink = "pyroscope+http://localhost:4040";
        let shop = name("shop", sink);
        assert!(shop.starts_with("shop-pyroscope-http---localhost-4040-"), "{shop}");
        assert_ne!(shop, name("shop", "pyroscope+http://localhost/4040"));
        assert_ne!(name(&"x".repeat(1024), sink), name(&"x".repeat(1023), sink));
        assert!(!name("../../etc", "/").contains('/') && !name("..", "x").starts_with('.'));
    }
}

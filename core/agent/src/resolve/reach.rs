//! Files of other processes, which may live under another root or have no name any more.

use super::error::ResolveError;
use super::error::ResolveErrorKind;
use super::source::FileIdentity;
use super::source::Source;
use std::fs::File;
use std::fs::OpenOptions;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// How a file that another process has mapped is reached.
#[derive(Clone, Debug)]
pub struct Reach {
    /// The process, as this one names it.
    pub pid: u32,
    /// The addresses of one of its mappings of the file.
    pub range: Range<u64>,
    /// The file itself, held open because no path of this process leads to it.
    pub held: Option<Arc<File>>,
}

impl Reach {
    /// Opens the mapped file: the one that is held, else by the process' mapping, else by its root,
    /// else by our own. Each has to have the inode that is mapped; under our own root also the
    /// device, unless `is_proven` says that the contents prove it.
    pub(crate) fn open(
        &self,
        path: &Path,
        expected: Option<FileIdentity>,
    ) -> Result<(Source, Proof), ResolveError> {
        if let Some(file) = &self.held {
            return Ok((Source::of(file.clone())?.0, Proof::File));
        }
        let fits = |found: &FileIdentity| expected.is_none_or(|it| it.inode == found.inode);
        let Range { start, end } = self.range;
        let mapped = format!("/proc/{}/map_files/{start:x}-{end:x}", self.pid);
        if let Ok((source, identity)) = Source::open(Path::new(&mapped))
            && fits(&identity)
        {
            return Ok((source, Proof::File));
        }
        if let Ok((source, identity)) = open_under_root(self.pid, path)
            && fits(&identity)
        {
            return Ok((source, Proof::File));
        }
        let (source, identity) = Source::open(path)?;
        if expected == Some(identity) {
            return Ok((source, Proof::File));
        }
        if fits(&identity) {
            return Ok((source, Proof::Inode));
        }
        Err(ResolveError::new(
            ResolveErrorKind::Replaced,
            "the file was replaced since it was mapped, or is another one under this root",
        ))
    }
}

/// What shows that an opened file is the mapped one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// It is.
    File,
    /// The number of its inode is the same, on a device that may be another; its build id has to
    /// be the same too.
    Inode,
}

/// Opens a regular file by its path under the root of a process, where no part of the path may be
/// a symbolic link: paths of mapped files have none, and a link would be followed under our root.
pub(crate) fn open_under_root(
    pid: u32,
    path: &Path,
) -> Result<(Source, FileIdentity), ResolveError> {
    let mut directory = open_directory(Path::new(&format!("/proc/{pid}/root")), 0)?;
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(ResolveError::new(ResolveErrorKind::Missing, "the path names no file"));
    };
    for part in parent.components() {
        match part {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(part) => {
                directory = open_directory(&inside(&directory, Path::new(part)), libc::O_NOFOLLOW)?;
            }
            Component::ParentDir | Component::Prefix(_) => {
                return Err(ResolveError::new(ResolveErrorKind::Unreadable, "not a plain path"));
            }
        }
    }
    Source::open_with(&inside(&directory, Path::new(name)), libc::O_NOFOLLOW)
}

fn open_directory(path: &Path, flags: i32) -> Result<File, ResolveError> {
    OpenOptions::new()
        .read(true)
        .custom_flags(flags | libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC)
        .open(path)
        .map_err(|e| ResolveError::io("cannot open a folder of the file's path", &e))
}

fn inside(directory: &File, name: &Path) -> PathBuf {
    Path::new(&format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("sondage-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder.canonicalize().unwrap()
    }

    fn identity_of(path: &Path) -> FileIdentity {
        let meta = path.metadata().unwrap();
        FileIdentity { device: meta.dev(), inode: meta.ino() }
    }

    #[test]
    fn links_on_the_way_under_a_root_are_not_followed() {
        let folder = folder("reach-links");
        let pid = std::process::id();
        std::fs::create_dir_all(folder.join("real")).unwrap();
        std::fs::write(folder.join("real/file"), "text").unwrap();
        let _ = std::os::unix::fs::symlink(folder.join("real"), folder.join("link"));
        let _ = std::os::unix::fs::symlink(folder.join("real/file"), folder.join("real/alias"));
        assert!(open_under_root(pid, &folder.join("real/file")).is_ok());
        for refused in ["link/file", "real/alias", "real", "real/../real/file", "missing/file"] {
            assert!(open_under_root(pid, &folder.join(refused)).is_err(), "{refused}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn another_file_at_the_path_is_refused_and_one_on_another_device_needs_more_proof() {
        let folder = folder("reach-proof");
        let path = folder.join("file");
        std::fs::write(&path, "text").unwrap();
        let real = identity_of(&path);
        // A process that is gone: only our own root is left.
        let reach = Reach { pid: u32::MAX >> 1, range: 0..1, held: None };
        let proof = |expected| reach.open(&path, Some(expected)).map(|(_, proof)| proof);
        assert_eq!(proof(real).unwrap(), Proof::File);
        let elsewhere = FileIdentity { device: real.device + 1, ..real };
        assert_eq!(proof(elsewhere).unwrap(), Proof::Inode);
        let other = FileIdentity { inode: real.inode + 1, ..real };
        assert_eq!(proof(other).unwrap_err().kind(), ResolveErrorKind::Replaced);
        std::fs::remove_dir_all(folder).unwrap();
    }
}

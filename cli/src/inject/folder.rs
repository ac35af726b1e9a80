//! Folders of another process' file system.
//!
//! They are held open and never left by a symbolic link: one that a container has made would lead
//! into the file system of who follows it.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

/// An open folder.
#[derive(Debug)]
pub(crate) struct Folder(File);

impl Folder {
    /// Opens a folder. The last part of its path must not be a symbolic link.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
        OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).map(Self)
    }

    /// A folder in this one.
    pub(crate) fn inner(&self, name: &str) -> io::Result<Self> {
        Self::open(&self.path(name))
    }

    /// A folder at the end of a path of names.
    pub(crate) fn descend(self, names: &[&str]) -> io::Result<Self> {
        names.iter().try_fold(self, |folder, name| folder.inner(name))
    }

    /// A path of an entry, for as long as this value lives.
    pub(crate) fn path(&self, name: impl AsRef<OsStr>) -> PathBuf {
        let name = name.as_ref();
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd())).join(name)
    }

    /// A new file, for its owner only.
    pub(crate) fn create(&self, name: &str) -> io::Result<File> {
        let mut options = OpenOptions::new();
        // An entry of that name is refused, also a symbolic link.
        options.write(true).create_new(true).mode(0o600).open(self.path(name))
    }

    /// An existing file that is no symbolic link, to read it.
    pub(crate) fn read(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        // A pipe must not make anybody wait.
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        OpenOptions::new().read(true).custom_flags(flags.bits()).open(self.path(name))
    }
}

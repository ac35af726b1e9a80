//! Bytes of an object file, read in ranges.
//!
//! Files are read with `pread` and never mapped: touching a mapped page of a file that someone
//! truncates meanwhile raises SIGBUS in the host.

use std::fs::File;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use super::bytes::Bytes;
use super::error::ResolveError;
use super::error::ResolveErrorKind;

/// Which file it is, whatever its name: what `/proc/self/maps` and `stat` both tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileIdentity {
    /// Device number as in `st_dev`.
    pub device: u64,
    /// Inode number on that device.
    pub inode: u64,
}

impl FileIdentity {
    /// From a line of `/proc/self/maps`, where the device is written `major:minor` in hex:
    /// `fd:01 1234` is `from_maps(0xfd, 0x01, 1234)`.
    pub fn from_maps(major: u32, minor: u32, inode: u64) -> Self {
        Self { device: libc::makedev(major, minor), inode }
    }
}

/// Where the bytes come from.
#[derive(Debug)]
pub(crate) enum Source {
    File { file: Arc<File>, len: u64 },
    Memory(Arc<[u8]>),
}

impl Source {
    /// Opens a regular file for reading. Anything else (a pipe, a device) is refused unopened or
    /// at once, so that this never blocks.
    pub(crate) fn open(path: &Path) -> Result<(Self, FileIdentity), ResolveError> {
        Self::open_with(path, 0)
    }

    /// As [`open`](Self::open), with additional `open(2)` flags.
    pub(crate) fn open_with(path: &Path, flags: i32) -> Result<(Self, FileIdentity), ResolveError> {
        let look =
            if flags & libc::O_NOFOLLOW == 0 { path.metadata() } else { path.symlink_metadata() };
        let before = look.map_err(|e| ResolveError::io("cannot look at the file", &e))?;
        if !before.is_file() {
            return Err(not_regular());
        }
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC)
            .open(path)
            .map_err(|e| ResolveError::io("cannot open the file", &e))?;
        Self::of(Arc::new(file))
    }

    /// A regular file that is open.
    pub(crate) fn of(file: Arc<File>) -> Result<(Self, FileIdentity), ResolveError> {
        let meta = file.metadata().map_err(|e| ResolveError::io("cannot stat the file", &e))?;
        if !meta.is_file() {
            return Err(not_regular());
        }
        let identity = FileIdentity { device: meta.dev(), inode: meta.ino() };
        Ok((Self::File { file, len: meta.len() }, identity))
    }

    /// The open file; `None` for memory.
    pub(crate) fn file(&self) -> Option<&Arc<File>> {
        match self {
            Self::File { file, .. } => Some(file),
            Self::Memory(_) => None,
        }
    }

    /// The user that owns the opened file; `None` for memory.
    pub(crate) fn owner(&self) -> Option<u32> {
        match self {
            Self::File { file, .. } => file.metadata().ok().map(|meta| meta.uid()),
            Self::Memory(_) => None,
        }
    }

    /// Length in bytes when opened.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::File { len, .. } => *len,
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }

    /// Fills `buffer` from `offset`, entirely or not at all.
    pub(crate) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ResolveError> {
        match self {
            Self::File { file, .. } => file
                .read_exact_at(buffer, offset)
                .map_err(|e| ResolveError::io("cannot read the file", &e)),
            Self::Memory(bytes) => {
                let start = usize::try_from(offset).map_err(|_| truncated())?;
                let end = start.checked_add(buffer.len()).ok_or_else(truncated)?;
                buffer.copy_from_slice(bytes.get(start..end).ok_or_else(truncated)?);
                Ok(())
            }
        }
    }

    /// The `size` bytes at `offset`, if they lie in the file and are at most `limit`.
    pub(crate) fn read(&self, offset: u64, size: u64, limit: u64) -> Result<Bytes, ResolveError> {
        if size > limit {
            return Err(ResolveError::too_large("a range of the file", size, limit));
        }
        if offset.checked_add(size).is_none_or(|end| end > self.len()) {
            return Err(ResolveError::malformed(format!(
                "truncated: {size} bytes at offset {offset} of a file of {} bytes",
                self.len()
            )));
        }
        let mut bytes = Bytes::zeroed(usize::try_from(size).map_err(|_| truncated())?)?;
        self.read_at(offset, bytes.as_mut_slice())?;
        Ok(bytes)
    }

    /// The bytes from `offset` up to a NUL, up to `end` (exclusive), or `limit` of them.
    pub(crate) fn read_string(
        &self,
        offset: u64,
        end: u64,
        limit: usize,
    ) -> Result<Vec<u8>, ResolveError> {
        const STEP: u64 = 256;
        let end = end.min(self.len()).min(offset.saturating_add(limit as u64));
        let mut text = Vec::new();
        let mut at = offset;
        while at < end {
            let mut buffer = [0; STEP as usize];
            let step = STEP.min(end - at) as usize;
            let piece = &mut buffer[..step];
            self.read_at(at, piece)?;
            if let Some(nul) = piece.iter().position(|&byte| byte == 0) {
                text.extend_from_slice(&piece[..nul]);
                return Ok(text);
            }
            text.extend_from_slice(piece);
            at += STEP;
        }
        Ok(text)
    }
}

fn truncated() -> ResolveError {
    ResolveError::malformed("truncated: the file ends before what it declares")
}

fn not_regular() -> ResolveError {
    ResolveError::new(ResolveErrorKind::Unreadable, "not a regular file")
}

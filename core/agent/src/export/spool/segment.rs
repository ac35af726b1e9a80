//! A file of records, which one process at a time has.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

use super::super::sink::Upload;
use super::folder::open_own;
use super::held::Held;
use super::record::{HEAD, Head, STATE, State};

/// What every segment begins with: a magic, the version, and zeros.
const BEGINNING: [u8; 16] = *b"sondspl\n\x01\0\0\0\0\0\0\0";
const MAGIC_BYTES: usize = 8;

/// A segment of this process.
#[derive(Debug)]
pub(super) struct Segment {
    path: PathBuf,
    /// Locked as long as it is open.
    file: File,
    bytes: u64,
    waiting: VecDeque<Entry>,
    _held: Held,
}

/// A record that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    at: u64,
    head: Head,
}

/// What another process left behind.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) segment: Segment,
    /// Uploads that were being sent when the process ended.
    pub(super) in_doubt: u64,
    /// Records, or ends of files, that cannot be read.
    pub(super) damaged: u64,
}

impl Segment {
    /// Makes a new one; `None` when a process that looks for segments was there first.
    pub(super) fn create(path: PathBuf) -> io::Result<Option<Self>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        let file = options.open(&path)?;
        let Some(held) = Held::take(&file.metadata()?) else {
            let _ = fs::remove_file(path);
            return Ok(None);
        };
        // Declared after `held`, and so closed before that is given back.
        let file = file;
        let written = lock(&file).and_then(|free| {
            // Between its creation and the lock others may have taken it for left behind.
            let ours = free && file.metadata()?.nlink() == 1;
            if ours {
                file.write_all_at(&BEGINNING, 0)?;
            }
            Ok(ours)
        });
        match written {
            Ok(true) => {
                let bytes = BEGINNING.len() as u64;
                Ok(Some(Self { path, file, bytes, waiting: VecDeque::new(), _held: held }))
            }
            other => {
                let _ = fs::remove_file(path);
                other.map(|_| None)
            }
        }
    }

    /// Takes over a segment whose process has ended; `None` when it has not, or when the file is
    /// not one that this version may read. What was in doubt waits only if `resend`.
    pub(super) fn adopt(path: &Path, resend: bool) -> io::Result<Option<Found>> {
        let listed = fs::symlink_metadata(path)?;
        if !listed.is_file() {
            return Ok(None);
        }
        let Some(held) = Held::take(&listed) else { return Ok(None) };
        let file = open_own(path)?;
        let metadata = file.metadata()?;
        if !held.is_of(&metadata) || !lock(&file)? || file.metadata()?.nlink() != 1 {
            return Ok(None);
        }
        let path = path.to_owned();
        let segment = Self { path, file, bytes: 0, waiting: VecDeque::new(), _held: held };
        segment.scan(metadata.len(), resend)
    }

    fn scan(mut self, bytes: u64, resend: bool) -> io::Result<Option<Found>> {
        let mut beginning = [0; BEGINNING.len()];
        let whole = read_whole(&self.file, &mut beginning, 0)?;
        if beginning != BEGINNING {
            let other_version = whole && beginning[..MAGIC_BYTES] == BEGINNING[..MAGIC_BYTES];
            // A file that never got its beginning holds nothing.
            let damaged = u64::from(whole);
            return Ok((!other_version).then_some(Found { segment: self, in_doubt: 0, damaged }));
        }
        self.bytes = BEGINNING.len() as u64;
        let (mut in_doubt, mut damaged) = (0, 0);
        while self.bytes < bytes {
            let at = self.bytes;
            let mut head = [0; HEAD];
            let read = read_whole(&self.file, &mut head, at)?;
            let record = Some(head).filter(|_| read).and_then(|head| Head::read(&head));
            let Some((head, state)) = record.filter(|it| it.0.record_bytes() <= bytes - at) else {
                damaged += 1;
                break;
            };
            self.bytes += head.record_bytes();
            let in_doubt_now = matches!(state, State::Trying | State::Unknown);
            if state == State::Waiting || in_doubt_now && resend {
                self.waiting.push_back(Entry { at, head });
            } else if in_doubt_now {
                in_doubt += 1;
                self.mark(at, State::GaveUp)?;
            }
        }
        Ok(Some(Found { segment: self, in_doubt, damaged }))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Records that wait.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// Adds a record. One that finds no room leaves nothing behind.
    pub(super) fn append(&mut self, head: Head, record: &[u8]) -> io::Result<()> {
        let at = self.bytes;
        if let Err(error) = self.file.write_all_at(record, at) {
            let _ = self.file.set_len(at);
            return Err(error);
        }
        self.bytes += record.len() as u64;
        self.waiting.push_back(Entry { at, head });
        Ok(())
    }

    /// Takes the oldest record that waits.
    pub(super) fn take(&mut self) -> Option<Entry> {
        self.waiting.pop_front()
    }

    /// Reads a record's upload; `None` when it is damaged.
    pub(super) fn read(&self, entry: Entry) -> io::Result<Option<Upload>> {
        let bytes = usize::try_from(entry.head.payload_bytes()).map_err(io::Error::other)?;
        let mut payload = vec![0; bytes];
        let whole = read_whole(&self.file, &mut payload, entry.at + HEAD as u64)?;
        Ok(if whole { entry.head.upload(payload) } else { None })
    }

    /// Writes down where an upload stands.
    pub(super) fn set(&self, entry: Entry, state: State) -> io::Result<()> {
        self.mark(entry.at, state)
    }

    fn mark(&self, at: u64, state: State) -> io::Result<()> {
        self.file.write_all_at(&state.word(), at + STATE)
    }

    /// Deletes the file.
    pub(super) fn remove(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}

/// Takes the lock of the whole file; `false` when another process has it. The kernel gives it up
/// with the process, however that ends, and a forked child does not inherit it.
fn lock(file: &File) -> io::Result<bool> {
    let whole = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    match fcntl(file, FcntlArg::F_SETLK(&whole)) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Reads until the buffer is full; `false` when the file ends before.
fn read_whole(file: &File, buffer: &mut [u8], at: u64) -> io::Result<bool> {
    match file.read_exact_at(buffer, at) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

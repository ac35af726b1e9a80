//! Uploads that wait on disk, so that they outlive the process.
//!
//! Each service and destination has a folder, and in it segments (`segment.rs`): files that one
//! process writes and that are deleted when nothing in them waits any more. The segments of
//! processes that have ended are taken over one at a time, oldest first. Of a folder that is full
//! the oldest segment goes.
//!
//! Nothing is synced: what is written survives the process, and not the machine's loss of power.

mod folder;
mod held;
mod record;
mod segment;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use self::folder::Folder;
use self::record::State;
use self::segment::{Entry, Segment};
use super::sink::Upload;

/// Segments that a full folder has, unless their sizes would be beyond the limits below.
const SEGMENTS: u64 = 16;
const MIN_SEGMENT: u64 = 64 << 10;
const MAX_SEGMENT: u64 = 4 << 20;

/// What happened to uploads on disk since it was last asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Uploads taken over from processes that have ended, with those of the next three.
    pub(super) replayed: u64,
    /// Of those, the ones that were being sent at that moment.
    pub(super) ambiguous: u64,
    /// Records that could not be read.
    pub(super) damaged: u64,
    /// Uploads that went for newer ones.
    pub(super) dropped: u64,
    /// Times that the disk began to fail.
    pub(super) errors: u64,
}

/// The uploads of one sink, on disk.
#[derive(Debug)]
pub(super) struct Spool {
    path: PathBuf,
    max_bytes: u64,
    /// Whether what was in doubt when a process ended is sent again.
    resend: bool,
    /// `None` until it could be opened.
    folder: Option<Folder>,
    /// Of a process that has ended; older than what this one has written.
    adopted: Option<Segment>,
    own: VecDeque<Segment>,
    /// The record that was taken out of the first segment, and the upload's segment is still there.
    taken: Option<Entry>,
    /// Whether to look for segments of ended processes.
    look: bool,
    failing: bool,
    tally: Tally,
    last_error: Option<String>,
}

impl Spool {
    /// Waits below `dir`; nothing is opened yet.
    pub(super) fn new(dir: &Path, max_bytes: u64, service: &str, sink: &str) -> Self {
        Self {
            path: dir.join(folder::name(service, sink)),
            max_bytes,
            resend: false,
            folder: None,
            adopted: None,
            own: VecDeque::new(),
            taken: None,
            look: true,
            failing: false,
            tally: Tally::default(),
            last_error: None,
        }
    }

    /// Sends again what was in doubt when a process ended.
    pub(super) fn resending(mut self, resend: bool) -> Self {
        self.resend = resend;
        self
    }

    /// Adds an upload behind all others; `false` when the disk does not take it.
    pub(super) fn add(&mut self, upload: &Upload) -> bool {
        let added = self.try_add(upload);
        self.failing &= added.is_err();
        // Another process may have ended since.
        self.look = true;
        self.noted(added).is_some()
    }

    fn try_add(&mut self, upload: &Upload) -> io::Result<()> {
        let (head, record) = record::encode(upload)
            .filter(|(head, _)| head.record_bytes() < self.max_bytes)
            .ok_or_else(|| io::Error::other("an upload is larger than all the room for them"))?;
        let limit = (self.max_bytes / SEGMENTS).clamp(MIN_SEGMENT, MAX_SEGMENT);
        let bytes = record.len() as u64;
        let fits = |segment: &&mut Segment| segment.bytes() + bytes <= limit;
        if let Some(last) = self.own.back_mut().filter(fits) {
            return last.append(head, &record);
        }
        self.make_room(bytes.max(limit).min(self.max_bytes))?;
        let mut segment = self.create()?;
        let appended = segment.append(head, &record);
        match appended {
            Ok(()) => self.own.push_back(segment),
            Err(_) => segment.remove()?,
        }
        appended
    }

    fn create(&mut self) -> io::Result<Segment> {
        for _ in 0..100 {
            let folder = self.folder()?;
            let path = folder.new_path();
            if let Some(segment) = Segment::create(path)? {
                return Ok(segment);
            }
        }
        Err(io::Error::other("others take every new file"))
    }

    /// Takes the oldest upload; it counts as waiting until it is settled.
    pub(super) fn take(&mut self) -> Option<Upload> {
        loop {
            self.find();
            let segment = self.first()?;
            let Some(entry) = segment.take() else {
                self.remove_first();
                continue;
            };
            match segment.read(entry) {
                Ok(Some(upload)) => {
                    self.taken = Some(entry);
                    return Some(upload);
                }
                read => {
                    let _ = segment.set(entry, State::GaveUp);
                    self.tally.damaged += 1;
                    self.noted(read);
                }
            }
        }
    }

    /// The taken upload is about to be sent.
    pub(super) fn mark_trying(&mut self) {
        self.set_taken(State::Trying);
    }

    /// The taken upload has certainly not arrived.
    pub(super) fn mark_waiting(&mut self) {
        self.set_taken(State::Waiting);
    }

    /// The taken upload has arrived, or is given up.
    pub(super) fn settle(&mut self, arrived: bool) {
        self.set_taken(if arrived { State::Done } else { State::GaveUp });
        self.taken = None;
        if self.first().is_some_and(|segment| segment.waiting() == 0) {
            self.remove_first();
        }
    }

    fn set_taken(&mut self, state: State) {
        let Some(entry) = self.taken else { return };
        let written = self.first().map_or(Ok(()), |segment| segment.set(entry, state));
        self.noted(written);
    }

    /// Whether the oldest upload was taken, and is still on disk.
    pub(super) fn has_taken(&self) -> bool {
        self.taken.is_some()
    }

    /// Uploads that wait, with the taken one, as far as this process has them.
    pub(super) fn waiting(&self) -> u64 {
        let segments = self.adopted.iter().chain(&self.own);
        segments.map(Segment::waiting).sum::<u64>() + u64::from(self.taken.is_some())
    }

    /// What happened since the last call, and the last trouble with the disk.
    pub(super) fn report(&mut self) -> (Tally, Option<String>) {
        (std::mem::take(&mut self.tally), self.last_error.take())
    }

    fn first(&mut self) -> Option<&mut Segment> {
        self.adopted.as_mut().or(self.own.front_mut())
    }

    fn remove_first(&mut self) {
        let first = self.adopted.take().or_else(|| self.own.pop_front());
        let removed = first.map_or(Ok(()), Segment::remove);
        self.noted(removed);
    }

    fn folder(&mut self) -> io::Result<&mut Folder> {
        if self.folder.is_none() {
            self.folder = Some(Folder::open(self.path.clone())?);
        }
        self.folder.as_mut().ok_or_else(|| io::Error::other("no folder"))
    }

    /// Takes over the oldest segment of a process that has ended, if there is one.
    fn find(&mut self) {
        if self.adopted.is_some() || !self.look {
            return;
        }
        let found = self.folder().and_then(|folder| folder.list());
        for file in self.noted(found).unwrap_or_default() {
            // What cannot be opened is somebody else's business, or somebody's trap.
            if let Ok(Some(segment)) = self.adopt(&file.path) {
                self.adopted = Some(segment);
                return;
            }
        }
        self.look = false;
    }

    fn adopt(&mut self, path: &Path) -> io::Result<Option<Segment>> {
        let Some(found) = Segment::adopt(path, self.resend)? else { return Ok(None) };
        self.tally.replayed += found.segment.waiting() + found.in_doubt + found.damaged;
        self.tally.ambiguous += found.in_doubt;
        self.tally.damaged += found.damaged;
        Ok(Some(found.segment))
    }

    /// Deletes the oldest segments until so many bytes more are within the limit. Those of other
    /// living processes stay.
    fn make_room(&mut self, bytes: u64) -> io::Result<()> {
        let files = self.folder()?.list()?;
        let mut total: u64 = files.iter().map(|file| file.bytes).sum();
        for file in files {
            if total + bytes <= self.max_bytes {
                break;
            }
            if self.drop_segment(&file.path)? {
                total -= file.bytes;
            }
        }
        Ok(())
    }

    /// Deletes a segment with all that waits in it, unless a living process has it. An upload that
    /// was taken out of it is no longer on disk, and goes on from memory.
    fn drop_segment(&mut self, path: &Path) -> io::Result<bool> {
        let was_first = self.first().is_some_and(|first| first.path() == path);
        let segment = if self.adopted.as_ref().is_some_and(|it| it.path() == path) {
            self.adopted.take()
        } else if let Some(at) = self.own.iter().position(|it| it.path() == path) {
            self.own.remove(at)
        } else {
            self.adopt(path).unwrap_or_default()
        };
        let Some(segment) = segment else { return Ok(false) };
        self.tally.dropped += segment.waiting();
        if was_first {
            self.taken = None;
        }
        segment.remove().map(|()| true)
    }

    /// Remembers trouble with the disk, once until an upload is taken again.
    fn noted<T>(&mut self, result: io::Result<T>) -> Option<T> {
        let noted = |error| {
            if !std::mem::replace(&mut self.failing, true) {
                self.tally.errors += 1;
                self.last_error = Some(format!("spool {}: {error}", self.path.display()));
            }
        };
        result.map_err(noted).ok()
    }
}

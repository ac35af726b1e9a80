//! Which segments this process has open.
//!
//! A record lock belongs to a process: it keeps nobody of the same process out, and closing any
//! descriptor of the file gives it up. So a file is opened only by who has its number from here.

use std::collections::HashSet;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

/// Device and number of a file.
pub(super) type FileId = (u64, u64);

/// With the process that holds them: a forked child inherits the set, and holds nothing in it.
static HELD: Mutex<Files> = Mutex::new(None);

type Files = Option<HashSet<(u32, FileId)>>;

/// The right to open one file, given back when dropped.
#[derive(Debug)]
pub(super) struct Held(u32, FileId);

impl Held {
    /// `None` when someone in this process has the file.
    pub(super) fn take(file: &Metadata) -> Option<Self> {
        let id = (file.dev(), file.ino());
        let process = std::process::id();
        let mut held = lock()?;
        // Made only if it is ours: dropping one gives the file back.
        held.get_or_insert_default().insert((process, id)).then(|| Self(process, id))
    }

    /// Whether this is that file.
    pub(super) fn is_of(&self, file: &Metadata) -> bool {
        self.1 == (file.dev(), file.ino())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(mut held) = lock() {
            held.get_or_insert_default().remove(&(self.0, self.1));
        }
    }
}

/// Held for microseconds; in a forked child perhaps for ever, by a thread of the parent.
fn lock() -> Option<MutexGuard<'static, Files>> {
    for _ in 0..100 {
        match HELD.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(guard)) => return Some(PoisonError::into_inner(guard)),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    None
}

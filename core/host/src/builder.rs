//! A thread that builds unwind tables: that of a compiler takes seconds.

use sondage::resolve::{FileIndex, KnownFile, OwnedTable, ResolveError};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Instant;

/// A file's table: none, where it has nothing to make one of.
pub(crate) type Built = (FileIndex, Result<Option<OwnedTable>, ResolveError>);

/// Files that it is given at once: what comes later may be smaller.
const MOST: usize = 8;

/// Builds one table at a time, of two that there may be. It rests after each for as long as that took: half of a processor at
/// most, and only while there is something to build.
#[derive(Debug)]
pub(crate) struct Builder {
    files: SyncSender<Arc<KnownFile>>,
    built: Receiver<Built>,
    given: usize,
}

impl Builder {
    /// Starts the thread, which has the rights of the calling one and ends with this.
    ///
    /// # Errors
    /// When there can be no further thread.
    pub(crate) fn start() -> std::io::Result<Self> {
        let (files, to_build) = sync_channel::<Arc<KnownFile>>(MOST);
        let (done, built) = sync_channel(MOST);
        let work = move || {
            for file in to_build {
                let begun = Instant::now();
                let table = file.open().and_then(|image| OwnedTable::build(&image));
                let took = begun.elapsed();
                if done.send((file.index, table)).is_err() {
                    return;
                }
                std::thread::sleep(took);
            }
        };
        std::thread::Builder::new().name("sondage-tables".into()).spawn(work)?;
        Ok(Self { files, built, given: 0 })
    }

    /// Whether it takes another file.
    pub(crate) fn has_room(&self) -> bool {
        self.given < MOST
    }

    /// Gives it a file, where it has room.
    pub(crate) fn build(&mut self, file: Arc<KnownFile>) {
        self.given += usize::from(self.files.try_send(file).is_ok());
    }

    /// The table that it has finished.
    pub(crate) fn take(&mut self) -> Option<Built> {
        let built = self.built.try_recv().ok()?;
        self.given -= 1;
        Some(built)
    }
}

//! What one sink is still to get, oldest first: on disk where there is a spool, else in memory.

use std::collections::VecDeque;

use super::sink::Upload;
use super::spool::Spool;

/// An upload in delivery, or a piece of one that was too large.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) upload: Upload,
    /// How often it was halved.
    pub(super) splits: u32,
    /// How often it was tried.
    pub(super) tries: u32,
}

impl From<Upload> for Piece {
    fn from(upload: Upload) -> Self {
        Self { upload, splits: 0, tries: 0 }
    }
}

/// The uploads of one sink that are encoded and not delivered.
#[derive(Debug)]
pub(super) struct Pending {
    /// The oldest upload, in as many pieces as it has become.
    hand: VecDeque<Piece>,
    spool: Option<Spool>,
    /// What the spool did not take, newer than all it has.
    memory: VecDeque<Upload>,
}

impl Pending {
    pub(super) fn new(spool: Option<Spool>) -> Self {
        Self { hand: VecDeque::new(), spool, memory: VecDeque::new() }
    }

    /// Whether a further profile may be encoded. Without a spool, or when the disk takes nothing,
    /// profiles wait in the inbox, which is bounded.
    pub(super) fn has_room(&self) -> bool {
        self.memory.is_empty() && (self.spool.is_some() || self.hand.is_empty())
    }

    /// Whether uploads that are not delivered are kept beyond the process.
    pub(super) fn outlives_process(&self) -> bool {
        self.spool.is_some()
    }

    /// Adds an upload behind all others.
    pub(super) fn add(&mut self, upload: Upload) {
        let spooled =
            self.memory.is_empty() && self.spool.as_mut().is_some_and(|spool| spool.add(&upload));
        if !spooled {
            self.memory.push_back(upload);
        }
    }

    /// Gets the oldest upload ready for [`Pending::first`]; may read from disk.
    pub(super) fn load(&mut self) {
        if self.hand.is_empty() {
            let spooled = self.spool.as_mut().and_then(Spool::take);
            self.hand.extend(spooled.or_else(|| self.memory.pop_front()).map(Piece::from));
        }
    }

    /// What is to be delivered first.
    pub(super) fn first(&self) -> Option<&Piece> {
        self.hand.front()
    }

    /// The first piece is about to be sent.
    pub(super) fn begin(&mut self) {
        if let Some(piece) = self.hand.front_mut() {
            piece.tries += 1;
        }
        if let Some(spool) = &mut self.spool {
            spool.mark_trying();
        }
    }

    /// The first piece has certainly not arrived and is to be tried again.
    pub(super) fn keep(&mut self) {
        // Of an upload in pieces some may have arrived: after a crash it is in doubt.
        let whole = self.hand.front().is_some_and(|piece| piece.splits == 0);
        if let Some(spool) = self.spool.as_mut().filter(|_| whole) {
            spool.mark_waiting();
        }
    }

    /// The first piece has arrived, or is given up.
    pub(super) fn settle(&mut self, arrived: bool) {
        self.hand.pop_front();
        if let Some(spool) = self.spool.as_mut().filter(|_| self.hand.is_empty()) {
            spool.settle(arrived);
        }
    }

    /// Puts two halves in the place of the first piece.
    pub(super) fn split(&mut self, halves: Vec<Upload>) {
        let splits = self.hand.pop_front().map_or(0, |piece| piece.splits);
        for upload in halves.into_iter().rev() {
            self.hand.push_front(Piece { upload, splits: splits + 1, tries: 0 });
        }
    }

    /// The end: returns how many uploads are lost with this process.
    pub(super) fn give_up(&mut self) -> u64 {
        let whole = self.hand.iter().all(|piece| piece.splits == 0);
        let kept = whole && self.spool.as_ref().is_some_and(Spool::has_taken);
        let lost = if kept { 0 } else { self.hand.len() } + self.memory.len();
        if let Some(spool) = self.spool.as_mut().filter(|_| !kept) {
            spool.settle(false);
        }
        self.hand.clear();
        self.memory.clear();
        lost as u64
    }

    pub(super) fn spool(&mut self) -> Option<&mut Spool> {
        self.spool.as_mut()
    }
}

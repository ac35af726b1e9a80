//! Unwind tables of the files that processes have mapped: each is built once, and put where the
//! programs see it for as long as a process has the file.

use sondage::resolve::{FileIndex, Files, KnownFile, OwnedTable};
use sondage_ebpf::{ErrorKind, Host, TableId};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// `.eh_frame` up to this size is turned into a table when a process with the file is first sampled;
/// a larger one when a stack ended in the file, because building takes 0.1 s a megabyte or more.
const EAGER_EH_FRAME: u64 = 512 << 10;

/// What is known of a file's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It waits to be built.
    Queued,
    /// It would take long, and no stack has ended there yet.
    Dear,
    /// The programs see it.
    Put(TableId),
    /// There is none, or no room for it.
    None,
}

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    states: HashMap<FileIndex, State>,
    queue: VecDeque<Arc<KnownFile>>,
    /// Files whose table found no room.
    pub(crate) refused: u64,
    /// The last thing that went wrong.
    pub(crate) last_error: Option<String>,
}

impl Tables {
    /// The table of a file, where the programs see one. One that is not known yet is built later.
    pub(crate) fn of(&mut self, file: &Arc<KnownFile>) -> Option<TableId> {
        let queue = &mut self.queue;
        let state = self.states.entry(file.index).or_insert_with(|| {
            if file.segments.is_empty() && file.module.bytes.is_none() {
                State::None
            } else if file.eh_frame > EAGER_EH_FRAME {
                State::Dear
            } else {
                queue.push_back(file.clone());
                State::Queued
            }
        });
        match state {
            State::Put(table) => Some(*table),
            State::Queued | State::Dear | State::None => None,
        }
    }

    /// Has the table of a file built next, because a stack ended there.
    pub(crate) fn want(&mut self, file: &Arc<KnownFile>) {
        if self.states.get(&file.index) == Some(&State::Dear) {
            self.states.insert(file.index, State::Queued);
            self.queue.push_front(file.clone());
        }
    }

    /// Builds tables until none is left or `budget` is used up, and tells which files have one now.
    pub(crate) fn build(&mut self, host: &mut Host, budget: Duration) -> HashSet<FileIndex> {
        let begin = Instant::now();
        let mut built = HashSet::new();
        while begin.elapsed() < budget
            && let Some(file) = self.queue.pop_front()
        {
            let state = self.build_one(&file, host);
            self.states.insert(file.index, state);
            if matches!(state, State::Put(_)) {
                built.insert(file.index);
            }
        }
        built
    }

    fn build_one(&mut self, file: &KnownFile, host: &mut Host) -> State {
        let path = file.module.path.display();
        let table = match file.open().and_then(|image| OwnedTable::build(&image)) {
            Ok(Some(table)) => table,
            Ok(None) => return State::None,
            Err(error) => {
                self.last_error = Some(format!("{path}: {error}"));
                return State::None;
            }
        };
        match host.put_table(&table.as_table()) {
            Ok(id) => State::Put(id),
            Err(error) => {
                self.refused += u64::from(error.kind() == ErrorKind::Full);
                self.last_error = Some(format!("{path}: {error}"));
                State::None
            }
        }
    }

    /// Takes back the tables of files that no process has any more.
    pub(crate) fn drop_unused(&mut self, files: &mut Files, host: &mut Host) {
        for index in files.drop_unused() {
            if let Some(State::Put(table)) = self.states.remove(&index) {
                host.take_back_table(table);
            }
        }
    }

    /// Files whose table found no room are tried again.
    pub(crate) fn try_again(&mut self, files: &Files) {
        if std::mem::take(&mut self.refused) == 0 {
            return;
        }
        let none: Vec<FileIndex> = self
            .states
            .iter()
            .filter(|(_, state)| **state == State::None)
            .map(|it| *it.0)
            .collect();
        for file in none.into_iter().filter_map(|index| files.get(index)) {
            self.states.insert(file.index, State::Queued);
            self.queue.push_back(file.clone());
        }
    }
}

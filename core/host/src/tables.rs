//! Unwind tables of the files that processes have mapped: each is built once, and put where the
//! programs see it for as long as a process has the file.

use crate::builder::Builder;
use sondage::resolve::{FileIndex, Files, KnownFile, OwnedTable, ResolveError};
use sondage_ebpf::{ErrorKind, Host, TableId};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

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
    queue: Vec<Arc<KnownFile>>,
    builder: Option<Builder>,
    /// How often a table found no room, since the start.
    pub(crate) refused: u64,
    /// One has found none since they were last tried again.
    is_short: bool,
    /// The last thing that went wrong.
    pub(crate) last_error: Option<String>,
}

impl Tables {
    /// The table of a file, where the programs see one. One that is not known yet is built later.
    pub(crate) fn of(&mut self, file: &Arc<KnownFile>) -> Option<TableId> {
        let queue = &mut self.queue;
        let state = self.states.entry(file.index).or_insert_with(|| {
            if !file.may_have_table() {
                State::None
            } else if file.eh_frame > EAGER_EH_FRAME {
                State::Dear
            } else {
                queue.push(file.clone());
                State::Queued
            }
        });
        match state {
            State::Put(table) => Some(*table),
            State::Queued | State::Dear | State::None => None,
        }
    }

    /// Has the table of a file built, because a stack ended there.
    pub(crate) fn want(&mut self, file: &Arc<KnownFile>) {
        if self.states.get(&file.index) == Some(&State::Dear) {
            self.states.insert(file.index, State::Queued);
            self.queue.push(file.clone());
        }
    }

    /// Takes the tables that have been built since the last time and has the next one built, the
    /// smallest first. Tells which files have one now.
    pub(crate) fn build(&mut self, host: &mut Host) -> HashSet<FileIndex> {
        let mut built = HashSet::new();
        while let Some((index, table)) = self.builder.as_mut().and_then(Builder::take) {
            // One that nobody has any more is not needed.
            if self.states.contains_key(&index) {
                let state = self.put(table, host);
                self.states.insert(index, state);
                if matches!(state, State::Put(_)) {
                    built.insert(index);
                }
            }
        }
        self.give();
        built
    }

    /// Gives the builder as much as it takes.
    fn give(&mut self) {
        if self.queue.is_empty() {
            return;
        }
        if self.builder.is_none() {
            let failed = |error: &std::io::Error| format!("no thread for unwind tables: {error}");
            let started = Builder::start();
            self.builder = started.inspect_err(|it| self.last_error = Some(failed(it))).ok();
        }
        let Some(builder) = &mut self.builder else { return };
        self.queue.sort_by_key(|file| std::cmp::Reverse(file.eh_frame));
        while builder.has_room()
            && let Some(smallest) = self.queue.pop()
        {
            builder.build(smallest);
        }
    }

    fn put(&mut self, table: Result<Option<OwnedTable>, ResolveError>, host: &mut Host) -> State {
        let table = match table {
            Ok(Some(table)) => table,
            Ok(None) => return State::None,
            Err(error) => {
                self.last_error = Some(error.to_string());
                return State::None;
            }
        };
        match host.put_table(&table.as_table()) {
            Ok(id) => State::Put(id),
            Err(error) => {
                let full = error.kind() == ErrorKind::Full;
                self.refused += u64::from(full);
                self.is_short |= full;
                self.last_error = Some(error.to_string());
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
        if !std::mem::take(&mut self.is_short) {
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
            self.queue.push(file.clone());
        }
    }
}

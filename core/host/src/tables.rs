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

/// Files that wait for a builder of theirs.
#[derive(Debug, Default)]
struct Lane {
    queue: Vec<Arc<KnownFile>>,
    builder: Option<Builder>,
}

impl Lane {
    /// Gives the builder as much as it takes, the smallest first.
    fn give(&mut self) -> std::io::Result<()> {
        if self.queue.is_empty() {
            return Ok(());
        }
        let builder = match &mut self.builder {
            Some(builder) => builder,
            none => none.insert(Builder::start()?),
        };
        self.queue.sort_by_key(|file| std::cmp::Reverse(file.eh_frame));
        while builder.has_room()
            && let Some(smallest) = self.queue.pop()
        {
            builder.build(smallest);
        }
        Ok(())
    }
}

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    states: HashMap<FileIndex, State>,
    /// Of tables that are built soon, and of those that take long, which the others do not wait for.
    lanes: [Lane; 2],
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
        let lanes = &mut self.lanes;
        let state = self.states.entry(file.index).or_insert_with(|| {
            if !file.may_have_table() {
                State::None
            } else if takes_long(file) {
                State::Dear
            } else {
                queue(lanes, file);
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
            queue(&mut self.lanes, file);
        }
    }

    /// Whether the table of a file waits to be built.
    pub(crate) fn is_queued(&self, file: &KnownFile) -> bool {
        self.states.get(&file.index) == Some(&State::Queued)
    }

    /// Takes the tables that have been built since the last time and has the next ones built. Tells
    /// which files have one now.
    pub(crate) fn build(&mut self, host: &mut Host) -> HashSet<FileIndex> {
        let mut built = HashSet::new();
        let finished = |lane: &mut Lane| lane.builder.as_mut().and_then(Builder::take);
        while let Some((index, table)) = self.lanes.iter_mut().find_map(finished) {
            // One that nobody has any more is not needed.
            if self.states.contains_key(&index) {
                let state = self.put(table, host);
                self.states.insert(index, state);
                if matches!(state, State::Put(_)) {
                    built.insert(index);
                }
            }
        }
        for lane in &mut self.lanes {
            if let Err(error) = lane.give() {
                self.last_error = Some(format!("no thread for unwind tables: {error}"));
            }
        }
        built
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
            queue(&mut self.lanes, file);
        }
    }
}

fn takes_long(file: &KnownFile) -> bool {
    file.eh_frame > EAGER_EH_FRAME
}

fn queue(lanes: &mut [Lane; 2], file: &Arc<KnownFile>) {
    let [soon, late] = lanes;
    let lane = if takes_long(file) { late } else { soon };
    lane.queue.push(file.clone());
}

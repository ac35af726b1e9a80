//! The processes that the programs know, each with the list of its executable mappings.

use crate::context::ContextPlace;
use crate::error::{Error, ErrorKind};
use crate::go_labels::GoInfo;
use crate::kernel_maps::{Maps, ProcessEntry};
use crate::python::PythonProcess;
use crate::ranges::Ranges;
use crate::tables::{Placed, TableId, Tables};
use std::collections::HashMap;
use std::ops::Range;

/// `MAX_PROCESS_MAPPINGS` in `bpf/sample.h`.
pub(crate) const MAX_PROCESS_MAPPINGS: u32 = 2048;

/// Words of `struct mapping` in `bpf/sample.h`.
pub(crate) const MAPPING_WORDS: u32 = 12;

/// One executable mapping of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Its addresses.
    pub range: Range<u64>,
    /// What to subtract from an address in the process to get the address in the file.
    pub bias: u64,
    /// The unwind table; `None` where there is none (yet): frame pointers are followed.
    pub table: Option<TableId>,
}

/// Runtimes of a process whose own structures the programs read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runtimes {
    /// Where Go keeps the labels of what runs.
    pub go: Option<GoInfo>,
    /// How CPython lays out its frames.
    pub python: Option<PythonProcess>,
    /// Where threads have the contexts that they publish.
    pub context: Option<ContextPlace>,
}

impl Runtimes {
    /// `enum runtime` in `bpf/sample.h`.
    fn bits(&self) -> u32 {
        let Self { go, python, context } = self;
        let bits = [go.is_some(), python.is_some(), context.is_some()];
        bits.into_iter().zip(0..).map(|(bit, place)| u32::from(bit) << place).sum()
    }
}

#[derive(Debug, Default)]
struct List {
    entry: ProcessEntry,
    tables: Vec<TableId>,
}

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Processes {
    lists: HashMap<u32, List>,
    runtimes: HashMap<u32, Runtimes>,
    free: Ranges,
    max_processes: usize,
    generation: u64,
}

impl Processes {
    /// None yet, and room for so many mappings and processes.
    pub(crate) fn new(max_mappings: u32, max_processes: u32) -> Self {
        Self {
            lists: HashMap::new(),
            runtimes: HashMap::new(),
            free: Ranges::new(max_mappings),
            max_processes: max_processes as usize,
            generation: 0,
        }
    }

    /// How many processes there are.
    pub(crate) fn count(&self) -> usize {
        self.lists.len()
    }

    /// Says which runtimes a process has, from its next list on.
    pub(crate) fn set_runtimes(
        &mut self,
        pid: u32,
        runtimes: Runtimes,
        maps: &mut impl Maps,
    ) -> Result<(), Error> {
        if let Some(python) = &runtimes.python {
            maps.set_python(pid, python)?;
        }
        self.runtimes.insert(pid, runtimes);
        Ok(())
    }

    /// Replaces the list of a process, which need not be known yet. `mappings` must be sorted by
    /// address, and their tables must be held by the caller.
    ///
    /// # Errors
    /// [`ErrorKind::Full`] or the kernel's; the old list stays in force.
    pub(crate) fn set(
        &mut self,
        pid: u32,
        mappings: &[Mapping],
        tables: &mut Tables,
        maps: &mut impl Maps,
    ) -> Result<(), Error> {
        let full = |message: String| Error::new(ErrorKind::Full, message);
        let count = u32::try_from(mappings.len()).unwrap_or(u32::MAX);
        if count > MAX_PROCESS_MAPPINGS {
            let message = format!("{count} mappings, but at most {MAX_PROCESS_MAPPINGS} fit");
            return Err(full(message));
        }
        if !self.lists.contains_key(&pid) && self.lists.len() >= self.max_processes {
            return Err(full(format!("{} processes are known already", self.lists.len())));
        }
        let Some(first) = self.free.take(count) else {
            return Err(full(format!("no room for {count} mappings of process {pid}")));
        };
        let words: Vec<u32> = mappings
            .iter()
            .flat_map(|mapping| {
                let placed = mapping.table.and_then(|id| tables.placed(id)).unwrap_or_default();
                words_of(mapping, placed)
            })
            .collect();
        maps.write_mappings(first * MAPPING_WORDS, &words);
        let runtimes = self.runtimes.get(&pid).copied().unwrap_or_default();
        let entry = ProcessEntry {
            first,
            count,
            generation: self.generation + 1,
            runtimes: runtimes.bits(),
            go: runtimes.go.unwrap_or_default(),
            context: runtimes.context.unwrap_or_default(),
        };
        if let Err(error) = maps.set_process(pid, entry) {
            self.free.give_back(first, count);
            return Err(error);
        }
        self.generation += 1;
        let held: Vec<TableId> = mappings.iter().filter_map(|mapping| mapping.table).collect();
        held.iter().for_each(|id| tables.retain(*id));
        let list = List { entry, tables: held };
        if let Some(old) = self.lists.insert(pid, list) {
            self.drop_list(old, tables, maps);
        }
        Ok(())
    }

    /// Forgets a process.
    pub(crate) fn remove(&mut self, pid: u32, tables: &mut Tables, maps: &mut impl Maps) {
        maps.remove_process(pid);
        self.runtimes.remove(&pid);
        if let Some(old) = self.lists.remove(&pid) {
            self.drop_list(old, tables, maps);
        }
    }

    fn drop_list(&mut self, list: List, tables: &mut Tables, maps: &mut impl Maps) {
        self.free.give_back(list.entry.first, list.entry.count);
        list.tables.into_iter().for_each(|id| tables.release(id, maps));
    }
}

/// `struct mapping`: four addresses, then first and count of pages and of rules.
fn words_of(mapping: &Mapping, placed: Placed) -> [u32; MAPPING_WORDS as usize] {
    let mut words = [0; MAPPING_WORDS as usize];
    let addresses = [mapping.range.start, mapping.range.end, mapping.bias, placed.base];
    for (pair, address) in words.chunks_exact_mut(2).zip(addresses) {
        pair.copy_from_slice(&[address as u32, (address >> 32) as u32]);
    }
    let table = [placed.first_page, placed.pages, placed.first_rule, placed.rules];
    words[8..].copy_from_slice(&table);
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel_maps::FakeMaps;
    use sondage_sampler::{Rule, Table};

    fn mapping(start: u64, table: Option<TableId>) -> Mapping {
        Mapping { range: start..start + 0x1000, bias: 5, table }
    }

    #[test]
    fn a_mapping_is_laid_out_as_the_program_reads_it() {
        let placed = Placed { base: 0x20000, first_page: 7, pages: 2, first_rule: 100, rules: 4 };
        let mapping = Mapping { range: 0x1_0000_1000..0x3_0000_0002, bias: 5, table: None };
        let words = words_of(&mapping, placed);
        assert_eq!(words, [0x1000, 1, 2, 3, 5, 0, 0x20000, 0, 7, 2, 100, 4]);
    }

    #[test]
    fn each_runtime_has_a_bit() {
        let (go, context) = (Some(GoInfo::default()), Some(ContextPlace::default()));
        let of = |go, context| Runtimes { go, python: None, context }.bits();
        assert_eq!(
            [of(None, None), of(go, None), of(None, context), of(go, context)],
            [0, 1, 4, 5]
        );
    }

    #[test]
    fn a_list_is_replaced_elsewhere_and_its_room_and_tables_come_back() {
        let mut maps = FakeMaps { memory: 1, ..FakeMaps::default() };
        let mut tables = Tables::new(1 << 20);
        let mut processes = Processes::new(5, 2);
        let rules = [Rule::default()];
        let table = Table { base: 0, pages: &[0, 1], rows: &[0], rules: &rules };
        let id = tables.put(&table, &mut maps).unwrap();
        let none = ProcessEntry::default();
        let list = [mapping(0x1000, Some(id)), mapping(0x3000, None)];
        processes.set(7, &list, &mut tables, &mut maps).unwrap();
        tables.release(id, &mut maps);
        assert_eq!(tables.count(), 1, "the list holds it");
        assert_eq!(maps.processes[&7], ProcessEntry { first: 0, count: 2, generation: 1, ..none });
        processes.set(7, &list, &mut tables, &mut maps).unwrap();
        assert_eq!(maps.processes[&7], ProcessEntry { first: 2, count: 2, generation: 2, ..none });
        assert_eq!(maps.mappings[24..36], words_of(&list[0], tables.placed(id).unwrap()));
        // The old and the new list do not both fit.
        let four: Vec<_> = (0..4).map(|number| mapping(number << 12, None)).collect();
        let error = processes.set(7, &four, &mut tables, &mut maps).unwrap_err();
        assert_eq!((error.kind(), tables.count()), (ErrorKind::Full, 1));
        processes.set(8, &[], &mut tables, &mut maps).unwrap();
        let error = processes.set(9, &[], &mut tables, &mut maps).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Full);
        processes.remove(7, &mut tables, &mut maps);
        assert_eq!((processes.count(), tables.count(), processes.free.left()), (1, 0, 5));
        assert!(!maps.processes.contains_key(&7));
        let many = vec![mapping(0, None); 2049];
        assert!(processes.set(8, &many, &mut tables, &mut maps).is_err());
    }
}

//! Stacks of processes that nobody knew when they were sampled, as `bpf/stack_copy.h` copies them.

use crate::object::MAX_FRAMES;
use crate::processes::Mapping;
use crate::records::{Record, RecordKind};
use crate::tables::{TableCopy, TableId};
use sondage_sampler::walk::walk;
use sondage_sampler::{End, MemoryReader, ModuleEntry, RawSample, Registers};
use std::collections::HashMap;

/// `COPY_PART` in `bpf/sample.h`: the copy begins at a multiple of so many bytes.
pub(crate) const PART: u64 = 512;

/// The registers of a thread and what its stack held, up to 8 KiB of it.
#[derive(Clone, Debug)]
pub struct StackCopy {
    registers: Registers,
    base: u64,
    words: Vec<u64>,
}

impl StackCopy {
    /// The copy in a record; `None` where it has none.
    pub fn of(record: &Record<'_>) -> Option<Self> {
        if record.kind != RecordKind::UnknownProcess {
            return None;
        }
        let (sample, length) = RawSample::read(record.words)?;
        let [sp, fp, words @ ..] = record.words.get(length..)? else { return None };
        let registers = Registers { pc: *sample.frames.last()?, sp: *sp, fp: *fp, lr: None };
        Some(Self { registers, base: sp & !(PART - 1), words: words.to_vec() })
    }

    /// Walks the stack in a process with these mappings, sorted by address, and appends its frames,
    /// leaf first. `read` copies a table; those are asked for that the walk comes by.
    pub(crate) fn walk(
        &self,
        mappings: &[Mapping],
        mut read: impl FnMut(TableId) -> Option<TableCopy>,
        frames: &mut Vec<u64>,
    ) -> End {
        let first = frames.len();
        let mut tables: HashMap<TableId, Option<TableCopy>> = HashMap::new();
        loop {
            let entries: Vec<ModuleEntry<'_>> = mappings
                .iter()
                .map(|mapping| ModuleEntry {
                    start: mapping.range.start,
                    end: mapping.range.end,
                    bias: mapping.bias,
                    table: mapping.table.and_then(|id| Some(tables.get(&id)?.as_ref()?.as_table())),
                })
                .collect();
            frames.truncate(first);
            let mut memory = Copied { base: self.base, words: &self.words };
            let put = |_, address| frames.push(address);
            let walked = walk(&entries, self.registers, &mut memory, MAX_FRAMES as usize, put);
            drop(entries);
            let met = frames.iter().skip(first).filter_map(|address| table_at(mappings, *address));
            let new: Vec<TableId> = met.filter(|id| !tables.contains_key(id)).collect();
            if new.is_empty() {
                return walked.end;
            }
            tables.extend(new.into_iter().map(|id| (id, read(id))));
        }
    }
}

/// The table for the code that returns to `address`, or runs there.
fn table_at(mappings: &[Mapping], address: u64) -> Option<TableId> {
    let holds = |mapping: &&Mapping| {
        mapping.range.contains(&address) || mapping.range.contains(&address.wrapping_sub(1))
    };
    mappings.iter().find(holds)?.table
}

struct Copied<'w> {
    base: u64,
    words: &'w [u64],
}

impl MemoryReader for Copied<'_> {
    fn word(&mut self, address: u64) -> Option<u64> {
        let offset = address.checked_sub(self.base)?;
        if offset % 8 != 0 {
            return None;
        }
        self.words.get(usize::try_from(offset / 8).ok()?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel_maps::FakeMaps;
    use crate::tables::Tables;
    use sondage_sampler::{Rule, Table};

    const SP: u64 = 0x7f00_0000_0208;

    fn record(words: &[u64]) -> Record<'_> {
        let kind = RecordKind::UnknownProcess;
        Record { kind, pid: 7, tid: 8, time: 0, cgroup: 0, comm: [0; 16], words }
    }

    #[test]
    fn a_copy_is_walked_with_the_tables_that_it_comes_by() {
        // Two kernel frames and the leaf, then the copy; it begins below the stack pointer.
        let stack = [0, 0x2222, 0, 0x3333, 9];
        let sample = [3, 0, u64::MAX, u64::MAX - 1, 0x1111, SP, 5];
        let words = [&sample[..], &stack].concat();
        let copy = StackCopy::of(&record(&words)).unwrap();
        assert_eq!(copy.registers, Registers { pc: 0x1111, sp: SP, fp: 5, lr: None });

        let mut maps = FakeMaps { memory: 1, ..FakeMaps::default() };
        let mut tables = Tables::new(1 << 20);
        let mut put = |rule| {
            let table = Table { base: 0, pages: &[0, 1], rows: &[0], rules: &[rule] };
            tables.put(&table, &mut maps).unwrap()
        };
        let pop = |offset| Rule { cfa: Rule::SP, ra: 0, fp: 0, offset };
        let [first, second] = [put(pop(8)), put(pop(16))];
        let root = put(Rule { cfa: Rule::ROOT, ..Rule::default() });
        let unmet = put(pop(32));
        let mapping = |start: u64, table| {
            let range = start..start + 0x1000;
            Mapping { range, bias: start, table: Some(table) }
        };
        let mut mappings = [(0x1000, first), (0x2000, second), (0x3000, root), (0x5000, unmet)]
            .map(|it| mapping(it.0, it.1));
        let mut frames = vec![u64::MAX];
        let mut asked = Vec::new();
        let mut read = |id| {
            asked.push(id);
            tables.read(id, &maps)
        };
        assert_eq!(copy.walk(&mappings, &mut read, &mut frames), End::Root);
        assert_eq!(frames, [u64::MAX, 0x1111, 0x2222, 0x3333]);
        assert_eq!(asked, [first, second, root]);

        // Where the copy ends, so does the walk.
        mappings[2].table = Some(unmet);
        frames.clear();
        assert_eq!(
            copy.walk(&mappings, &mut |id| tables.read(id, &maps), &mut frames),
            End::Memory
        );
        assert_eq!(frames.len(), 3);
    }

    #[test]
    fn a_record_without_a_copy_has_none() {
        assert!(StackCopy::of(&record(&[1, 0, 0x1111])).is_none());
        assert!(StackCopy::of(&record(&[1, 0, 0x1111, SP])).is_none());
        assert!(StackCopy::of(&record(&[])).is_none());
        let words = [1, 0, 0x1111, SP, 5];
        let sample = Record { kind: RecordKind::Sample, ..record(&words) };
        assert!(StackCopy::of(&sample).is_none());
        assert!(StackCopy::of(&record(&words)).is_some_and(|copy| copy.words.is_empty()));
    }
}

//! The engine for one process: start, tables, drain, stop.

use crate::counters::{Counters, Losses};
use crate::error::Error;
use crate::label_cells::LabelCells;
use crate::object::{Loading, Object};
use crate::options::Options;
use crate::processes::{MAX_PROCESS_MAPPINGS, Mapping};
use crate::records::RecordKind;
use crate::running::{Footprint, Running, available};
use crate::tables::TableId;
use sondage_sampler::ModuleEntry;
use std::fmt;

/// Samples one process until it is dropped.
///
/// Costs one timer interrupt a processor and period, also on processors that run something else.
/// Processors that come online after the start are not sampled. After a fork the child is not
/// sampled; its copy of the engine may be dropped.
pub struct Engine {
    running: Running,
    label_cells: LabelCells,
    process: u32,
}

impl Engine {
    /// Loads the program, hands it the modules' unwind tables and starts sampling.
    ///
    /// `modules` are the process's executable mappings, in any order. Takes 10 to 50 ms, most of
    /// it in the kernel's verifier.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) with every missing capability or kernel feature in the message;
    /// otherwise [`Kernel`](crate::ErrorKind::Kernel), [`BadTable`](crate::ErrorKind::BadTable) or [`Full`](crate::ErrorKind::Full) (more than
    /// 2,048 modules).
    pub fn start<'t>(
        options: &Options,
        modules: impl IntoIterator<Item = ModuleEntry<'t>>,
    ) -> Result<Self, Error> {
        let mut engine = Self::prepare(available()?, options, modules)?;
        engine.attach(options)?;
        Ok(engine)
    }

    /// Everything up to the first sample. Another object must define the same maps.
    pub(crate) fn prepare<'t>(
        object: Object,
        options: &Options,
        modules: impl IntoIterator<Item = ModuleEntry<'t>>,
    ) -> Result<Self, Error> {
        let loading = Loading {
            every_process: false,
            kernel_stacks: options.kernel_stacks,
            max_depth: options.max_depth,
            ring_bytes: options.ring_bytes,
            // The old and the new list.
            mappings: 2 * MAX_PROCESS_MAPPINGS,
            processes: 1,
            threads: 0,
            walks_a_second: 0,
        };
        let mut running = Running::prepare(object, &loading, options.table_bytes)?;
        let label_cells = LabelCells::new(running.loaded.label_cells()?);
        let mut engine = Self { running, label_cells, process: options.process };
        engine.set_modules(modules)?;
        Ok(engine)
    }

    pub(crate) fn attach(&mut self, options: &Options) -> Result<(), Error> {
        self.running.attach(options.hertz)
    }

    /// Replaces the list of modules, in any order. Tables that the program has already are used
    /// again; those of modules that have gone are taken away. A sample taken at this moment is lost
    /// and counted.
    ///
    /// # Errors
    /// [`Full`](crate::ErrorKind::Full) or [`BadTable`](crate::ErrorKind::BadTable); the old list stays in force.
    pub fn set_modules<'t>(
        &mut self,
        modules: impl IntoIterator<Item = ModuleEntry<'t>>,
    ) -> Result<(), Error> {
        let mut held: Vec<TableId> = Vec::new();
        let set = self.put_modules(modules, &mut held);
        let Running { tables, maps, .. } = &mut self.running;
        held.into_iter().for_each(|id| tables.release(id, maps));
        set
    }

    fn put_modules<'t>(
        &mut self,
        modules: impl IntoIterator<Item = ModuleEntry<'t>>,
        held: &mut Vec<TableId>,
    ) -> Result<(), Error> {
        let Running { tables, processes, maps, .. } = &mut self.running;
        let mut mappings = Vec::new();
        for module in modules {
            let table = module.table.as_ref().map(|table| tables.put(table, maps)).transpose()?;
            held.extend(table);
            mappings.push(Mapping { range: module.start..module.end, bias: module.bias, table });
        }
        mappings.sort_by_key(|mapping| mapping.range.start);
        processes.set(self.process, &mappings, tables, maps)
    }

    /// Says where the [label cells](sondage_sampler::LabelCell) of threads lie, of all that have
    /// one: from now on their samples carry labels. Costs one system call for each change since
    /// the last time. A thread whose cell cannot be read, because it has ended, has no labels.
    ///
    /// # Errors
    /// [`Kernel`](crate::ErrorKind::Kernel) when the map refuses an entry, for example beyond 4,096
    /// threads; those before it are in.
    pub fn set_label_cells(
        &mut self,
        cells: impl IntoIterator<Item = (u32, u64)>,
    ) -> Result<(), Error> {
        self.label_cells.replace(cells)
    }

    /// Hands out the samples taken since the last call, as thread id and the words of a
    /// [`RawSample`](sondage_sampler::RawSample). Returns how many there were.
    ///
    /// Never blocks. Stops after as many samples as the ring can hold, so that it ends even when
    /// samples come faster than `take` handles them.
    pub fn drain(&mut self, mut take: impl FnMut(u32, &[u64])) -> usize {
        let mut taken = 0;
        self.running.drain(|record| {
            if record.kind == RecordKind::Sample {
                take(record.tid, record.words);
                taken += 1;
            }
        });
        taken
    }

    /// Samples lost since the start, by cause.
    ///
    /// # Errors
    /// [`Kernel`](crate::ErrorKind::Kernel) when the map cannot be read.
    pub fn losses(&self) -> Result<Losses, Error> {
        self.running.losses()
    }

    /// Samples taken since the start.
    ///
    /// # Errors
    /// [`Kernel`](crate::ErrorKind::Kernel) when the map cannot be read.
    pub fn counters(&self) -> Result<Counters, Error> {
        self.running.counters()
    }

    /// What the program takes of the machine.
    ///
    /// # Errors
    /// [`Kernel`](crate::ErrorKind::Kernel) when the kernel does not tell.
    pub fn footprint(&mut self) -> Result<Footprint, Error> {
        self.running.footprint()
    }

    /// What else is in the object, for the replay tests.
    #[cfg(test)]
    pub(crate) fn loaded(&mut self) -> &mut crate::object::Loaded {
        &mut self.running.loaded
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("process", &self.process).finish_non_exhaustive()
    }
}

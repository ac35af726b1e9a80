//! The running engine: start, tables, drain, stop.

use crate::arena::{Arena, Placed, Size};
use crate::counters::{CounterMap, Counters, Losses};
use crate::error::{Error, ErrorKind};
use crate::label_cells::LabelCells;
use crate::module_list::ModuleList;
use crate::object::{Loaded, OBJECT, Object};
use crate::options::Options;
use crate::probe::probe;
use crate::records;
use aya::maps::{MapData, RingBuf};
use aya::programs::PerfEvent;
use aya::programs::perf_event::{PerfEventConfig, PerfEventScope, SamplePolicy, SoftwareEvent};
use aya::util::online_cpus;
use sondage_sampler::ModuleEntry;
use std::fmt;
use std::time::Duration;

/// Samples one process until it is dropped.
///
/// Costs one timer interrupt a processor and period, also on processors that run something else.
/// Processors that come online after the start are not sampled. After a fork the child is not
/// sampled; its copy of the engine may be dropped.
pub struct Engine {
    arena: Arena,
    modules: ModuleList,
    counters: CounterMap,
    label_cells: LabelCells,
    ring: RingBuf<MapData>,
    words: Vec<u64>,
    /// Holds the program and its events. Last, so that the maps above are ours until it is gone.
    loaded: Loaded,
    program: &'static str,
}

/// What the program takes of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Instructions that the kernel's verifier looked at, where the kernel tells (5.16).
    pub verified_instructions: Option<u32>,
    /// Bytes of machine code.
    pub code_bytes: u32,
    /// How often the program ran, and for how long in all. 0 unless something has switched on
    /// the kernel's BPF statistics (`sysctl kernel.bpf_stats_enabled=1`). Runs that found another
    /// process count too.
    pub runs: u64,
    /// See `runs`.
    pub run_time: Duration,
}

impl Engine {
    /// Loads the program, hands it the modules' unwind tables and starts sampling.
    ///
    /// `modules` are the process's executable mappings, in any order. Takes 10 to 50 ms, most of
    /// it in the kernel's verifier.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] with every missing capability or kernel feature in the message;
    /// otherwise [`ErrorKind::Kernel`], [`ErrorKind::BadTable`] or [`ErrorKind::Full`] (more than
    /// 2,048 modules).
    pub fn start<'t>(
        options: &Options,
        modules: impl IntoIterator<Item = ModuleEntry<'t>>,
    ) -> Result<Self, Error> {
        let missing = probe();
        if !missing.is_empty() {
            let lines: Vec<String> = missing.iter().map(ToString::to_string).collect();
            return Err(Error::new(ErrorKind::Unavailable, lines.join("; ")));
        }
        let object = OBJECT.ok_or_else(|| Error::new(ErrorKind::Unavailable, "no object"))?;
        let mut engine = Self::prepare(object, options, modules)?;
        engine.attach(options)?;
        Ok(engine)
    }

    /// Everything up to the first sample. Another object must define the same maps.
    pub(crate) fn prepare<'t>(
        object: Object,
        options: &Options,
        modules: impl IntoIterator<Item = ModuleEntry<'t>>,
    ) -> Result<Self, Error> {
        let modules: Vec<ModuleEntry<'t>> = modules.into_iter().collect();
        let size = modules
            .iter()
            .filter_map(|module| module.table.as_ref())
            .map(Size::of)
            .fold(Size::spare(options.spare_rows as usize), Size::add);
        let mut loaded = object.load(options, size)?;
        let mut engine = Self {
            arena: loaded.arena(size)?,
            modules: loaded.module_list()?,
            counters: CounterMap(loaded.counters()?),
            label_cells: LabelCells::new(loaded.label_cells()?),
            ring: loaded.ring("ring")?,
            words: Vec::new(),
            loaded,
            program: object.program,
        };
        engine.set_modules(modules)?;
        Ok(engine)
    }

    /// Has the kernel check the program, and runs it on every processor.
    pub(crate) fn attach(&mut self, options: &Options) -> Result<(), Error> {
        let program = self.program_mut()?;
        program.load().map_err(|error| Error::kernel("the kernel refused the program", error))?;
        let cpus = online_cpus().map_err(|(path, error)| {
            Error::kernel(format!("cannot read the processors from {path}"), error)
        })?;
        for cpu in cpus {
            program
                .attach(
                    PerfEventConfig::Software(SoftwareEvent::CpuClock),
                    PerfEventScope::AllProcessesOneCpu { cpu },
                    SamplePolicy::Frequency(options.hertz.get().into()),
                    false,
                )
                .map_err(|error| Error::kernel(format!("cannot sample processor {cpu}"), error))?;
        }
        Ok(())
    }

    fn program_mut(&mut self) -> Result<&mut PerfEvent, Error> {
        let program = self.loaded.0.program_mut(self.program).ok_or_else(|| {
            Error::new(ErrorKind::Kernel, "the eBPF object does not hold its program")
        })?;
        program
            .try_into()
            .map_err(|error| Error::kernel("the eBPF object's program is no perf event", error))
    }

    /// Replaces the list of modules, in any order. Tables that the program has already are used
    /// again; those of modules that have gone stay, and their room is not given back. A sample
    /// taken at this moment is lost and counted.
    ///
    /// # Errors
    /// [`ErrorKind::Full`] or [`ErrorKind::BadTable`]; the old list stays in force.
    pub fn set_modules<'t>(
        &mut self,
        modules: impl IntoIterator<Item = ModuleEntry<'t>>,
    ) -> Result<(), Error> {
        let mut placed: Vec<(ModuleEntry<'t>, Option<Placed>)> = Vec::new();
        for module in modules {
            let table = module.table.as_ref().map(|table| self.arena.place(table)).transpose()?;
            placed.push((module, table));
        }
        placed.sort_by_key(|(module, _)| module.start);
        self.modules.replace(&placed)
    }

    /// Says where the [label cells](sondage_sampler::LabelCell) of threads lie, of all that have
    /// one: from now on their samples carry labels. Costs one system call for each change since
    /// the last time. A thread whose cell cannot be read, because it has ended, has no labels.
    ///
    /// # Errors
    /// [`ErrorKind::Kernel`] when the map refuses an entry, for example beyond 4,096 threads;
    /// those before it are in.
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
        while taken < MOST_SAMPLES {
            let Some(record) = self.ring.next() else { break };
            if let Some(tid) = records::read(&record, &mut self.words) {
                take(tid, &self.words);
                taken += 1;
            }
        }
        taken
    }

    /// Samples lost since the start, by cause.
    ///
    /// # Errors
    /// [`ErrorKind::Kernel`] when the map cannot be read.
    pub fn losses(&self) -> Result<Losses, Error> {
        self.counters.losses()
    }

    /// Samples taken since the start.
    ///
    /// # Errors
    /// [`ErrorKind::Kernel`] when the map cannot be read.
    pub fn counters(&self) -> Result<Counters, Error> {
        self.counters.counters()
    }

    /// What the program takes of the machine.
    ///
    /// # Errors
    /// [`ErrorKind::Kernel`] when the kernel does not tell.
    pub fn footprint(&mut self) -> Result<Footprint, Error> {
        let info = self
            .program_mut()?
            .info()
            .map_err(|error| Error::kernel("cannot read the program's statistics", error))?;
        Ok(Footprint {
            verified_instructions: info.verified_instruction_count(),
            code_bytes: info.size_jitted(),
            runs: info.run_count(),
            run_time: info.run_time(),
        })
    }

    /// What else is in the object, for the replay tests.
    #[cfg(test)]
    pub(crate) fn loaded(&mut self) -> &mut Loaded {
        &mut self.loaded
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("arena", &self.arena).finish_non_exhaustive()
    }
}

/// The largest ring is 1 GiB, and a record takes 32 bytes or more.
const MOST_SAMPLES: usize = 1 << 25;

//! The loaded programs and their maps: what both engines are made of.

use crate::counters::{CounterMap, Counters, Losses};
use crate::error::{Error, ErrorKind};
use crate::kernel_maps::KernelMaps;
use crate::object::{Loaded, Loading, OBJECT, Object};
use crate::probe::probe;
use crate::processes::Processes;
use crate::records::{self, Record};
use crate::tables::Tables;
use aya::Btf;
use aya::maps::{MapData, RingBuf};
use aya::programs::perf_event::{PerfEventConfig, PerfEventScope, SamplePolicy, SoftwareEvent};
use aya::programs::{BtfTracePoint, PerfEvent, ProgramInfo};
use aya::util::online_cpus;
use std::num::NonZeroU32;
use std::time::Duration;

/// What the programs take of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Instructions that the kernel's verifier looked at, where the kernel tells (5.16).
    pub verified_instructions: Option<u32>,
    /// Bytes of machine code.
    pub code_bytes: u32,
    /// How often the program ran, and for how long in all. 0 unless something has switched on
    /// the kernel's BPF statistics (`sysctl kernel.bpf_stats_enabled=1`). Runs that found a process
    /// that nobody asked for count too.
    pub runs: u64,
    /// See `runs`.
    pub run_time: Duration,
}

impl Footprint {
    fn of(info: &ProgramInfo) -> Self {
        Self {
            verified_instructions: info.verified_instruction_count(),
            code_bytes: info.size_jitted(),
            runs: info.run_count(),
            run_time: info.run_time(),
        }
    }
}

/// See the module's description.
pub(crate) struct Running {
    pub(crate) tables: Tables,
    pub(crate) processes: Processes,
    pub(crate) maps: KernelMaps,
    counters: CounterMap,
    ring: RingBuf<MapData>,
    words: Vec<u64>,
    /// Holds the programs and their events. Last, so that the maps above are ours until it is gone.
    pub(crate) loaded: Loaded,
    program: &'static str,
}

/// The object for this processor.
///
/// # Errors
/// [`ErrorKind::Unavailable`] with everything that is missing here.
pub(crate) fn available() -> Result<Object, Error> {
    let missing = probe();
    if !missing.is_empty() {
        let lines: Vec<String> = missing.iter().map(ToString::to_string).collect();
        return Err(Error::new(ErrorKind::Unavailable, lines.join("; ")));
    }
    OBJECT.ok_or_else(|| Error::new(ErrorKind::Unavailable, "no object"))
}

impl Running {
    /// Everything up to the first sample. Another object must define the same maps.
    pub(crate) fn prepare(
        object: Object,
        loading: &Loading,
        table_bytes: usize,
    ) -> Result<Self, Error> {
        let mut loaded = object.load(loading)?;
        Ok(Self {
            tables: Tables::new(table_bytes),
            processes: Processes::new(loading.mappings, loading.processes),
            maps: loaded.maps(loading.mappings)?,
            counters: CounterMap(loaded.counters()?),
            ring: loaded.ring("ring")?,
            words: Vec::new(),
            loaded,
            program: object.program,
        })
    }

    /// Has the kernel check the program, and runs it on every processor.
    pub(crate) fn attach(&mut self, hertz: NonZeroU32) -> Result<(), Error> {
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
                    SamplePolicy::Frequency(hertz.get().into()),
                    false,
                )
                .map_err(|error| Error::kernel(format!("cannot sample processor {cpu}"), error))?;
        }
        Ok(())
    }

    /// Runs a program at a tracepoint of the kernel's, until the engine is dropped.
    pub(crate) fn trace(
        &mut self,
        program: &str,
        tracepoint: &str,
        btf: &Btf,
    ) -> Result<(), Error> {
        let refused =
            |error| Error::kernel(format!("the kernel refused to trace {tracepoint}"), error);
        let program = self.tracing(program)?;
        program.load(tracepoint, btf).map_err(refused)?;
        program.attach().map_err(refused)?;
        Ok(())
    }

    fn tracing(&mut self, program: &str) -> Result<&mut BtfTracePoint, Error> {
        let program = self.loaded.0.program_mut(program).ok_or_else(no_program)?;
        program
            .try_into()
            .map_err(|error| Error::kernel("the eBPF object's program traces nothing", error))
    }

    fn program_mut(&mut self) -> Result<&mut PerfEvent, Error> {
        let program = self.loaded.0.program_mut(self.program).ok_or_else(no_program)?;
        program
            .try_into()
            .map_err(|error| Error::kernel("the eBPF object's program is no perf event", error))
    }

    /// Waits until a program wakes the reader, or for this long.
    pub(crate) fn wait(&self, timeout: Duration) {
        use std::os::fd::AsFd;
        crate::sys::wait_readable(self.ring.as_fd(), timeout);
    }

    /// Hands out the records since the last call, as many as the ring can hold at most, and returns
    /// how many there were.
    pub(crate) fn drain(&mut self, mut take: impl FnMut(&Record<'_>)) -> usize {
        let mut taken = 0;
        while taken < MOST_RECORDS {
            let Some(bytes) = self.ring.next() else { break };
            if let Some(record) = records::read(&bytes, &mut self.words) {
                take(&record);
            }
            taken += 1;
        }
        taken
    }

    pub(crate) fn losses(&self) -> Result<Losses, Error> {
        self.counters.losses()
    }

    pub(crate) fn counters(&self) -> Result<Counters, Error> {
        self.counters.counters()
    }

    /// What the program that samples running threads takes.
    pub(crate) fn footprint(&mut self) -> Result<Footprint, Error> {
        let info = self.program_mut()?.info().map_err(no_statistics)?;
        Ok(Footprint::of(&info))
    }

    /// What a program at a tracepoint takes.
    pub(crate) fn footprint_of(&mut self, program: &str) -> Result<Footprint, Error> {
        let info = self.tracing(program)?.info().map_err(no_statistics)?;
        Ok(Footprint::of(&info))
    }
}

fn no_program() -> Error {
    Error::new(ErrorKind::Kernel, "the eBPF object does not hold its program")
}

fn no_statistics(error: aya::programs::ProgramError) -> Error {
    Error::kernel("cannot read the program's statistics", error)
}

/// The largest ring is 1 GiB, and a record takes 64 bytes or more.
const MOST_RECORDS: usize = 1 << 24;

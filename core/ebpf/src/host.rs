//! The engine for every process of the machine.

use crate::counters::{Counters, Losses};
use crate::error::Error;
use crate::object::Loading;
use crate::options::HostOptions;
use crate::processes::{Mapping, Runtimes};
use crate::records::Record;
use crate::running::{Footprint, Running, available};
use crate::stack_copy::StackCopy;
use crate::tables::TableId;
use aya::Btf;
use sondage_sampler::{End, Table};
use std::fmt;
use std::time::Duration;

/// Samples every process that its pid namespace sees, until it is dropped.
///
/// The programs know no process at first: a sample of one comes as
/// [`UnknownProcess`](crate::RecordKind::UnknownProcess), and whoever reads it says with
/// [`Host::set_process`] what code the process has. Unwind tables are put with [`Host::put_table`],
/// once for all processes that map the same file.
pub struct Host {
    running: Running,
    off_cpu: bool,
}

impl Host {
    /// Loads the programs and starts sampling. Takes 10 to 100 ms, most of it in the kernel's
    /// verifier.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) with every missing capability or kernel feature
    /// in the message; [`Kernel`](crate::ErrorKind::Kernel) otherwise.
    pub fn start(options: &HostOptions) -> Result<Self, Error> {
        let object = available()?;
        let loading = Loading {
            every_process: true,
            kernel_stacks: options.kernel_stacks,
            max_depth: options.max_depth,
            ring_bytes: options.ring_bytes,
            mappings: options.mappings,
            processes: options.processes,
            threads: if options.off_cpu { options.threads } else { 0 },
            walks_a_second: options.off_cpu_walks,
        };
        let mut running = Running::prepare(object, &loading, options.table_bytes)?;
        let btf = Btf::from_sys_fs()
            .map_err(|error| Error::kernel("cannot read the kernel's types", error))?;
        running.trace("sondage_exec", "sched_process_exec", &btf)?;
        running.trace("sondage_exit", "sched_process_exit", &btf)?;
        if options.off_cpu {
            running.trace(SWITCH, "sched_switch", &btf)?;
        }
        running.attach(options.hertz)?;
        Ok(Self { running, off_cpu: options.off_cpu })
    }

    /// Puts a table where the programs can see it; equal tables are one. It stays until it has been
    /// [taken back](Self::take_back_table) as often as it was put and no process uses it.
    ///
    /// # Errors
    /// [`Full`](crate::ErrorKind::Full) at the memory's ceiling,
    /// [`BadTable`](crate::ErrorKind::BadTable), or the kernel's. Nothing has changed then.
    pub fn put_table(&mut self, table: &Table<'_>) -> Result<TableId, Error> {
        self.running.tables.put(table, &mut self.running.maps)
    }

    /// See [`Host::put_table`].
    pub fn take_back_table(&mut self, table: TableId) {
        self.running.tables.release(table, &mut self.running.maps);
    }

    /// Says what code a process has: its executable mappings, sorted by address. A sample of it
    /// taken at this moment is lost and counted.
    ///
    /// # Errors
    /// [`Full`](crate::ErrorKind::Full), or the kernel's; what was known stays in force.
    pub fn set_process(&mut self, pid: u32, mappings: &[Mapping]) -> Result<(), Error> {
        let Running { processes, tables, maps, .. } = &mut self.running;
        processes.set(pid, mappings, tables, maps)
    }

    /// Walks the stack of a process with these mappings, sorted by address, and appends its frames,
    /// leaf first. Tells why the walk ended.
    pub fn walk(&self, copy: &StackCopy, mappings: &[Mapping], frames: &mut Vec<u64>) -> End {
        let Running { tables, maps, .. } = &self.running;
        copy.walk(mappings, |table| tables.read(table, maps), frames)
    }

    /// Says which runtimes a process has whose structures are read; in force with its next list.
    ///
    /// # Errors
    /// The kernel's, where there is no room.
    pub fn set_runtimes(&mut self, pid: u32, runtimes: Runtimes) -> Result<(), Error> {
        self.running.processes.set_runtimes(pid, runtimes, &mut self.running.maps)
    }

    /// Forgets a process that has ended.
    pub fn forget_process(&mut self, pid: u32) {
        let Running { processes, tables, maps, .. } = &mut self.running;
        processes.remove(pid, tables, maps);
    }

    /// Waits until there is something that does not wait for the reader's clock, an unknown process,
    /// or for this long.
    pub fn wait(&self, timeout: Duration) {
        self.running.wait(timeout);
    }

    /// Hands out what came since the last call, in its order, and returns how many records that
    /// were. Never blocks, and ends even when records come faster than `take` handles them.
    pub fn drain(&mut self, take: impl FnMut(&Record<'_>)) -> usize {
        self.running.drain(take)
    }

    /// Bytes that unwind tables take, and how many tables there are.
    pub fn tables(&self) -> (usize, usize) {
        (self.running.tables.bytes(), self.running.tables.count())
    }

    /// How many processes the programs know.
    pub fn processes(&self) -> usize {
        self.running.processes.count()
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

    /// What the program that samples running threads takes, and the one that sees them stop.
    ///
    /// # Errors
    /// [`Kernel`](crate::ErrorKind::Kernel) when the kernel does not tell.
    pub fn footprints(&mut self) -> Result<(Footprint, Option<Footprint>), Error> {
        let switch = self.off_cpu.then(|| self.running.footprint_of(SWITCH)).transpose()?;
        Ok((self.running.footprint()?, switch))
    }
}

const SWITCH: &str = "sondage_switch";

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("processes", &self.processes()).finish_non_exhaustive()
    }
}

//! One process that is read from outside.

use crate::error::{Error, ErrorKind};
use crate::memory::RemoteMemory;
use crate::registers;
use crate::runtime::Attached;
use crate::status;
use crate::stop::Tracer;
use crate::tables::Tables;
use sondage::OutsideRuntimes;
use sondage::resolve::{CodeSource, Files, Mappings};
use sondage_sampler::{End, Numbers, walk_outside};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

/// Words of one stack.
const MAX_WORDS: usize = 2048;

/// A process whose stacks are taken.
#[derive(Debug)]
pub struct Process {
    pid: u32,
    files: Files,
    pub(crate) mappings: Mappings,
    tables: Tables,
    memory: RemoteMemory,
    numbers: Numbers,
    attached: Attached,
    tracer: Tracer,
    words: Vec<u64>,
    /// Device and inode of its program.
    program: Option<(u64, u64)>,
}

/// A thread, as `/proc` describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadInfo {
    /// Its number.
    pub tid: i32,
    /// Its name.
    pub name: String,
    /// `R` runs or could, `S` waits, `D` waits in the kernel, `T` is stopped by a signal; as in
    /// `/proc/PID/stat`.
    pub state: char,
}

/// A stack.
#[derive(Clone, Copy, Debug)]
pub struct Taken<'p> {
    /// Words as in a sample: native frames leaf first, then Python's.
    pub words: &'p [u64],
    /// Why the walk over native frames ended.
    pub end: End,
    /// Whether frames of a runtime could not be read.
    pub lost: bool,
    /// How long the thread was stopped.
    pub stopped: Duration,
}

fn program(pid: u32) -> Option<(u64, u64)> {
    let file = std::fs::metadata(format!("/proc/{pid}/exe")).ok()?;
    Some((file.dev(), file.ino()))
}

/// Where the numbers in frames lead.
struct Source<'n>(&'n Numbers);

impl CodeSource for Source<'_> {
    fn code(&self, id: u32) -> Option<&[u8]> {
        self.0.copy(id)
    }

    fn generation(&self) -> u64 {
        self.0.generation()
    }
}

impl Process {
    /// Looks at a process: its modules, with a table of each, and its runtimes. Nothing is stopped.
    /// Takes 10 ms for a small program, some 100 ms for a virtual machine.
    ///
    /// # Errors
    /// See [`ErrorKind`].
    pub fn open(pid: u32) -> Result<Self, Error> {
        let status = status::of(pid).ok_or_else(|| Error::missing(pid))?;
        if let Some(process) = status.number("Tgid:").filter(|process| *process != pid) {
            let message = format!("{pid} is a thread of process {process}");
            return Err(Error::new(ErrorKind::Missing, message));
        }
        let numbers = Numbers::new()
            .map_err(|error| Error::new(ErrorKind::Other, format!("no memory: {error}")))?;
        let mut process = Self {
            pid,
            files: Files::default(),
            mappings: Mappings::of(pid),
            tables: Tables::default(),
            memory: RemoteMemory::new(pid),
            numbers,
            attached: Attached::default(),
            tracer: Tracer::new(),
            words: vec![0; MAX_WORDS],
            program: program(pid),
        };
        process.refresh()?;
        if process.mappings.iter().next().is_none() {
            let is_ended = status::state(pid, pid as i32).is_none_or(|state| state == 'Z');
            return Err(match is_ended {
                true => Error::new(ErrorKind::Missing, format!("process {pid} has ended")),
                false => Error::new(
                    ErrorKind::Unsupported,
                    format!("process {pid} has no code of its own: it is a thread of the kernel"),
                ),
            });
        }
        process.attached = Attached::find(pid, &process.mappings, &process.memory);
        Ok(process)
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Its modules, as of the last [`refresh`](Self::refresh).
    pub fn mappings(&self) -> &Mappings {
        &self.mappings
    }

    /// What those who name its frames need to know.
    pub fn runtimes(&self, internals: bool) -> OutsideRuntimes {
        self.attached.for_names(internals)
    }

    /// Why runtimes that are there cannot be read, for people.
    pub fn refusals(&self) -> &[String] {
        &self.attached.refusals
    }

    /// What could not be read of its files.
    pub fn module_error(&self) -> Option<&str> {
        self.mappings.last_error.as_deref().or(self.tables.last_error.as_deref())
    }

    /// Looks at its modules again and builds tables of new ones. Returns whether the list changed.
    /// What was taken before must have its names.
    ///
    /// # Errors
    /// See [`ErrorKind`].
    pub fn refresh(&mut self) -> Result<bool, Error> {
        let pid = self.pid;
        if program(pid) != self.program && self.program.is_some() {
            let message = format!("process {pid} has ended, or has become another program");
            return Err(Error::new(ErrorKind::Missing, message));
        }
        let changed = self.mappings.refresh(&mut self.files);
        let changed = changed.map_err(|error| Error::io(pid, &error))?;
        if changed {
            self.tables.build(&self.mappings);
        }
        Ok(changed)
    }

    /// Its threads now, by number; none once it has ended.
    pub fn threads(&self) -> Vec<ThreadInfo> {
        let pid = self.pid;
        let info = |tid| {
            let state = status::state(pid, tid)?;
            Some(ThreadInfo { tid, name: status::name(pid, tid), state })
        };
        status::threads(pid).into_iter().filter_map(info).collect()
    }

    /// Stops a thread, takes its stack, and lets it go on. `None` if it has ended, or does not stop
    /// now.
    ///
    /// # Errors
    /// See [`ErrorKind`].
    pub fn take(&mut self, tid: i32) -> Result<Option<Taken<'_>>, Error> {
        let pid = self.pid;
        let modules = self.tables.entries(&self.mappings);
        let number = match self.attached.hotspot {
            Some(_) => status::inner_number(pid, tid),
            None => tid,
        };
        self.memory.forget();
        let Some(stopped) = self.tracer.stop(pid, tid)? else { return Ok(None) };
        let seen = match registers::of(&stopped) {
            Ok(seen) => seen,
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(None),
            Err(error) => {
                let message = format!("process {pid}: {error}");
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
        };
        self.memory.read_ahead(seen.registers.walk.sp);
        let runtimes = self.attached.of_thread(&self.memory, number, seen.identity);
        let known = (&self.numbers, &self.memory);
        let walked = walk_outside(&modules, &seen.registers, runtimes, known, &mut self.words);
        let stopped = stopped.let_go();
        let words = &self.words[..walked.frames.min(MAX_WORDS)];
        Ok(Some(Taken { words, end: walked.end, lost: walked.lost, stopped }))
    }

    /// To be called again and again while nothing is taken: see [`Tracer::let_late_ones_go`].
    pub fn let_late_ones_go(&mut self) {
        self.tracer.let_late_ones_go();
    }

    /// Its modules, and what the numbers in frames stand for: for who names them.
    pub fn for_names(&mut self) -> (&mut Mappings, impl CodeSource + '_) {
        (&mut self.mappings, Source(&self.numbers))
    }

    /// Whether it is time to name all frames and then to [`turn`](Self::turn).
    pub fn numbers_fill(&self) -> bool {
        self.numbers.fill()
    }

    /// Makes room for numbers of code.
    pub fn turn(&mut self) {
        self.numbers.turn();
    }
}

//! An agent thread, seen from outside.

use super::burst::{Burst, Taken};
use super::doors::Doors;
use super::participation::Participation;
use super::settings::{Change, Settings};
use super::spawn_own;
use super::status::{Board, Status};
use super::window::Window;
use super::work::{Setup, Work};
use crate::config::Config;
use crate::error::{Error, ErrorKind};
use crate::export::{self, Exporter};
use crate::labels;
use crate::pipeline::{
    ForeignHeap, ForeignHeaps, ForeignSender, ForeignStack, Options, foreign_queue,
};
use crate::profile::Profile;
use crate::stats::Stats;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

/// Demangling and DWARF need some; the memory is touched only when they do.
const STACK_BYTES: usize = 1 << 20;

/// The longest that others wait for the agent thread.
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);

/// What the agent thread is asked for.
#[derive(Debug)]
pub(crate) enum Command {
    Flush(SyncSender<Arc<Profile>>),
    Stop(SyncSender<Arc<Profile>>),
    Change(Change, SyncSender<Result<(), Error>>),
    Burst(Burst, SyncSender<Result<u64, Error>>),
    TakeBurst(u64, SyncSender<Taken>),
    #[cfg_attr(not(feature = "pull"), expect(dead_code, reason = "asked for by the server only"))]
    Watch(Window),
}

/// How the agent thread is reached; what is cloned reaches the same.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    commands: Sender<Command>,
    /// Set by the thread itself, before it looks for commands.
    thread: Arc<OnceLock<Thread>>,
    board: Arc<Board>,
    foreign: ForeignSender,
    heaps: ForeignHeaps,
}

impl Handle {
    /// Asks the agent thread and waits for its answer.
    pub(super) fn ask<T>(
        &self,
        command: impl FnOnce(SyncSender<T>) -> Command,
    ) -> Result<T, Error> {
        let (reply, answer) = sync_channel(1);
        let answer =
            self.send(command(reply)).and_then(|()| answer.recv_timeout(REPLY_TIMEOUT).ok());
        answer.ok_or_else(|| Error::new(ErrorKind::Internal, "the agent thread does not answer"))
    }

    fn send(&self, command: Command) -> Option<()> {
        self.commands.send(command).ok()?;
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
        Some(())
    }

    /// What the agent does now. Waits for nobody.
    pub(crate) fn status(&self) -> Status {
        self.board.status()
    }

    pub(crate) fn change(&self, change: Change) -> Result<(), Error> {
        let change = change.checked()?;
        self.ask(|reply| Command::Change(change, reply))?
    }

    pub(crate) fn burst(&self, burst: Burst) -> Result<u64, Error> {
        let burst = burst.checked()?;
        self.ask(|reply| Command::Burst(burst, reply))?
    }

    pub(crate) fn take_burst(&self, number: u64) -> Result<Taken, Error> {
        self.ask(|reply| Command::TakeBurst(number, reply))
    }

    /// Hands over stacks and returns how many found room. Waits for nobody.
    pub(crate) fn add_foreign(&self, stacks: impl IntoIterator<Item = ForeignStack>) -> usize {
        self.foreign.send(stacks)
    }

    /// Replaces a snapshot of memory; whether there was room. Waits for nobody.
    pub(crate) fn replace_foreign_heap(&self, heap: ForeignHeap) -> bool {
        self.heaps.replace(heap)
    }

    /// Forgets a snapshot of memory.
    pub(crate) fn remove_foreign_heap(&self, source: &'static str, part: u64) {
        self.heaps.remove(source, part);
    }

    /// Has the profile of the next seconds delivered. Waits for nobody.
    #[cfg(feature = "pull")]
    pub(crate) fn watch(&self, window: Window) {
        // Where no agent answers any more, the window is dropped, which tells who waits.
        let _ = self.send(Command::Watch(window));
    }
}

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Running {
    handle: Handle,
    thread: JoinHandle<()>,
    doors: Arc<Mutex<Doors>>,
    pid: u32,
}

/// The outcome of a start, which the agent thread tells.
pub(crate) type Started = Receiver<Result<(), Error>>;

impl Running {
    /// Starts the thread. The outcome of its start arrives in the receiver.
    pub(crate) fn spawn(config: &Config) -> Result<(Self, Started), Error> {
        labels::limit_sets(config.limits.max_label_sets);
        let sinks = export::sinks(config)?;
        let participation = Participation::decide(config.participation);
        let settings = Settings {
            enabled: config.enabled && participation.participates(),
            hz: config.hz,
            wall: config.wall,
            signals: config.signals,
            labels: config.labels.clone(),
        };
        let board = Arc::new(Board::new(Status {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            service_name: config.service_name.clone(),
            settings: settings.clone(),
            participates: participation.participates(),
            stats: Stats { participation: participation.share(), ..Stats::default() },
            ..Status::default()
        }));
        let (commands, received) = channel();
        let agent = Arc::new(OnceLock::new());
        let (sender, foreign) = foreign_queue();
        let heaps = ForeignHeaps::default();
        let handle = Handle {
            commands,
            thread: agent.clone(),
            board: board.clone(),
            foreign: sender,
            heaps: heaps.clone(),
        };
        let doors = Arc::new(Mutex::new(Doors::default()));
        let setup = Setup {
            collect: Options::from_config(config),
            interval: config.interval,
            settings,
            participation,
            exporter: Exporter::start(sinks, &export::Options::from_config(config)?, spawn_own)?,
            exit_timeout: config.exit_timeout,
            board: board.clone(),
            foreign,
            heaps,
        };
        let (ready, started) = sync_channel(1);
        let open = {
            let (doors, handle, config) = (doors.clone(), handle.clone(), config.clone());
            move || Doors::open(&doors, &config, &handle)
        };
        let body = move || {
            let _ = agent.set(std::thread::current());
            let outcome = catch_unwind(AssertUnwindSafe(|| match Work::start(setup) {
                Ok(work) => {
                    work.note(open());
                    let _ = ready.send(Ok(()));
                    work.run(&received);
                }
                Err(error) => drop(ready.send(Err(error))),
            }));
            if outcome.is_err() {
                labels::sampler_stopped();
                let failure = "the agent thread failed; profiling is off".to_owned();
                board.lock().status.stats.failure = Some(failure);
            }
        };
        let builder = std::thread::Builder::new().name("sondage".into()).stack_size(STACK_BYTES);
        let thread = spawn_own(builder, Box::new(body)).map_err(|error| {
            Error::new(ErrorKind::Io, "no thread for the agent").with_source(error)
        })?;
        Ok((Self { handle, thread, doors, pid: std::process::id() }, started))
    }

    /// Whether the thread is one of this process, and not of a parent.
    pub(super) fn is_here(&self) -> bool {
        self.pid == std::process::id()
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Stops and returns the last profile. The doors are shut first, so that nobody asks for
    /// anything meanwhile.
    pub(super) fn stop(&self) -> Result<Arc<Profile>, Error> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner).shut();
        self.handle.ask(Command::Stop)
    }

    /// Waits for every thread; to be called after [`Running::stop`].
    pub(super) fn join(self) {
        let Self { handle, thread, doors, .. } = self;
        drop(handle);
        thread.thread().unpark();
        let _ = thread.join();
        let doors = std::mem::take(&mut *doors.lock().unwrap_or_else(PoisonError::into_inner));
        drop(doors);
    }
}

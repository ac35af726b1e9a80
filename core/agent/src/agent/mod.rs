//! The agent: one thread that collects, and the handle to it.

mod ending;
pub(crate) mod fork;

use self::ending::Ending;
use crate::config::{Config, SignalPolicy};
use crate::error::{Error, ErrorKind};
use crate::export::{self, Exporter};
use crate::labels;
use crate::pipeline::{Collected, Collector, Options, exclude_this_thread};
use crate::profile::Profile;
use crate::stats::Stats;
use sondage_sampler::Termination;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Demangling and DWARF need some; the memory is touched only when they do.
const STACK_BYTES: usize = 1 << 20;

/// The longest that [`Agent::flush`] and [`Agent::stop`] wait for the agent thread.
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);

/// How long stopping waits for uploads that are under way or still queued.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(2);

/// What the agent thread needs.
struct Settings {
    collect: Options,
    interval: Duration,
    labels: Vec<(String, String)>,
    exporter: Exporter,
    exit_timeout: Duration,
}

/// Starts a thread of Sondage: it runs no signal handler of the host, and is not sampled.
fn spawn_own(
    builder: std::thread::Builder,
    body: Box<dyn FnOnce() + Send>,
) -> std::io::Result<JoinHandle<()>> {
    sondage_sampler::with_signals_blocked(|| {
        builder.spawn(move || {
            let _own = exclude_this_thread();
            body();
        })
    })
}

enum Command {
    Flush(SyncSender<Arc<Profile>>),
    Stop(SyncSender<Arc<Profile>>),
}

/// A running profiler. There is one in a process; dropping the handle stops it and leaves
/// nothing behind: no thread, no timer, no signal handler, no mapping.
///
/// A forked child starts a profiler of its own, with the same configuration and its own process
/// id, at the first change of labels, [`register_thread`](crate::register_thread) or call of a
/// method of this handle; before, it runs as if there were none.
#[derive(Debug)]
pub struct Agent {
    /// `None` once stopped.
    running: Option<Running>,
}

impl Agent {
    /// Starts profiling this process. With a configuration that is not
    /// [`enabled`](Config::enabled) nothing is started, and the handle does nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] when an agent runs already, [`ErrorKind::Unsupported`] when this
    /// process, kernel or build does not allow it, [`ErrorKind::Io`] when a thread or a file
    /// cannot be had.
    pub fn start(config: Config) -> Result<Self, Error> {
        if !config.enabled {
            return Ok(Self { running: None });
        }
        if config.signals == SignalPolicy::Off {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "this build has no engine that works without signals",
            ));
        }
        fork::take_over();
        let (running, started) = Running::spawn(&config)?;
        match started.recv() {
            Ok(outcome) => outcome?,
            Err(_) => return Err(Error::new(ErrorKind::Internal, "the agent thread failed")),
        }
        fork::remember(config);
        Ok(Self { running: Some(running) })
    }

    /// Finishes the profile of the time since the last flush, sends it to the configured targets
    /// and returns it. Waits for the agent thread: milliseconds, more when symbols of large
    /// binaries are read for the first time.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when the agent thread has failed or does not answer.
    pub fn flush(&self) -> Result<Arc<Profile>, Error> {
        self.ask(Command::Flush)
    }

    /// Stops profiling and returns the last profile, which is also sent to the targets.
    ///
    /// # Errors
    /// As for [`Agent::flush`]; profiling is off in any case.
    pub fn stop(mut self) -> Result<Arc<Profile>, Error> {
        let last = self.ask(Command::Stop);
        self.end();
        last
    }

    /// What the agent has done and lost so far, as of the last flush.
    pub fn stats(&self) -> Stats {
        match &self.running {
            Some(running) if running.is_here() => running.stats(),
            _ => fork::with_child(Running::stats).unwrap_or_default(),
        }
    }

    fn ask(&self, command: Ask) -> Result<Arc<Profile>, Error> {
        match &self.running {
            Some(running) if running.is_here() => running.ask(command),
            _ => fork::with_child(|child| child.ask(command))
                .unwrap_or_else(|| Err(Error::new(ErrorKind::Internal, "no agent runs here"))),
        }
    }

    fn end(&mut self) {
        if let Some(running) = self.running.take() {
            if running.is_here() {
                fork::forget_config();
                running.join();
            } else {
                // Its thread and the other ends of its channels are in the parent.
                std::mem::forget(running);
                fork::end_child();
            }
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if self.running.is_some() {
            let _ = self.ask(Command::Stop);
            self.end();
        }
    }
}

type Ask = fn(SyncSender<Arc<Profile>>) -> Command;

/// An agent thread, seen from outside.
#[derive(Debug)]
pub(crate) struct Running {
    commands: Sender<Command>,
    thread: JoinHandle<()>,
    stats: Arc<Mutex<Stats>>,
    pid: u32,
}

impl Running {
    /// Starts the thread. The outcome of its start arrives in the receiver.
    pub(crate) fn spawn(config: &Config) -> Result<(Self, Receiver<Result<(), Error>>), Error> {
        labels::limit_sets(config.limits.max_label_sets);
        let sinks = export::sinks(config)?;
        let settings = Settings {
            collect: Options::from_config(config),
            interval: config.interval,
            labels: config.process_labels(),
            exit_timeout: config.exit_timeout,
            exporter: Exporter::start(sinks, &export::Options::from_config(config)?, spawn_own)?,
        };
        let (commands, received) = channel();
        let (ready, started) = sync_channel(1);
        let stats = Arc::new(Mutex::new(Stats::default()));
        let shared = stats.clone();
        let body = move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                Loop::start(settings, shared.clone(), &ready).map(|work| work.run(&received))
            }));
            if outcome.is_err() {
                labels::sampler_stopped();
                let mut stats = shared.lock().unwrap_or_else(PoisonError::into_inner);
                stats.failure = Some("the agent thread failed; profiling is off".to_owned());
            }
        };
        let builder = std::thread::Builder::new().name("sondage".into()).stack_size(STACK_BYTES);
        let thread = spawn_own(builder, Box::new(body)).map_err(|error| {
            Error::new(ErrorKind::Io, "no thread for the agent").with_source(error)
        })?;
        Ok((Self { commands, thread, stats, pid: std::process::id() }, started))
    }

    /// Whether the thread is one of this process, and not of a parent.
    fn is_here(&self) -> bool {
        self.pid == std::process::id()
    }

    fn stats(&self) -> Stats {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn ask(&self, command: Ask) -> Result<Arc<Profile>, Error> {
        let (reply, answer) = sync_channel(1);
        let sent = self.commands.send(command(reply));
        self.thread.thread().unpark();
        let answer = sent.ok().and_then(|()| answer.recv_timeout(REPLY_TIMEOUT).ok());
        answer.ok_or_else(|| Error::new(ErrorKind::Internal, "the agent thread does not answer"))
    }

    fn join(self) {
        drop(self.commands);
        self.thread.thread().unpark();
        let _ = self.thread.join();
    }
}

/// The agent thread's state.
struct Loop {
    collector: Collector,
    interval: Duration,
    labels: Vec<(String, String)>,
    exporter: Exporter,
    stats: Arc<Mutex<Stats>>,
    next_flush: Instant,
    farewell: Option<Farewell>,
}

/// What is arranged for the end of the process, where there is anybody to tell.
struct Farewell {
    /// `None` where SIGTERM is the host's.
    termination: Option<Termination>,
    ending: Ending,
    /// How long the end may be held up.
    limit: Duration,
}

impl Farewell {
    fn arrange(limit: Duration) -> Self {
        Self { termination: Termination::install(limit), ending: Ending::expect(limit), limit }
    }

    fn is_terminated(&self) -> bool {
        self.termination.as_ref().is_some_and(Termination::is_requested)
    }
}

impl Loop {
    fn start(
        settings: Settings,
        stats: Arc<Mutex<Stats>>,
        ready: &SyncSender<Result<(), Error>>,
    ) -> Option<Self> {
        let Settings { collect, interval, labels, exporter, exit_timeout } = settings;
        match Collector::start(collect) {
            Ok(collector) => {
                labels::sampler_started();
                let tells = exporter.has_sinks() && !exit_timeout.is_zero();
                let farewell = tells.then(|| Farewell::arrange(exit_timeout));
                let _ = ready.send(Ok(()));
                let next_flush = Instant::now() + interval;
                Some(Self { collector, interval, labels, exporter, stats, next_flush, farewell })
            }
            Err(error) => {
                let _ = ready.send(Err(error.into()));
                None
            }
        }
    }

    fn run(mut self, commands: &Receiver<Command>) {
        loop {
            match self.next(commands) {
                Ok(Command::Flush(reply)) => {
                    let collected = self.collector.flush();
                    let _ = reply.send(self.hand_out(collected));
                }
                Ok(Command::Stop(reply)) => return self.stop(&reply),
                Err(TryRecvError::Empty) => {
                    self.mind_the_end();
                    self.collector.tick();
                    if Instant::now() >= self.next_flush {
                        let collected = self.collector.flush();
                        self.hand_out(collected);
                    }
                }
                Err(TryRecvError::Disconnected) => return,
            }
        }
    }

    /// The next command, or nothing after a while or when the process ends.
    fn next(&self, commands: &Receiver<Command>) -> Result<Command, TryRecvError> {
        commands.try_recv().or_else(|_| {
            // Not the receiver's own waiting, which `exit` could not end without a lock.
            std::thread::park_timeout(self.collector.drain_interval());
            commands.try_recv()
        })
    }

    /// Delivers a last profile when the process is about to end.
    ///
    /// Profiling goes on until it does: a host may still stop its agent in a destructor, and the
    /// first process of a container outlives a SIGTERM.
    fn mind_the_end(&mut self) {
        let Some(farewell) = &self.farewell else { return };
        let exits = farewell.ending.is_near();
        if !exits && !farewell.is_terminated() {
            return;
        }
        let deadline = Instant::now() + farewell.limit;
        let collected = self.collector.flush();
        self.hand_out(collected);
        self.exporter.hurry(deadline);
        if exits {
            // Who calls `exit` waits for this. A SIGTERM that came meanwhile takes its effect.
            self.farewell = None;
        } else if let Some(Farewell { termination: Some(termination), .. }) = &self.farewell {
            termination.pass_on();
        }
    }

    /// Ends profiling with a last profile.
    fn stop(mut self, reply: &SyncSender<Arc<Profile>>) {
        labels::sampler_stopped();
        let collected = self.collector.finish();
        let profile = self.hand_out(collected);
        let Self { collector, exporter, stats, farewell, .. } = self;
        // The host is left alone before the network is waited for.
        drop(collector);
        let exports = exporter.stop(Instant::now() + EXPORT_TIMEOUT);
        stats.lock().unwrap_or_else(PoisonError::into_inner).exports = exports;
        // A SIGTERM that came meanwhile takes its effect here.
        drop(farewell);
        let _ = reply.send(profile);
    }

    fn hand_out(&mut self, collected: Collected) -> Arc<Profile> {
        self.next_flush = Instant::now() + self.interval;
        let Collected { mut profile, cpu } = collected;
        profile.meta.labels.clone_from(&self.labels);
        let profile = Arc::new(profile);
        {
            let mut stats = self.stats.lock().unwrap_or_else(PoisonError::into_inner);
            stats.update(&self.collector, &cpu);
            stats.exports = self.exporter.stats();
        }
        self.exporter.submit(&profile);
        profile
    }
}

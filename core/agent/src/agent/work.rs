//! The agent thread: collects, flushes when it is time, and does what it is asked for.

use super::burst::{Burst, Bursts};
use super::doors::Opened;
use super::farewell::{End, Farewell};
use super::fork;
use super::participation::Participation;
use super::running::Command;
use super::settings::{Change, Settings, interval_of};
use super::status::Board;
use super::window::{Window, Windows};
use crate::error::Error;
use crate::export::Exporter;
use crate::labels;
use crate::pipeline::{Collected, Collector, ForeignHeaps, ForeignStacks, Options};
use crate::profile::{LossCause, Meta, Profile};
use crate::stats::Earlier;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
use std::time::{Duration, Instant};

/// How long stopping waits for uploads that are under way or still queued.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(2);

/// What the agent thread needs.
pub(super) struct Setup {
    pub(super) collect: Options,
    pub(super) interval: Duration,
    pub(super) settings: Settings,
    pub(super) participation: Participation,
    pub(super) exporter: Exporter,
    /// How long the end of the process may be held up; 0 for not at all.
    pub(super) exit_timeout: Duration,
    pub(super) board: Arc<Board>,
    /// What a binding hands over.
    pub(super) foreign: ForeignStacks,
    pub(super) heaps: ForeignHeaps,
}

/// The agent thread's state.
pub(super) struct Work {
    setup: Setup,
    /// `None` while profiling is off: then there is no timer, no handler and no mapping.
    collector: Option<Collector>,
    /// As long as there is a collector and somebody to tell.
    farewell: Option<Farewell>,
    bursts: Bursts,
    windows: Windows,
    earlier: Earlier,
    next_tick: Instant,
    next_flush: Instant,
}

impl Work {
    pub(super) fn start(setup: Setup) -> Result<Self, Error> {
        let now = Instant::now();
        let mut work = Self {
            setup,
            collector: None,
            farewell: None,
            bursts: Bursts::default(),
            windows: Windows::default(),
            earlier: Earlier::default(),
            next_tick: now,
            next_flush: now,
        };
        work.adapt()?;
        work.post();
        Ok(work)
    }

    /// Writes down what became of the doors.
    pub(super) fn note(&self, opened: Opened) {
        let status = &mut self.setup.board.lock().status;
        status.stats.warnings.extend(opened.warnings);
        status.listening = opened.listening;
    }

    pub(super) fn run(mut self, commands: &Receiver<Command>) {
        loop {
            match self.next(commands) {
                Ok(Command::Stop(reply)) => return self.stop(&reply),
                Ok(command) => self.obey(command),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return,
            }
            self.mind_the_end();
            self.do_what_is_due();
        }
    }

    /// The next command, or nothing when there is something to do or the process ends.
    fn next(&self, commands: &Receiver<Command>) -> Result<Command, TryRecvError> {
        let received = commands.try_recv();
        if !matches!(received, Err(TryRecvError::Empty)) {
            return received;
        }
        // Not the receiver's own waiting, which `exit` could not end without a lock. Whoever sends
        // a command wakes the thread.
        match self.next_wake() {
            Some(wake) => std::thread::park_timeout(wake.saturating_duration_since(Instant::now())),
            None => std::thread::park(),
        }
        commands.try_recv()
    }

    /// Delivers a last profile when the process is about to end.
    ///
    /// Profiling goes on until it does: a host may still stop its agent in a destructor, and the
    /// first process of a container outlives a SIGTERM.
    fn mind_the_end(&mut self) {
        let Some(farewell) = &self.farewell else { return };
        let Some(end) = farewell.is_near() else { return };
        let deadline = farewell.deadline();
        self.flush();
        self.setup.exporter.hurry(deadline);
        match end {
            // Who calls `exit` waits for this.
            End::Exit => self.farewell = None,
            End::Termination => {
                if let Some(farewell) = &self.farewell {
                    farewell.pass_on();
                }
            }
        }
    }

    /// When there is something to do; `None` while profiling is off and nobody waits.
    fn next_wake(&self) -> Option<Instant> {
        let regular = self.collector.is_some().then(|| self.next_tick.min(self.next_flush));
        let others = [self.bursts.until(), self.bursts.forget_at(), self.windows.next()];
        others.into_iter().chain([regular]).flatten().min()
    }

    fn do_what_is_due(&mut self) {
        let now = Instant::now();
        self.bursts.forget(now);
        if self.bursts.until().is_some_and(|until| now >= until) {
            self.end_burst();
        }
        if self.windows.next().is_some_and(|until| now >= until) {
            self.flush();
            self.windows.close(now);
        }
        if let Some(collector) = &mut self.collector
            && now >= self.next_tick
        {
            let interval = collector.interval();
            collector.tick();
            collector.take_foreign(&self.setup.foreign);
            self.next_tick = Instant::now() + collector.drain_interval();
            if collector.interval() != interval {
                self.post();
            }
        }
        if now >= self.next_flush {
            self.flush();
        }
    }

    /// Does what is asked. The status is written before the answer, so that who asked sees it.
    fn obey(&mut self, command: Command) {
        match command {
            Command::Flush(reply) | Command::Stop(reply) => {
                let flushed = self.flush();
                let _ = reply.send(flushed.unwrap_or_else(|| self.nothing()));
            }
            Command::Change(change, reply) => {
                let changed = self.change(&change);
                self.post();
                let _ = reply.send(changed);
            }
            Command::Burst(burst, reply) => {
                let started = self.start_burst(burst);
                self.post();
                let _ = reply.send(started);
            }
            Command::TakeBurst(number, reply) => drop(reply.send(self.bursts.take(number))),
            Command::Watch(window) => self.watch(window),
        }
    }

    fn stop(mut self, reply: &SyncSender<Arc<Profile>>) {
        let farewell = self.farewell.take();
        let last = self.cease();
        let profile = last.unwrap_or_else(|| self.nothing());
        self.post();
        let Setup { exporter, board, .. } = self.setup;
        // The host has been left alone before the network is waited for.
        let exports = exporter.stop(Instant::now() + EXPORT_TIMEOUT);
        board.lock().status.stats.exports = exports;
        drop(farewell);
        let _ = reply.send(profile);
    }

    /// Changes settings. Labels and columns are those of a whole profile, so one ends here.
    fn change(&mut self, change: &Change) -> Result<(), Error> {
        let before = self.setup.settings.clone();
        let after = change.of(&before);
        if change.enabled == Some(false) {
            self.end_burst();
        }
        if (after.wall, &after.labels) != (before.wall, &before.labels) {
            self.flush();
        }
        let other_labels = after.labels != before.labels;
        self.setup.settings = after;
        if other_labels {
            let labels = self.labels();
            self.setup.collect.process_labels.clone_from(&labels);
            if let Some(collector) = &mut self.collector {
                collector.set_process_labels(labels);
            }
        }
        self.adapt().inspect_err(|_| self.setup.settings = before)?;
        fork::update(|config| change.configure(config));
        Ok(())
    }

    fn start_burst(&mut self, burst: Burst) -> Result<u64, Error> {
        if self.bursts.hz().is_none() {
            self.flush();
        }
        let number = self.bursts.start(burst, Instant::now())?;
        self.adapt().inspect_err(|_| self.bursts.end(Instant::now()))?;
        Ok(number)
    }

    /// Ends the burst that runs with a profile of its own, and returns to what is set.
    fn end_burst(&mut self) {
        if self.bursts.hz().is_none() {
            return;
        }
        self.flush();
        self.bursts.end(Instant::now());
        // Slower or off: nothing that could be refused.
        let _ = self.adapt();
        self.post();
    }

    fn watch(&mut self, window: Window) {
        let sampling = self.collector.is_some();
        if let Some(window) = self.windows.admit(window, sampling, Instant::now()) {
            self.flush();
            self.windows.open(window, Instant::now());
        }
    }

    /// Makes what runs agree with what is set and with the burst.
    fn adapt(&mut self) -> Result<(), Error> {
        let Setup { settings, collect, .. } = &mut self.setup;
        let on = settings.enabled || self.bursts.hz().is_some();
        collect.interval = interval_of(self.bursts.hz().unwrap_or(settings.hz));
        let other_columns = collect.wall != settings.wall;
        collect.wall = settings.wall;
        let other_signals = collect.signals != settings.signals;
        collect.signals = settings.signals;
        match &mut self.collector {
            None if on => {
                let collector = Collector::start(collect.clone())?;
                // Of the time in which profiling was off.
                self.setup.foreign.discard();
                self.setup.heaps.discard();
                if collector.samples() {
                    labels::sampler_started();
                }
                let now = Instant::now();
                self.next_tick = now + collector.drain_interval();
                self.next_flush = now + self.setup.interval;
                self.collector = Some(collector);
                let Setup { exporter, exit_timeout, .. } = &self.setup;
                if exporter.has_sinks() && !exit_timeout.is_zero() {
                    self.farewell = Some(Farewell::arrange(*exit_timeout));
                }
            }
            Some(_) if !on => drop(self.cease()),
            Some(collector) => {
                if other_columns {
                    collector.set_wall(collect.wall);
                }
                if other_signals {
                    collector.set_signals(collect.signals);
                }
                collector.configure_interval(collect.interval);
            }
            None => {}
        }
        Ok(())
    }

    /// Turns sampling off and hands out the last profile.
    fn cease(&mut self) -> Option<Arc<Profile>> {
        labels::sampler_stopped();
        let mut collector = self.collector.take()?;
        collector.take_foreign(&self.setup.foreign);
        let collected = collector.finish();
        let profile = self.hand_out(collected, &mut collector);
        self.earlier.add(&collector);
        self.farewell = None;
        Some(profile)
    }

    /// Finishes the profile of the time since the last flush, unless profiling is off.
    fn flush(&mut self) -> Option<Arc<Profile>> {
        self.next_flush = Instant::now() + self.setup.interval;
        let mut collector = self.collector.take()?;
        collector.take_foreign(&self.setup.foreign);
        let collected = collector.flush();
        let profile = self.hand_out(collected, &mut collector);
        self.collector = Some(collector);
        self.post();
        Some(profile)
    }

    fn hand_out(&mut self, collected: Collected, collector: &mut Collector) -> Arc<Profile> {
        let Collected { mut profile, cpu } = collected;
        let losses = profile.losses().into_iter();
        let unread = losses.filter(|loss| {
            matches!(
                loss.cause,
                LossCause::PythonLost | LossCause::JavaScriptLost | LossCause::JavaLost
            )
        });
        let unread: u64 = unread.map(|loss| loss.value).sum();
        profile.meta.labels = self.labels();
        self.bursts.mark(&mut profile);
        self.setup.participation.weigh(&mut profile);
        // First, so that the counters tell what became of it.
        let is_handed = self.hand_out_memory(&profile.meta, cpu.host, collector);
        {
            let stats = &mut self.setup.board.lock().status.stats;
            let before = stats.cost();
            stats.update(collector, &cpu, &self.earlier);
            profile.meta.cost = Some(stats.cost().saturating_sub(before));
            stats.unread_cpu += unread;
            stats.memory.sampling |= is_handed;
            stats.exports = self.setup.exporter.stats();
        }
        let profile = Arc::new(profile);
        self.bursts.add(&profile);
        self.windows.add(&profile);
        self.setup.exporter.submit(&profile);
        profile
    }

    /// Hands out the profiles of memory and of locks of the same time, if there are any. Whether the runtime tells
    /// of its memory itself.
    fn hand_out_memory(&mut self, meta: &Meta, host_cpu: u64, collector: &mut Collector) -> bool {
        // What was said of the other profile's values is not said of these.
        let meta = Meta { comments: Vec::new(), ..meta.clone() };
        let sampled = collector.memory_profile(&meta, host_cpu);
        let handed = collector.handed_memory(&meta, &self.setup.heaps.current());
        let is_handed = handed.is_some();
        let locks = collector.lock_profile(&meta);
        for mut profile in sampled.into_iter().chain(handed).chain(locks) {
            self.setup.participation.weigh(&mut profile);
            self.setup.exporter.submit(&Arc::new(profile));
        }
        is_handed
    }

    /// The labels that every profile carries.
    fn labels(&self) -> Vec<(String, String)> {
        let name = self.setup.board.lock().status.service_name.clone();
        let service = ("service_name".to_owned(), name);
        std::iter::once(service).chain(self.setup.settings.labels.iter().cloned()).collect()
    }

    /// The profile of a time in which profiling was off.
    fn nothing(&self) -> Arc<Profile> {
        let mut profile = Profile::new(Vec::new());
        profile.meta.labels = self.labels();
        Arc::new(profile)
    }

    /// Writes down what is set and what runs.
    fn post(&self) {
        let conditions = self.collector.as_ref().map(Collector::conditions);
        let posted = &mut *self.setup.board.lock();
        let status = &mut posted.status;
        status.settings.clone_from(&self.setup.settings);
        status.sampling = conditions.is_some();
        status.burst = self.bursts.status();
        posted.burst_until = self.bursts.until();
        status.lowered = conditions.as_ref().is_some_and(|it| it.lowered);
        if let Some(conditions) = &conditions {
            conditions.engine.clone_into(&mut status.stats.engine);
            status.stats.engine_reason.clone_from(&conditions.engine_reason);
            // Once: what is needed is asked for by every attempt.
            let warnings = &mut status.stats.warnings;
            warnings.extend(conditions.refusal.clone().filter(|text| !warnings.contains(text)));
        }
        status.current_hz = conditions.map_or(0.0, |it| 1.0 / it.interval.as_secs_f64());
        if !status.sampling {
            (status.stats.threads, status.stats.table_bytes) = (0, 0);
        }
    }
}

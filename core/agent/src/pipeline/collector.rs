//! The agent thread's work: keep the picture of the process fresh, drain rings, make profiles.

mod handed;
mod locks;
mod memory;
mod options;
mod outside;
mod waits;

use super::assemble::{Assembly, Reading};
use super::conditions::Conditions;
use super::cpu::{CpuAccount, Reconciler, nanos};
use super::engine::{self, Choice};
use super::governor::Governor;
use super::heap::want_own_table;
use super::interpreted::Interpreted;
use super::interval::{
    MIN_DRAIN_INTERVAL, deepest_sample, longest_drain_interval, next_drain_interval, possible,
    weight_cap,
};
use super::limits::blocked_signals;
use super::managed::{Managed, managed};
use super::stacks::Stacks;
use super::threads::Threads;
use crate::profile::{LossCause, Profile};
use crate::resolve::{Modules, SymbolCounters, Symbols};
use handed::Foreign;
use locks::Locks;
use memory::Memory;
pub(crate) use options::Options;
use outside::Outside;
use sondage_sampler::{
    Clock, Counters, Engine, Fallback, RawSample, Sampler, SlotIndex, StartError,
};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A process that has used less CPU time than this since the last look was asleep.
const ASLEEP: Duration = Duration::from_micros(500);

/// A finished profile with its accounts.
#[derive(Debug)]
pub(crate) struct Collected {
    pub(crate) profile: Profile,
    pub(crate) cpu: CpuAccount,
}

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Collector {
    sampler: Sampler,
    options: Options,
    choice: Choice,
    outside: Outside,
    interval: Duration,
    /// The interval that was asked for.
    asked: Duration,
    /// Which engines the samples of this profile came from, as bits.
    sources: u32,
    picture: Picture,
    threads: Threads,
    stacks: Stacks,
    assembly: Assembly,
    symbols: Symbols,
    interpreted: Interpreted,
    managed: Option<Box<dyn Managed>>,
    foreign: Foreign,
    memory: Memory,
    locks: Locks,
    reconciler: Reconciler,
    governor: Governor,
    period_start: (Instant, SystemTime),
    /// The process' CPU clock at the end of the last work.
    cpu_at_work: Duration,
    drain_interval: Duration,
    max_drain_interval: Duration,
    buffer: Vec<u64>,
    /// The monotonic clock and the tick counter at the start, to translate ticks.
    ticks_start: (Instant, u64),
}

/// What is known of the process' code, and whether the handlers know it too.
#[derive(Debug)]
struct Picture {
    modules: Modules,
    loader_generation: u64,
    published: bool,
    /// From when on tables are built: all at once, and then one at a time.
    tables_from: Option<Instant>,
}

impl Collector {
    /// Takes a signal and starts sampling every thread but Sondage's own.
    pub(crate) fn start(options: Options) -> Result<Self, StartError> {
        let mut modules = Modules::default();
        let loader_generation = sondage_sampler::loader_generation();
        modules.refresh();
        if modules.other_agent.is_some() {
            return Err(StartError::AlreadyRunning);
        }
        let choice = outside::choose(&options);
        let python = crate::python::announced().filter(|_| choice.engine != Engine::None);
        let v8 = crate::v8::announced().filter(|_| choice.engine != Engine::None);
        let hotspot = crate::hotspot::announced().filter(|_| choice.engine != Engine::None);
        let interval = possible(options.interval, choice.engine);
        let start = sondage_sampler::Options {
            interval,
            max_threads: options.max_threads,
            table_bytes: options.table_bytes,
            max_depth: options.max_depth,
            weight_cap: weight_cap(interval),
            main_stack: modules.main_stack(),
            engine: choice.engine,
            avoided_signals: blocked_signals(),
            python,
            v8: v8.map(|v8| v8.layout),
            hotspot: hotspot.map(|hotspot| hotspot.facts.clone()),
        };
        let (mut sampler, cause) = outside::start_sampler(&start, &options)?;
        let outside = Outside::new(&options, cause.is_some());
        let mut interpreted =
            Interpreted::new(python.map(|it| it.evaluation()), options.showing.clone());
        interpreted.find_code(&mut modules);
        let managed = managed(v8, hotspot, options.showing.internals);
        if options.heap.is_some() {
            want_own_table(&mut modules);
        }
        let walks =
            choice.engine != Engine::None || options.heap.is_some() || options.locks.is_some();
        let now = Instant::now();
        // The host waits for the start: where its own code has frame pointers, as that of V8, or says
        // where it left Java, as HotSpot, tables come after it.
        let tables_from = managed.as_ref().filter(|_| walks).map(|it| now + it.patience());
        if walks && tables_from.is_none() {
            while modules.build_next(&mut sampler) {}
        }
        if walks {
            modules.publish(&mut sampler);
        }
        let longest = longest_drain_interval(interval, deepest_sample(options.max_depth));
        let mut threads = Threads::new();
        let reconciler = Reconciler::new(sampler.counters(), choice.engine);
        if choice.engine != Engine::None {
            threads.scan(&sampler, now);
        }
        let mut collector = Self {
            choice,
            outside,
            interval,
            asked: options.interval,
            sources: 0,
            picture: Picture { modules, loader_generation, published: true, tables_from },
            threads,
            stacks: Stacks::new(options.max_stacks),
            assembly: options.assembly(interval),
            symbols: Symbols::new(options.symbols.clone()),
            interpreted,
            managed,
            foreign: Foreign::default(),
            memory: Memory::start(options.heap, options.max_stacks / 4),
            locks: Locks::start(options.locks, options.max_stacks / 4),
            reconciler,
            governor: Governor::new(interval, options.budget, now),
            period_start: (now, SystemTime::now()),
            cpu_at_work: Duration::ZERO,
            drain_interval: longest,
            max_drain_interval: longest,
            buffer: Vec::new(),
            ticks_start: (now, sondage_sampler::ticks()),
            sampler,
            options,
        };
        if let Some(cause) = cause {
            collector.start_without_signals(cause);
        }
        Ok(collector)
    }

    /// Whether samples are taken here, and not all stacks handed over.
    pub(crate) fn samples(&self) -> bool {
        self.choice.engine != Engine::None
    }

    /// Whether native stacks are walked, be it for memory only.
    fn walks(&self) -> bool {
        self.samples() || self.options.heap.is_some()
    }

    /// How long to wait before the next [`Collector::tick`].
    pub(crate) fn drain_interval(&self) -> Duration {
        self.drain_interval
    }

    /// CPU time between two samples of a thread.
    pub(crate) fn interval(&self) -> Duration {
        self.interval
    }

    /// Does what is due, unless the process has been asleep since the last time: then there are
    /// no samples and no new code. Who waits must be looked at while it does.
    pub(crate) fn tick(&mut self) {
        let cpu = Clock::Process.now().unwrap_or(Duration::MAX);
        let new_threads = self.samples() && self.threads.have_changed();
        let awake = cpu.saturating_sub(self.cpu_at_work) > ASLEEP;
        if awake || new_threads || self.options.wall {
            self.work();
            self.cpu_at_work = Clock::Process.now().unwrap_or(cpu);
        }
    }

    /// Looks for new code and new threads and drains every ring.
    fn work(&mut self) {
        let now = Instant::now();
        if self.walks() {
            self.refresh_picture();
        }
        if self.samples() {
            for ended in self.threads.scan(&self.sampler, now) {
                self.drain_ended(ended);
            }
        }
        self.outside.tell_cells(&self.sampler);
        self.refresh_codes();
        self.drain_all(now);
        if self.memory.fills() {
            self.settle_memory();
        }
        if self.locks.fill() {
            self.settle_locks();
        }
        if self.governor.is_due(now) {
            let counters = self.counters();
            let nanos_per_tick = self.nanos_per_tick();
            let change = self.governor.check(now, &counters, nanos_per_tick, self.interval);
            if let Some(interval) = change {
                self.change_interval(interval);
            }
        }
        if self.samples() {
            self.mind_signal();
        }
    }

    /// Finishes the profile of the time since the last flush.
    pub(crate) fn flush(&mut self) -> Collected {
        self.work();
        self.reconciler.add(self.counters(), self.interval);
        let cpu = self.reconciler.close();
        self.settle();
        let fresh = self.options.assembly(self.interval);
        let assembly = std::mem::replace(&mut self.assembly, fresh);
        let losses = [
            (LossCause::Dropped, cpu.dropped),
            (LossCause::Missed, cpu.missed),
            (LossCause::Unsampled, cpu.unsampled),
        ];
        let (modules, threads) = (&self.picture.modules, &self.threads);
        let mut profile = assembly.finish(modules, threads, &mut self.symbols, &losses);
        let now = (Instant::now(), SystemTime::now());
        let (start, start_time) = std::mem::replace(&mut self.period_start, now);
        profile.meta.duration = now.0.duration_since(start);
        let since_epoch = start_time.duration_since(UNIX_EPOCH).unwrap_or_default();
        profile.meta.start_unix_nanos = Some(nanos(since_epoch));
        profile.meta.period =
            Some((crate::profile::ValueType::new("cpu", "nanoseconds"), nanos(self.interval)));
        profile.meta.sources =
            engine::sources(std::mem::take(&mut self.sources), self.engine_name());
        for source in self.foreign.take_sources() {
            if !profile.meta.sources.contains(&source) {
                profile.meta.sources.push(source);
            }
        }
        self.mind_engine(&cpu);
        Collected { profile, cpu }
    }

    /// Stops all timers and finishes the last profile. Dropping the collector gives the signal
    /// and the memory back.
    pub(crate) fn finish(&mut self) -> Collected {
        self.sampler.stop_timers();
        self.flush()
    }

    /// The handlers' counters since the start, and those of the engine outside.
    pub(crate) fn counters(&self) -> Counters {
        let mut counters = self.sampler.counters();
        self.outside.add_to(&mut counters);
        counters
    }

    /// What takes the samples now.
    fn engine_name(&self) -> &'static str {
        self.outside.told().map_or(self.choice.name, |(name, _)| name)
    }

    /// The symbol cache's counters since the start.
    pub(crate) fn symbol_counters(&self) -> SymbolCounters {
        self.symbols.counters()
    }

    /// How long one tick of the handlers' counter is, measured since the start.
    pub(crate) fn nanos_per_tick(&self) -> f64 {
        let ticks = sondage_sampler::ticks().wrapping_sub(self.ticks_start.1).max(1);
        self.ticks_start.0.elapsed().as_nanos() as f64 / ticks as f64
    }

    /// Facts for `stats()`: sampled threads, refused threads and why, last error about modules.
    pub(crate) fn conditions(&self) -> Conditions {
        let fallback = self.sampler.fallbacks().1.as_ref().map(Fallback::to_string);
        let outside = self.outside.told().map(|(_, reason)| reason);
        let reason = outside.or_else(|| self.outside.refusal()).or(fallback);
        Conditions {
            engine: self.engine_name(),
            engine_reason: reason.or_else(|| self.choice.reason.clone()),
            refusal: self.outside.refusal(),
            threads: self.sampler.threads().count() as u64,
            refused_threads: if self.outside.is_used() { 0 } else { self.threads.refused },
            last_refusal: self.threads.last_refusal.clone(),
            module_error: self.picture.modules.last_error.clone().or_else(|| {
                let error = self.managed.as_ref().and_then(|managed| managed.error());
                error.map(str::to_owned)
            }),
            table_bytes: self.sampler.table_bytes() as u64,
            known_codes: self.sampler.definitions().count,
            interval: self.interval,
            slowdowns: self.governor.slowdowns,
            lowered: self.governor.has_lowered(self.interval),
            foreign: (self.foreign.taken, self.foreign.dropped),
            memory: self.memory.counters(),
            memory_refusal: self.memory.refusal.clone(),
            locks: self.locks.counters(),
            locks_refusal: self.locks.refusal.clone(),
        }
    }

    /// Makes room for code objects when it is time: what was sampled must be read before.
    fn refresh_codes(&mut self) {
        if self.sampler.definitions_fill() {
            self.drain_all(Instant::now());
            self.settle();
            self.sampler.turn_definitions();
        }
    }

    fn refresh_picture(&mut self) {
        let generation = sondage_sampler::loader_generation();
        if generation != self.picture.loader_generation {
            self.picture.loader_generation = generation;
            // What was sampled before must be read by the old list.
            self.drain_all(Instant::now());
            self.settle();
            self.picture.published &= !self.picture.modules.refresh();
        }
        if let Some(managed) = &mut self.managed {
            managed.find_code(&mut self.picture.modules);
        }
        if self.picture.tables_from.is_none_or(|from| from <= Instant::now()) {
            let all = self.picture.tables_from.take().is_some();
            while self.picture.modules.build_next(&mut self.sampler) {
                self.picture.published = false;
                if !all {
                    break;
                }
            }
        }
        if !self.picture.published {
            self.picture.published = self.picture.modules.publish(&mut self.sampler);
            self.show_modules_outside();
        }
    }

    /// Goes on with another configured interval, to which the governor returns. The same again
    /// changes nothing, also where the governor has lowered the rate.
    pub(crate) fn configure_interval(&mut self, interval: Duration) {
        self.asked = interval;
        let interval = self.possible(interval);
        if self.governor.configure(interval) && interval != self.interval {
            self.change_interval(interval);
        }
    }

    /// Whether waiting time is recorded, from the next profile on: to be called right after a
    /// flush.
    pub(crate) fn set_wall(&mut self, wall: bool) {
        self.options.wall = wall;
        self.assembly = self.options.assembly(self.interval);
        self.threads.forget_waiting();
    }

    /// Samples taken so far count in the old period, later ones in the new. A few may be taken
    /// between the draining and the change of the timers; these come at the lower of the two
    /// rates and count at the higher, so that nothing is ever made larger by it.
    fn change_interval(&mut self, interval: Duration) {
        if self.outside.is_used() {
            return self.change_rate_outside(self.possible(interval));
        }
        let set = |sampler: &Sampler| sampler.set_interval(interval, weight_cap(interval));
        let slower = interval > self.interval;
        if slower {
            set(&self.sampler);
        }
        self.close_rate();
        if !slower {
            set(&self.sampler);
        }
        self.set_rate(interval);
    }

    fn set_rate(&mut self, interval: Duration) {
        self.interval = interval;
        self.assembly.set_period(nanos(interval));
        let deepest = deepest_sample(self.options.max_depth);
        self.max_drain_interval = longest_drain_interval(interval, deepest);
        self.drain_interval = self.drain_interval.min(self.max_drain_interval);
    }

    fn settle(&mut self) {
        if let Some(managed) = &mut self.managed {
            managed.look_again();
        }
        let mut reading = Reading {
            modules: &mut self.picture.modules,
            interpreted: &mut self.interpreted,
            managed: self.managed.as_deref_mut(),
            codes: &self.sampler,
        };
        self.assembly.settle(&mut self.stacks, &mut reading);
        self.memory.settle(&mut reading);
        self.locks.settle(&mut reading);
        self.threads.forget_stacks();
    }

    fn drain_all(&mut self, now: Instant) {
        let mut fullest = 0;
        let slots: Vec<_> = self.sampler.threads().collect();
        for (slot, tid) in slots {
            self.buffer.clear();
            let buffer = &mut self.buffer;
            fullest = fullest.max(self.sampler.drain(slot, |word| buffer.push(word)));
            self.take(slot, tid);
            if self.options.wall {
                self.add_waited(slot, tid, now);
            }
        }
        for slot in self.sampler.shared_slots() {
            self.buffer.clear();
            let buffer = &mut self.buffer;
            fullest = fullest.max(self.sampler.drain(slot, |word| buffer.push(word)));
            self.take_strangers();
        }
        self.drain_outside();
        let next = next_drain_interval(self.drain_interval, fullest);
        self.drain_interval = next.clamp(MIN_DRAIN_INTERVAL, self.max_drain_interval);
    }

    fn drain_ended(&mut self, slot: SlotIndex) {
        let tid = self.sampler.threads().find(|(other, _)| *other == slot).map(|(_, tid)| tid);
        self.buffer.clear();
        let buffer = &mut self.buffer;
        self.sampler.remove_thread(slot, |word| buffer.push(word));
        self.take(slot, tid.unwrap_or(0));
        self.threads.remove(slot);
    }

    /// Adds the samples in the buffer.
    fn take(&mut self, slot: SlotIndex, tid: i32) {
        let mut rest = self.buffer.as_slice();
        if rest.is_empty() {
            return;
        }
        let name = self.threads.name(slot, tid);
        let mut last = None;
        while let Some((sample, used)) = RawSample::read(rest) {
            last = self.stacks.add(&sample, name);
            self.sources |= engine::source_bit(sample.source);
            rest = &rest[used..];
        }
        self.threads.state(slot, tid).last_stack = last;
    }

    /// Adds the samples in the buffer, which tell their threads themselves.
    fn take_strangers(&mut self) {
        let mut rest = self.buffer.as_slice();
        while let Some((sample, used)) = RawSample::read(rest) {
            let name = self.threads.name_of_stranger(sample.tid.unwrap_or(0));
            self.stacks.add(&sample, name);
            self.sources |= engine::source_bit(sample.source);
            rest = &rest[used..];
        }
    }
}

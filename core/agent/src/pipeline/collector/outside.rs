//! Moving between signals and the eBPF engine, and drawing samples from the latter.
//!
//! No sample counts twice: while one engine's samples are taken, those of the other are thrown away
//! or not taken. At a move each thread loses at most one interval, the one that was under way.

use super::{Collector, Options};
use crate::config::{EnginePolicy, SignalPolicy};
use crate::context::{ProcessContext, Published};
use crate::pipeline::cpu::{CpuAccount, nanos};
use crate::pipeline::ebpf::{self, Ebpf};
use crate::pipeline::engine::{self, Choice};
use crate::pipeline::interval::{possible, weight_cap};
use crate::pipeline::limits::{affordable_threads, blocked_by};
use crate::pipeline::switch::{Cause, Move, Seen, Switch};
use crate::pipeline::threads::own_threads;
use sondage_sampler::{Counters, Engine, RawSample, Sampler, SlotIndex, Source, StartError};
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

/// Signals are no worse than eBPF once no more than this share of the samples, in percent, is of
/// threads that block them: half of what it takes to leave them.
const DEAF_PERCENT: u64 = 25;

/// Threads of which it is asked whether they block signals: those that used the most CPU time.
const ASKED_THREADS: usize = 64;

/// How often a move is tried while threads register.
const PATIENCE: u32 = 1000;

/// The engine outside of the process' own threads, and what decides about it.
#[derive(Debug)]
pub(super) struct Outside {
    /// While it takes the samples.
    engine: Option<Ebpf>,
    switch: Switch,
    /// Whether the sampler sends no signals.
    suspended: bool,
    /// Since the collector's start.
    samples: u64,
    lost: u64,
    /// Samples of each thread since the last flush.
    by_thread: HashMap<i32, u64>,
    /// The own threads at the last drain: one may have ended since.
    own: HashSet<i32>,
    /// Why there is no such engine, although it would be needed.
    refusal: Option<String>,
    /// Shown while it would be.
    published: Option<Published>,
    /// Whether a runtime's frames are lost with this engine.
    loses_frames: bool,
}

impl Outside {
    /// Nothing outside, yet.
    pub(super) fn new(options: &Options, suspended: bool) -> Self {
        // A runtime whose frames the program can read is to be left out here.
        let has_runtime = crate::python::announced().is_some()
            || crate::v8::announced().is_some()
            || crate::hotspot::announced().is_some();
        let may_leave = may_leave(options);
        Self {
            engine: None,
            switch: Switch::new(may_leave, has_runtime),
            suspended,
            samples: 0,
            lost: 0,
            by_thread: HashMap::new(),
            own: HashSet::new(),
            refusal: None,
            published: None,
            loses_frames: has_runtime,
        }
    }

    /// Whether the eBPF engine takes the samples.
    pub(super) fn is_used(&self) -> bool {
        self.engine.is_some()
    }

    /// Adds what this engine has taken and lost.
    pub(super) fn add_to(&self, counters: &mut Counters) {
        counters.samples += self.samples;
        counters.weight += self.samples;
        counters.dropped += self.lost;
    }

    /// What takes the samples, and why, where it is not what was chosen.
    pub(super) fn told(&self) -> Option<(&'static str, String)> {
        let cause = self.switch.cause()?;
        if self.is_used() {
            let lost = "; frames of Python, JavaScript and Java are not read";
            let lost = if self.loses_frames { lost } else { "" };
            return Some((Source::Ebpf.name(), format!("{cause}{lost}")));
        }
        Some(("none", format!("{cause}; {}", self.refusal.as_deref().unwrap_or_default())))
    }

    /// Why the eBPF engine does not take samples although it should, with what would be needed.
    pub(super) fn refusal(&self) -> Option<String> {
        self.refusal.clone()
    }

    /// Tells the engine where threads keep their labels.
    pub(super) fn tell_cells(&mut self, sampler: &Sampler) {
        if let Some(engine) = &mut self.engine {
            engine.set_label_cells(sampler.label_cells());
        }
    }
}

/// Whether signals may be left for another engine. What was asked for by name is not.
fn may_leave(options: &Options) -> bool {
    match options.engine {
        EnginePolicy::Auto | EnginePolicy::Ebpf => true,
        EnginePolicy::Timer | EnginePolicy::Perf | EnginePolicy::Process => {
            options.signals == SignalPolicy::Off
        }
        EnginePolicy::Handed { .. } => false,
    }
}

/// Why signals are not to be used from the start.
pub(super) fn unwanted(options: &Options) -> Option<Cause> {
    match options.engine {
        EnginePolicy::Handed { .. } => None,
        _ if options.signals == SignalPolicy::Off => Some(Cause::Policy),
        EnginePolicy::Ebpf => Some(Cause::Asked),
        _ => None,
    }
}

/// Chooses what sends signals, without trying any where there must be none.
pub(super) fn choose(options: &Options) -> Choice {
    match unwanted(options) {
        Some(_) => engine::choose(EnginePolicy::Timer, false, options.interval),
        None => engine::choose(options.engine, options.prefers_exact, options.interval),
    }
}

/// Starts the sampler, without signals where they are unwanted, or refused and not indispensable.
pub(super) fn start_sampler(
    start: &sondage_sampler::Options,
    options: &Options,
) -> Result<(Sampler, Option<Cause>), StartError> {
    let silent = sondage_sampler::Options {
        engine: Engine::None,
        // More than signals could serve.
        max_threads: options.max_threads.max(options.most_threads),
        ..start.clone()
    };
    if let Some(cause) = unwanted(options) {
        return Ok((Sampler::start(&silent)?, Some(cause)));
    }
    let error = match Sampler::start(start) {
        Ok(sampler) => return Ok((sampler, None)),
        Err(error) => error,
    };
    match error {
        StartError::NoFreeSignal | StartError::Timer(_) if may_leave(options) => {
            Ok((Sampler::start(&silent)?, Some(cause_of(error))))
        }
        _ => Err(error),
    }
}

/// Why there are no signals, where that is why a sampler did not start.
fn cause_of(error: StartError) -> Cause {
    match error {
        StartError::Timer(errno) => Cause::Timers(errno.to_string()),
        _ => Cause::Signal,
    }
}

impl Collector {
    /// After a start without signals: has something take samples.
    pub(super) fn start_without_signals(&mut self, cause: Cause) {
        if cause != Cause::Asked {
            return self.leave(cause);
        }
        let reason = match self.start_ebpf(ebpf::possible(self.asked)) {
            Ok(engine) => return self.move_out(engine, cause),
            Err(reason) => reason,
        };
        self.come_back();
        match self.sampler.try_signals(1) {
            Err(error) if self.outside.suspended => self.stay(cause_of(error), &reason),
            _ => self.outside.refusal = Some(format!("eBPF was asked for, but {reason}")),
        }
    }

    /// After a flush: looks whether another engine would do better.
    pub(super) fn mind_engine(&mut self, cpu: &CpuAccount) {
        if !self.samples() {
            return;
        }
        let seen = Seen {
            host: cpu.host,
            unsampled: cpu.unsampled,
            period: nanos(self.interval),
            refused: self.threads.refused,
        };
        let Outside { switch, by_thread, .. } = &mut self.outside;
        let (sampler, policy) = (&self.sampler, self.options.signals);
        let next = switch.flushed(seen, |cause| is_over(cause, sampler, by_thread, policy));
        by_thread.clear();
        match next {
            Move::None if seen.is_well_sampled() => self.forget_refusal(),
            Move::None => {}
            Move::Out(cause) => self.leave(cause),
            Move::Back => self.come_back(),
        }
    }

    /// Looks whether the host has taken the signal, and takes another or leaves signals.
    pub(super) fn mind_signal(&mut self) {
        if self.outside.suspended {
            return self.mind_no_signal();
        }
        if self.sampler.owns_signal() {
            return;
        }
        let moved = self.sampler.move_to_free_signal();
        if !moved
            && self.sampler.try_signals(1) == Err(StartError::NoFreeSignal)
            && self.outside.switch.leaves_for(&Cause::Signal)
        {
            self.leave(Cause::Signal);
        }
    }

    /// Where nothing takes samples for want of a signal, one is looked for all the time.
    fn mind_no_signal(&mut self) {
        let waits = !self.outside.is_used() && self.outside.switch.cause() == Some(&Cause::Signal);
        if waits && self.options.signals != SignalPolicy::Off && self.sampler.try_signals(1).is_ok()
        {
            self.come_back();
        }
    }

    /// Signals do well again: nothing else is needed any more.
    fn forget_refusal(&mut self) {
        if self.outside.switch.is_inside() && self.options.engine != EnginePolicy::Ebpf {
            self.outside.refusal = None;
            self.outside.published = None;
        }
    }

    /// Allows or forbids signals, at once where they are used.
    pub(crate) fn set_signals(&mut self, policy: SignalPolicy) {
        self.options.signals = policy;
        if policy == SignalPolicy::Off && self.samples() && !self.outside.suspended {
            self.leave(Cause::Policy);
        }
    }

    /// Shows other labels to observers, where any are shown.
    pub(crate) fn set_process_labels(&mut self, labels: Vec<(String, String)>) {
        self.options.process_labels = labels;
        if self.outside.published.take().is_some() {
            let _ = self.publish();
        }
    }

    /// Leaves signals, if there is an eBPF engine; otherwise goes on with what works, and hands over
    /// to the host's agent.
    fn leave(&mut self, cause: Cause) {
        match self.start_ebpf(ebpf::possible(self.wanted_interval())) {
            Ok(engine) => self.move_out(engine, cause),
            Err(reason) => self.stay(cause, &reason),
        }
    }

    fn start_ebpf(&self, interval: Duration) -> Result<Ebpf, String> {
        let missing = ebpf::ebpf_needs();
        if !missing.is_empty() {
            return Err(missing.join("; "));
        }
        let modules = self.picture.modules.entries(&self.sampler);
        Ebpf::start(interval, self.options.max_depth, modules)
    }

    /// Signals first stop, then what eBPF has sampled meanwhile is thrown away.
    fn move_out(&mut self, mut engine: Ebpf, cause: Cause) {
        if !self.suspend() {
            return;
        }
        engine.discard();
        self.close_rate();
        engine.set_label_cells(self.sampler.label_cells());
        self.set_rate(engine.interval());
        self.outside.engine = Some(engine);
        self.governor.configure(self.possible(self.asked));
        self.outside.refusal = None;
        self.outside.published = None;
        self.outside.switch.went_out(cause);
        self.reconciler.samples_own(false);
    }

    /// Without an eBPF engine, for this reason.
    fn stay(&mut self, cause: Cause, reason: &str) {
        if matches!(cause, Cause::Signal | Cause::Policy) {
            self.suspend();
        }
        let works = !self.outside.suspended;
        let handed = match self.publish() {
            Ok(()) => {
                "`sondage host-agent` on this host finds it by its process context".to_owned()
            }
            Err(reason) => format!("`sondage host-agent` cannot find it: {reason}"),
        };
        let text = format!("eBPF would see this process, but {reason}; {handed}");
        self.outside.refusal = Some(text);
        self.outside.switch.could_not_go(cause, works);
    }

    fn publish(&mut self) -> Result<(), String> {
        if self.outside.published.is_none() {
            let engine = if self.outside.suspended { "none" } else { self.choice.name };
            let context = ProcessContext::of_labels(&self.options.process_labels, engine);
            let published = context.publish().map_err(|error| error.to_string())?;
            self.outside.published = Some(published);
        }
        Ok(())
    }

    /// Goes back to signals. The other engine's samples are taken, signals begin, and what it has
    /// sampled since is never looked at.
    fn come_back(&mut self) {
        self.close_rate();
        let interval = possible(self.wanted_interval(), self.choice.engine);
        self.sampler.set_interval(interval, weight_cap(interval));
        if self.sampler.resume(self.choice.engine).is_err() {
            return;
        }
        self.outside.suspended = false;
        self.outside.engine = None;
        self.outside.published = None;
        self.outside.refusal = None;
        self.set_rate(interval);
        self.governor.configure(self.possible(self.asked));
        self.outside.switch.came_back();
        self.reconciler.samples_own(self.choice.engine == Engine::Process);
    }

    /// The interval that the next engine should have: as it was asked for, unless the governor has
    /// another.
    fn wanted_interval(&self) -> Duration {
        if self.governor.has_lowered(self.interval) { self.interval } else { self.asked }
    }

    /// The interval that the present engine has where this one is asked for.
    pub(super) fn possible(&self, interval: Duration) -> Duration {
        match self.outside.is_used() {
            true => ebpf::possible(interval),
            false => possible(interval, self.choice.engine),
        }
    }

    /// Stops the signals; `false` where threads register all the time.
    fn suspend(&mut self) -> bool {
        let sampler = &self.sampler;
        self.outside.suspended = self.outside.suspended
            || (0..PATIENCE).any(|_| {
                let done = sampler.suspend();
                if !done {
                    std::thread::yield_now();
                }
                done
            });
        self.outside.suspended
    }

    /// What was sampled so far counts at the rate that was.
    pub(super) fn close_rate(&mut self) {
        self.drain_all(Instant::now());
        self.reconciler.add(self.counters(), self.interval);
        self.settle();
    }

    /// Changes the rate of the eBPF engine, which is another one then.
    pub(super) fn change_rate_outside(&mut self, interval: Duration) {
        let Ok(mut engine) = self.start_ebpf(interval) else { return };
        self.close_rate();
        engine.discard();
        engine.set_label_cells(self.sampler.label_cells());
        self.set_rate(engine.interval());
        self.outside.engine = Some(engine);
    }

    /// Shows the modules to the eBPF engine, which is another one where they found no room.
    pub(super) fn show_modules_outside(&mut self) {
        let Some(engine) = &mut self.outside.engine else { return };
        if !engine.set_modules(self.picture.modules.entries(&self.sampler)) {
            self.change_rate_outside(self.interval);
        }
    }

    /// Takes the samples of the eBPF engine. Those of Sondage's own threads are no samples.
    pub(super) fn drain_outside(&mut self) {
        let Self { outside, sampler, threads, stacks, sources, .. } = self;
        let Some(engine) = &mut outside.engine else { return };
        let own: HashSet<i32> = own_threads().collect();
        let slots: HashMap<i32, SlotIndex> =
            sampler.threads().map(|(slot, tid)| (tid, slot)).collect();
        let (before, by_thread, samples) =
            (&outside.own, &mut outside.by_thread, &mut outside.samples);
        engine.drain(|tid, words| {
            let Some((sample, _)) = RawSample::read(words) else { return };
            if own.contains(&tid) || before.contains(&tid) {
                return;
            }
            let slot = slots.get(&tid).copied();
            let name = match slot {
                Some(slot) => threads.name(slot, tid),
                None => threads.name_of_stranger(tid),
            };
            let last = stacks.add(&sample, name);
            if let Some(slot) = slot {
                threads.state(slot, tid).last_stack = last;
            }
            *sources |= engine::source_bit(sample.source);
            *by_thread.entry(tid).or_insert(0) += u64::from(sample.weight);
            *samples += u64::from(sample.weight);
        });
        outside.lost += engine.take_lost();
        outside.own = own;
    }
}

/// Whether signals would do again.
fn is_over(
    cause: &Cause,
    sampler: &Sampler,
    by_thread: &HashMap<i32, u64>,
    policy: SignalPolicy,
) -> bool {
    let threads = sampler.threads().count();
    let gives = || {
        u32::try_from(threads).is_ok_and(|threads| threads <= affordable_threads())
            && sampler.try_signals(threads).is_ok()
    };
    match cause {
        Cause::Asked => false,
        _ if policy == SignalPolicy::Off => false,
        Cause::Timers(_) | Cause::Signal | Cause::Policy => gives(),
        Cause::Unsampled(_) => {
            let signal = sampler.signal().unwrap_or(libc::SIGURG);
            deaf_percent(by_thread, signal).is_some_and(|deaf| deaf <= DEAF_PERCENT) && gives()
        }
    }
}

/// The share of the samples, in percent, that are of threads which block a signal; `None` without
/// samples of living threads.
fn deaf_percent(by_thread: &HashMap<i32, u64>, signal: i32) -> Option<u64> {
    let mut busiest: Vec<(u64, i32)> = by_thread.iter().map(|(tid, seen)| (*seen, *tid)).collect();
    busiest.sort_unstable_by(|a, b| b.cmp(a));
    let bit = 1u64.checked_shl(signal.cast_unsigned().wrapping_sub(1)).unwrap_or(0);
    let (mut all, mut deaf) = (0, 0);
    for (seen, tid) in busiest.into_iter().take(ASKED_THREADS) {
        let Some(blocked) = blocked_by(tid) else { continue };
        all += seen;
        deaf += if blocked & bit != 0 { seen } else { 0 };
    }
    (all > 0).then(|| deaf * 100 / all)
}

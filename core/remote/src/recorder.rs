//! Samples of what uses CPU time in another process.

use crate::error::Error;
use crate::process::Process;
use crate::status;
use sondage::profile::Profile;
use sondage::resolve::Budget;
use sondage::{OutsideProcess, OutsideSample};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Time between two looks at modules.
const LOOK: Duration = Duration::from_secs(1);

/// Time between two looks for new threads while their number stays the same.
const LOOK_FOR_THREADS: Duration = Duration::from_millis(100);

/// What looking at threads may take of the time, as one part of so many.
const SHARE: u32 = 5;

/// How long threads were stopped, sample by sample.
#[derive(Clone, Debug, Default)]
pub struct StopTimes {
    micros: Vec<u32>,
    total: Duration,
}

impl StopTimes {
    /// Stops that are kept one by one; of later ones only the sum.
    const KEPT: usize = 1 << 20;

    fn add(&mut self, stopped: Duration) {
        self.total += stopped;
        if self.micros.len() < Self::KEPT {
            self.micros.push(u32::try_from(stopped.as_micros()).unwrap_or(u32::MAX));
        }
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.micros.len()
    }

    /// All together.
    pub fn total(&self) -> Duration {
        self.total
    }

    /// The one that `percent` of 100 are not longer than; zero where nothing was stopped.
    pub fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.micros.clone();
        sorted.sort_unstable();
        let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        Duration::from_micros(u64::from(sorted.get(at).copied().unwrap_or(0)))
    }
}

#[derive(Clone, Debug)]
struct Thread {
    name: String,
    /// CPU time when it was last looked at.
    cpu: Duration,
    /// CPU time since then and before that no sample stands for.
    owed: Duration,
}

/// Samples a process: each thread in proportion to the CPU time that it uses.
///
/// All threads are looked at once a period. One that has used a period of CPU time since its last
/// sample, and runs or could run, is stopped and sampled; a thread that waits is left alone.
#[derive(Debug)]
pub struct Recorder {
    process: Process,
    outside: OutsideProcess,
    interval: Duration,
    threads: HashMap<i32, Thread>,
    looked: Instant,
    looked_for_threads: Instant,
    thread_count: u64,
    /// Whether the threads are known that were there at the start.
    begun: bool,
    /// CPU time of the process when the profile began, and now.
    cpu: (Duration, Duration),
    /// CPU time that samples of the profile stand for.
    sampled: Duration,
    /// How long threads were stopped.
    pub stops: StopTimes,
    /// Samples whose frames of a runtime could not all be read.
    pub lost: u64,
}

impl Recorder {
    /// Of a process, at so many samples a second of CPU time.
    pub fn new(process: Process, hz: u32, internals: bool) -> Self {
        let interval = Duration::from_secs(1) / hz.max(1);
        let runtimes = process.runtimes(internals);
        let outside = OutsideProcess::new(interval, runtimes, Budget::default());
        let mut recorder = Self {
            process,
            outside,
            interval,
            threads: HashMap::new(),
            looked: Instant::now(),
            looked_for_threads: Instant::now(),
            thread_count: 0,
            begun: false,
            cpu: (Duration::ZERO, Duration::ZERO),
            sampled: Duration::ZERO,
            stops: StopTimes::default(),
            lost: 0,
        };
        recorder.look_at_threads();
        recorder.cpu.0 = recorder.cpu.1;
        recorder.begun = true;
        recorder
    }

    /// The process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Takes samples until then, or until `ended` says so. Returns whether the process goes on.
    ///
    /// # Errors
    /// As [`Process::take`].
    pub fn run(&mut self, until: Instant, ended: &dyn Fn() -> bool) -> Result<bool, Error> {
        let mut next = Instant::now();
        loop {
            let begun = Instant::now();
            if begun >= until || ended() {
                return Ok(true);
            }
            if begun.duration_since(self.looked) >= LOOK && !self.look_again()? {
                return Ok(false);
            }
            if !self.sample_threads()? {
                return Ok(false);
            }
            let spent = begun.elapsed();
            next = (next + self.interval).max(begun + spent * SHARE).min(until);
            let now = Instant::now();
            match next.checked_duration_since(now) {
                Some(time) => std::thread::sleep(time),
                None => next = now,
            }
        }
    }

    /// Finishes the profile and begins the next one.
    pub fn finish(&mut self) -> Profile {
        let owed: Duration = self.threads.values_mut().map(|it| std::mem::take(&mut it.owed)).sum();
        self.look_at_cpu();
        let (before, now) = self.cpu;
        self.cpu.0 = now;
        let sampled = std::mem::take(&mut self.sampled);
        // What threads used that have ended between two looks, the process tells, in ticks.
        let unsampled = now.saturating_sub(before + sampled).max(owed);
        let (mappings, codes) = self.process.for_names();
        let mut profile = self.outside.finish(mappings, &codes, unsampled);
        mappings.forget_unmapped();
        profile.meta.sources = vec!["ptrace".to_owned()];
        if self.stops.count() > 0 {
            profile.meta.comments.push(format!(
                "threads were stopped {} times, for {:?} each (median), {:?} (99 %), {:?} at most",
                self.stops.count(),
                self.stops.percentile(50),
                self.stops.percentile(99),
                self.stops.percentile(100),
            ));
        }
        profile
    }

    /// Looks at modules and threads again. Returns whether the process goes on.
    fn look_again(&mut self) -> Result<bool, Error> {
        self.looked = Instant::now();
        self.settle();
        if self.process.numbers_fill() {
            self.process.turn();
        }
        match self.process.refresh() {
            Err(error) if error.kind() == crate::ErrorKind::Missing => return Ok(false),
            Err(error) => return Err(error),
            // One that has ended and that nobody has waited for yet has threads still.
            Ok(_) if self.process.mappings().iter().next().is_none() => return Ok(false),
            Ok(_) => {}
        }
        self.look_at_threads();
        Ok(!self.threads.is_empty())
    }

    fn settle(&mut self) {
        let (mappings, codes) = self.process.for_names();
        self.outside.settle(mappings, &codes);
    }

    fn look_at_threads(&mut self) {
        let pid = self.process.pid();
        self.looked_for_threads = Instant::now();
        self.look_at_cpu();
        let living = status::threads(pid);
        let threads = &mut self.threads;
        threads.retain(|tid, _| living.contains(tid));
        for tid in living {
            let name = status::name(pid, tid);
            match threads.get_mut(&tid) {
                Some(known) => known.name = name,
                None => {
                    let Some(cpu) = status::cpu(pid, tid) else { continue };
                    // All that a new thread has used is of this recording.
                    let before = if self.begun { Duration::ZERO } else { cpu };
                    threads.insert(tid, Thread { name, cpu: before, owed: Duration::ZERO });
                }
            }
        }
    }

    fn look_at_cpu(&mut self) {
        if let Some(now) = status::cpu_of_all(self.process.pid()) {
            self.cpu.1 = now.max(self.cpu.1);
        }
    }

    /// Samples the threads that have used a period of CPU time. Returns whether the process goes on.
    fn sample_threads(&mut self) -> Result<bool, Error> {
        let pid = self.process.pid();
        self.process.let_late_ones_go();
        let count = status::thread_count(pid);
        if count != self.thread_count || self.looked_for_threads.elapsed() > LOOK_FOR_THREADS {
            self.thread_count = count;
            self.look_at_threads();
        }
        let mut lives = false;
        let Self { process, outside, interval, threads, stops, lost, sampled, .. } = self;
        for (tid, thread) in threads {
            let Some(cpu) = status::cpu(pid, *tid) else { continue };
            lives = true;
            thread.owed += cpu.saturating_sub(thread.cpu);
            thread.cpu = cpu;
            if thread.owed < *interval || status::state(pid, *tid) != Some('R') {
                continue;
            }
            let Some(taken) = process.take(*tid)? else { continue };
            stops.add(taken.stopped);
            *lost += u64::from(taken.lost);
            let periods = thread.owed.as_nanos() / interval.as_nanos().max(1);
            let weight = u32::try_from(periods).unwrap_or(u32::MAX);
            thread.owed -= *interval * weight;
            *sampled += *interval * weight;
            outside.add(&OutsideSample {
                words: taken.words,
                end: taken.end,
                weight,
                thread: &thread.name,
            });
        }
        Ok(lives)
    }
}

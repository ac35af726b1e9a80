//! Profiles of a process that is not this one: its stacks were taken by who looks at it from
//! outside.

use super::amounts::Columns;
use super::assemble::{Assembly, Reading};
use super::cpu::nanos;
use super::interpreted::{Interpreted, Showing};
use super::java::Java;
use super::javascript::Scripted;
use super::managed::Managed;
use super::stacks::Stacks;
use super::threads::Threads;
use crate::profile::{LossCause, Profile, ValueType};
use crate::resolve::{Budget, CodeSource, Mappings, Symbols};
use sondage_sampler::{End, Labels, RawSample, Source};
use std::borrow::Cow;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Distinct stacks of one profile.
const MAX_STACKS: usize = 32 << 10;

/// Runtimes whose frames the stacks have.
#[derive(Debug, Default)]
pub struct OutsideRuntimes {
    /// An address in the function by which CPython runs Python code.
    pub python: Option<u64>,
    /// The process' HotSpot.
    pub hotspot: Option<crate::hotspot::Announced>,
    /// The process' V8.
    pub v8: Option<crate::v8::Announced>,
    /// Whether the runtimes' own native frames are shown.
    pub internals: bool,
}

/// One stack of the process.
#[derive(Clone, Copy, Debug)]
pub struct OutsideSample<'a> {
    /// Words as a handler writes them: native frames leaf first, then Python's.
    pub words: &'a [u64],
    /// Why the walk over native frames stopped.
    pub end: End,
    /// For how many periods it stands.
    pub weight: u32,
    /// The thread's name.
    pub thread: &'a str,
}

/// Stacks of one process, which become profiles.
///
/// Its modules and the numbers of its code stay with the caller. Before either changes,
/// [`settle`](Self::settle) must be called.
#[derive(Debug)]
pub struct OutsideProcess {
    interval: Duration,
    stacks: Stacks,
    assembly: Assembly,
    threads: Threads,
    interpreted: Interpreted,
    managed: Option<Box<dyn Managed>>,
    symbols: Symbols,
    start: (Instant, SystemTime),
}

impl OutsideProcess {
    /// Of a process whose samples stand for `interval` of CPU time each.
    pub fn new(interval: Duration, runtimes: OutsideRuntimes, symbols: Budget) -> Self {
        let OutsideRuntimes { python, hotspot, v8, internals } = runtimes;
        let showing = Showing { internals, hidden: Vec::new() };
        let managed: Option<Box<dyn Managed>> = match (v8, hotspot) {
            (Some(v8), _) => Some(Box::new(Scripted::new(v8, internals))),
            (None, Some(it)) => Some(Box::new(Java::new(Cow::Owned(it), internals))),
            (None, None) => None,
        };
        Self {
            interval,
            stacks: Stacks::new(MAX_STACKS),
            assembly: assembly(interval),
            threads: Threads::new(),
            interpreted: Interpreted::new(python, showing),
            managed,
            symbols: Symbols::new(symbols),
            start: (Instant::now(), SystemTime::now()),
        }
    }

    /// Adds a sample.
    pub fn add(&mut self, sample: &OutsideSample<'_>) {
        let thread = self.threads.intern(sample.thread);
        let raw = RawSample {
            weight: sample.weight,
            labels: Labels::NONE,
            end: sample.end,
            source: Source::Timer,
            tid: None,
            frames: sample.words,
        };
        self.stacks.add(&raw, thread);
    }

    /// Reads the stacks by the present modules and numbers of code.
    pub fn settle(&mut self, mappings: &mut Mappings, codes: &dyn CodeSource) {
        if let Some(managed) = &mut self.managed {
            managed.find_code(mappings);
            managed.look_again();
        }
        let mut reading = Reading {
            modules: mappings,
            interpreted: &mut self.interpreted,
            managed: self.managed.as_deref_mut(),
            codes,
        };
        self.assembly.settle(&mut self.stacks, &mut reading);
    }

    /// Finishes the profile and begins the next one. `unsampled` is CPU time that no sample stands
    /// for.
    pub fn finish(
        &mut self,
        mappings: &mut Mappings,
        codes: &dyn CodeSource,
        unsampled: Duration,
    ) -> Profile {
        self.settle(mappings, codes);
        let assembly = std::mem::replace(&mut self.assembly, assembly(self.interval));
        let losses = [(LossCause::Unsampled, nanos(unsampled))];
        let mut profile = assembly.finish(mappings, &self.threads, &mut self.symbols, &losses);
        self.threads = Threads::new();
        let now = (Instant::now(), SystemTime::now());
        let (start, start_time) = std::mem::replace(&mut self.start, now);
        profile.meta.duration = now.0.duration_since(start);
        let since_epoch = start_time.duration_since(UNIX_EPOCH).unwrap_or_default();
        profile.meta.start_unix_nanos = Some(nanos(since_epoch));
        profile.meta.period = Some((ValueType::new("cpu", "nanoseconds"), nanos(self.interval)));
        profile
    }

    /// What could not be read of source files and debug information.
    pub fn symbol_error(&self) -> Option<String> {
        let error = self.symbols.counters().last_error;
        let managed = || self.managed.as_ref()?.error().map(str::to_owned);
        error.or_else(managed)
    }
}

fn assembly(interval: Duration) -> Assembly {
    Assembly::new(Columns::Time { wall: false }, nanos(interval), MAX_STACKS)
}

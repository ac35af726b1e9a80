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
use crate::resolve::{CodeSource, Mappings, Symbols};
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
    /// The label set and the span that were current.
    pub labels: Labels,
    /// The thread's name.
    pub thread: &'a str,
}

impl<'a> OutsideSample<'a> {
    fn raw(&self) -> RawSample<'a> {
        RawSample {
            weight: self.weight,
            labels: self.labels,
            end: self.end,
            source: Source::Unknown,
            tid: None,
            frames: self.words,
        }
    }
}

/// Stacks of one process, which become profiles.
///
/// Its modules and the numbers of its code stay with the caller. Before either changes,
/// [`settle`](Self::settle) must be called.
#[derive(Debug)]
pub struct OutsideProcess {
    interval: Duration,
    columns: Columns,
    stacks: Stacks,
    assembly: Assembly,
    threads: Threads,
    interpreted: Interpreted,
    managed: Option<Box<dyn Managed>>,
    start: (Instant, SystemTime),
}

impl OutsideProcess {
    /// Of a process whose samples stand for `interval` of CPU time each. With `wall`, its waiting
    /// is known too.
    pub fn new(interval: Duration, wall: bool, runtimes: OutsideRuntimes) -> Self {
        let columns = Columns::Time { wall };
        let OutsideRuntimes { python, hotspot, v8, internals } = runtimes;
        let showing = Showing { internals, hidden: Vec::new() };
        let managed: Option<Box<dyn Managed>> = match (v8, hotspot) {
            (Some(v8), _) => Some(Box::new(Scripted::new(v8, internals))),
            (None, Some(it)) => Some(Box::new(Java::new(Cow::Owned(it), internals))),
            (None, None) => None,
        };
        Self {
            interval,
            columns,
            stacks: Stacks::new(MAX_STACKS),
            assembly: assembly(columns, interval),
            threads: Threads::new(),
            interpreted: Interpreted::new(python, showing),
            managed,
            start: (Instant::now(), SystemTime::now()),
        }
    }

    /// Adds a sample.
    pub fn add(&mut self, sample: &OutsideSample<'_>) {
        let thread = self.threads.intern(sample.thread);
        self.stacks.add(&sample.raw(), thread);
    }

    /// Adds time in which the thread waited in this stack. The sample's weight does not count.
    pub fn add_waited(&mut self, sample: &OutsideSample<'_>, waited: Duration) {
        let thread = self.threads.intern(sample.thread);
        let entry = self.stacks.waiting(&sample.raw(), thread);
        self.stacks.add_waited(entry, nanos(waited));
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

    /// Finishes the profile, with names from `symbols`, and begins the next one. `unsampled` is CPU
    /// time that no sample stands for.
    pub fn finish(
        &mut self,
        mappings: &mut Mappings,
        codes: &dyn CodeSource,
        symbols: &mut Symbols,
        unsampled: Duration,
    ) -> Profile {
        self.settle(mappings, codes);
        let fresh = assembly(self.columns, self.interval);
        let assembly = std::mem::replace(&mut self.assembly, fresh);
        let losses = [(LossCause::Unsampled, nanos(unsampled))];
        let mut profile = assembly.finish(mappings, &self.threads, symbols, &losses);
        self.threads = Threads::new();
        let now = (Instant::now(), SystemTime::now());
        let (start, start_time) = std::mem::replace(&mut self.start, now);
        profile.meta.duration = now.0.duration_since(start);
        let since_epoch = start_time.duration_since(UNIX_EPOCH).unwrap_or_default();
        profile.meta.start_unix_nanos = Some(nanos(since_epoch));
        profile.meta.period = Some((ValueType::new("cpu", "nanoseconds"), nanos(self.interval)));
        profile
    }

    /// What could not be read of source files.
    pub fn source_error(&self) -> Option<&str> {
        self.managed.as_ref()?.error()
    }
}

fn assembly(columns: Columns, interval: Duration) -> Assembly {
    Assembly::new(columns, nanos(interval), MAX_STACKS)
}

//! The safe door: start, threads, tables, drain, stop.

use crate::engine::{self, Engine, Fallback};
use crate::errno::Errno;
use crate::guarded;
use crate::handler::FOREIGN;
use crate::inherited;
use crate::interner::Interner;
use crate::labels::{LabelCell, Labels};
use crate::perf;
use crate::pool::{GATE, Limits, Pool, Runtimes};
use crate::process::current_tid;
use crate::registration::{self, AddError, MAX_SLOTS};
use crate::sample::End;
use crate::signal;
use crate::slot::{HISTOGRAM_BUCKETS, Slot, SlotIndex};
use crate::table::{ModuleEntry, Table};
use crate::timer::Timer;
use crate::waiting;
use crate::walk::python::Interpreter;
use crate::walk::{hotspot, v8};
use core::ops::Range;
use core::sync::atomic::Ordering;
use core::time::Duration;

/// How to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// CPU time between two samples of a thread.
    pub interval: Duration,
    /// Threads sampled at once; at most 4,096. Each reserves 65 KiB of address space and uses
    /// what its stacks need.
    pub max_threads: u32,
    /// Room for unwind tables, in bytes of address space.
    pub table_bytes: usize,
    /// Frames of one sample; at most 512.
    pub max_depth: u32,
    /// Most periods that one sample may stand for; the surplus is counted as missed.
    pub weight_cap: u32,
    /// The main thread's stack as `/proc/self/maps` lists it; empty if not known.
    pub main_stack: Range<u64>,
    /// What sends the signals.
    pub engine: Engine,
    /// Signals not to take where another is free, such as those that the host blocks to wait for
    /// them: bit 0 is signal 1.
    pub avoided_signals: u64,
    /// The CPython of this process, after its [`check`](Interpreter::check): its frames become part
    /// of the samples, and SIGSEGV and SIGBUS get a handler (`docs/signal-safety.md`).
    pub python: Option<Interpreter>,
    /// The layout of the V8 of this process, after the self-test of a binding: frames of the
    /// isolates that are attached ([`Attached`](crate::walk::v8::Attached)) become part of the
    /// samples, with the same handler.
    pub v8: Option<v8::Layout>,
    /// The HotSpot of this process, after the self-check of a binding: frames of Java become part of
    /// the samples, with the same handler.
    pub hotspot: Option<hotspot::Facts>,
}

/// Why sampling could not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartError {
    /// A sampler runs in this process already.
    AlreadyRunning,
    /// The address space for rings and tables was refused.
    Memory(Errno),
    /// SIGURG, SIGPROF and every real-time signal have handlers of the host.
    NoFreeSignal,
    /// The kernel refuses CPU timers.
    Timer(Errno),
}

/// Sums over all slots since the start. Times are in ticks of [`crate::ticks`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Samples handed to the agent.
    pub samples: u64,
    /// Periods they stand for.
    pub weight: u64,
    /// Periods lost because a ring was full.
    pub dropped: u64,
    /// Periods beyond the cap on a sample's weight.
    pub missed: u64,
    /// Time spent in handlers. A handler that was preempted counts with the time it waited, so
    /// this is an upper bound.
    pub ticks: u64,
    /// How many handlers took 2^b…2^(b+1) ticks.
    pub histogram: [u64; HISTOGRAM_BUCKETS],
    /// Signals of our number that others sent.
    pub foreign_signals: u64,
    /// Samples of which some frames of Python or V8 could not be read.
    pub unreadable: u64,
    /// Samples whose running Python function was just being entered, and which begin at its caller.
    pub entering_python: u64,
    /// Loads from the interpreter's memory that would have faulted, in this process.
    pub refused_loads: u64,
}

/// What samples have named of an interpreter or of V8; see [`Sampler::definitions`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Definitions {
    /// Definitions since the last turn.
    pub count: u64,
    /// Bytes of their copies.
    pub bytes: u64,
    /// How often the table was turned.
    pub generation: u32,
}

/// The running sampler. There is one in a process; dropping it stops it.
#[derive(Debug)]
pub struct Sampler {
    pool: *mut Pool,
}

// SAFETY: the pool is plain memory with atomics; what only the owner may do takes `&mut self`.
unsafe impl Send for Sampler {}

impl Sampler {
    /// Reserves memory and, unless the engine is [`Engine::None`], takes a signal. No thread is
    /// sampled before [`Sampler::add_thread`].
    ///
    /// # Errors
    /// See [`StartError`]; whatever was taken is given back.
    pub fn start(options: &Options) -> Result<Self, StartError> {
        let limits = Limits {
            slots: options.max_threads.clamp(1, MAX_SLOTS as u32),
            table_bytes: options.table_bytes,
            max_depth: options.max_depth.clamp(1, 512),
        };
        let runtimes =
            Runtimes { python: options.python, v8: options.v8, hotspot: options.hotspot.clone() };
        let pool = match Pool::create(limits, options.main_stack.clone(), runtimes) {
            Ok(pool) => pool,
            Err(Errno(libc::EBUSY)) => return Err(StartError::AlreadyRunning),
            Err(errno) => return Err(StartError::Memory(errno)),
        };
        let sampler = Self { pool };
        sampler.pool().weight_cap.store(options.weight_cap.max(1), Ordering::Relaxed);
        signal::avoid(options.avoided_signals);
        if options.engine == Engine::None {
            registration::begin();
            engine::begin(Engine::None, 0, options.interval);
        } else {
            sampler.take_signal(options)?;
        }
        Ok(sampler)
    }

    fn take_signal(&self, options: &Options) -> Result<(), StartError> {
        self.guard();
        let signal = signal::install().ok_or(StartError::NoFreeSignal)?;
        registration::begin();
        engine::begin(options.engine, signal, options.interval);
        self.try_timer(signal).map_err(StartError::Timer)?;
        engine::start_process(self.pool()).map_err(StartError::Timer)
    }

    /// Has loads from a runtime's memory guarded, where there is one.
    pub(crate) fn guard(&self) {
        if self.pool().known.is_some() {
            guarded::install();
        }
    }

    /// Asks the kernel for a timer and gives it back, so that a refusal is known at once.
    fn try_timer(&self, signal: i32) -> Result<(), Errno> {
        Timer::create(current_tid(), signal, 0).map(Timer::delete)
    }

    pub(crate) fn pool(&self) -> &Pool {
        // SAFETY: the pool is mapped until `drop`, the only place that releases it.
        unsafe { &*self.pool }
    }

    /// Starts sampling a thread of this process. Doing it twice is harmless.
    ///
    /// # Errors
    /// `None` inside when it may be tried again later, the kernel's error otherwise (`EAGAIN`
    /// when all slots or all of RLIMIT_SIGPENDING are used).
    pub fn add_thread(&self, tid: i32) -> Result<SlotIndex, Option<Errno>> {
        // SAFETY: the label cell is null.
        unsafe { registration::add(tid, core::ptr::null_mut()) }.map_err(|error| match error {
            AddError::Stopped | AddError::Busy => None,
            AddError::Full => Some(Errno(libc::EAGAIN)),
            AddError::Timer(errno) => Some(errno),
        })
    }

    /// The sampled threads.
    pub fn threads(&self) -> impl Iterator<Item = (SlotIndex, i32)> + use<> {
        registration::threads()
    }

    /// Whether the slot's thread still runs.
    pub fn is_alive(&self, slot: SlotIndex) -> bool {
        let own = self.pool().slot(slot.0);
        own.is_some_and(|own| engine::is_alive(own, slot))
    }

    /// Gives threads a CPU timer whose perf event the host has closed; and all threads, where the
    /// host has hardly any descriptors left. One system call a thread, and one.
    pub fn repair(&self) {
        engine::look_for_shortage();
        for (slot, tid) in self.threads() {
            if let Some(own) = self.pool().slot(slot.0) {
                engine::repair(own, slot, tid);
            }
        }
    }

    /// How many threads got a CPU timer because a perf event could not be had, and the last reason.
    pub fn fallbacks(&self) -> (u32, Option<Fallback>) {
        engine::fallbacks()
    }

    /// Whether perf events count the time that their threads spend in the kernel, as timers do: a
    /// matter of `perf_event_paranoid` and of capabilities. Known when the first was opened.
    pub fn perf_counts_kernel(&self) -> bool {
        perf::counts_kernel()
    }

    /// The slots for samples of threads that have none of their own; see [`crate::RawSample::tid`].
    pub fn shared_slots(&self) -> impl Iterator<Item = SlotIndex> + use<> {
        self.pool().shared_slots().map(SlotIndex)
    }

    /// Stops sampling a thread, hands out what its ring still holds and frees its slot. Only for
    /// threads that have ended; see [`Sampler::stop_timers`] for living ones.
    pub fn remove_thread(&self, slot: SlotIndex, take: impl FnMut(u64)) {
        self.stop_thread(slot);
        self.drain(slot, take);
        registration::free(slot);
    }

    /// Stops every timer and every event. Rings keep what they have until drained.
    pub fn stop_timers(&self) {
        engine::stop_process();
        self.threads().for_each(|(slot, _)| self.stop_thread(slot));
    }

    fn stop_thread(&self, slot: SlotIndex) {
        if let Some(own) = self.pool().slot(slot.0) {
            engine::stop(own, slot);
        }
    }

    /// Takes every word out of a slot's ring; see [`crate::RawSample::read`]. Must not be called
    /// by two threads at once, which `&mut` would say; the agent thread is the only caller.
    pub fn drain(&self, slot: SlotIndex, take: impl FnMut(u64)) -> usize {
        self.slot(slot).map_or(0, |slot| slot.ring().drain(take))
    }

    pub(crate) fn slot(&self, slot: SlotIndex) -> Option<&Slot> {
        self.pool().any_slot(slot.0)
    }

    /// Sums the counters of every slot used so far.
    pub fn counters(&self) -> Counters {
        let mut sum = Counters {
            foreign_signals: FOREIGN.load(Ordering::Relaxed),
            refused_loads: guarded::refused(),
            dropped: self.pool().unshared.load(Ordering::Relaxed),
            ..Counters::default()
        };
        for index in (0..registration::used()).chain(self.pool().shared_slots()) {
            let Some(slot) = self.pool().any_slot(index) else { continue };
            let tally = &slot.tally;
            let read = |counter: &core::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
            sum.samples = sum.samples.wrapping_add(read(&tally.samples));
            sum.weight = sum.weight.wrapping_add(read(&tally.weight));
            sum.dropped = sum.dropped.wrapping_add(read(&tally.dropped));
            sum.missed = sum.missed.wrapping_add(read(&tally.missed));
            sum.unreadable = sum.unreadable.wrapping_add(read(&tally.unreadable));
            sum.entering_python = sum.entering_python.wrapping_add(read(&tally.entering));
            sum.ticks = sum.ticks.wrapping_add(read(&tally.ticks));
            for (total, count) in sum.histogram.iter_mut().zip(&tally.histogram) {
                *total = total.wrapping_add(u64::from(count.load(Ordering::Relaxed)));
            }
        }
        sum
    }

    /// Changes the interval of every timer, and of those to come.
    pub fn set_interval(&self, interval: Duration, weight_cap: u32) {
        self.pool().weight_cap.store(weight_cap.max(1), Ordering::Relaxed);
        engine::set_interval(interval);
        engine::rearm_process();
        for (slot, _) in self.threads() {
            if let Some(own) = self.pool().slot(slot.0) {
                engine::rearm(own, slot);
            }
        }
    }

    /// Whether our handler is still installed. When the host has taken the signal, call
    /// [`Sampler::move_to_free_signal`] at once: our timers' signals go to its handler.
    pub fn owns_signal(&self) -> bool {
        signal::is_ours()
    }

    /// Takes another signal and moves every timer to it. Returns `false` when there is none, with
    /// all timers stopped, or when a thread is just being registered: try again later.
    pub fn move_to_free_signal(&self) -> bool {
        // A thread that registers meanwhile would get a timer with the signal given up.
        let Some(_held) = registration::hold() else { return false };
        self.stop_timers();
        let Some(signal) = signal::install() else { return false };
        engine::set_signal(signal);
        for (slot, tid) in self.threads() {
            if let Some(own) = self.pool().slot(slot.0) {
                let _ = engine::start(own, slot, tid);
            }
        }
        engine::start_process(self.pool()).is_ok()
    }

    /// Copies an unwind table into the sampler's memory. Returns its number for
    /// [`Sampler::publish_modules`], or `None` when the room for tables is used up.
    pub fn add_table(&mut self, table: &Table<'_>) -> Option<u32> {
        self.pool().add_table(table)
    }

    /// The unwind table of a number that [`Sampler::add_table`] gave.
    pub fn table(&self, number: u32) -> Option<Table<'_>> {
        self.pool().table(number)
    }

    /// Bytes used by unwind tables.
    pub fn table_bytes(&self) -> usize {
        self.pool().table_bytes()
    }

    /// Replaces the list of modules that handlers see: address range, bias (address minus
    /// address in the file) and table number, sorted by address. Returns `false` when it must be
    /// tried again later, because a handler may still be reading.
    pub fn publish_modules<I>(&mut self, modules: I) -> bool
    where
        I: Iterator<Item = (Range<u64>, u64, Option<u32>)>,
    {
        let pool = self.pool();
        let entries = modules.map(|(range, bias, table)| ModuleEntry {
            start: range.start,
            end: range.end,
            bias,
            table: table.and_then(|index| pool.table(index)),
        });
        pool.publish_modules(entries)
    }

    /// The copy of what a frame's word names by its number: of a
    /// [`PythonFrame`](crate::walk::python::PythonFrame) a
    /// [`CodeDefinition`](crate::walk::python::CodeDefinition), of a
    /// [`V8Frame`](crate::walk::v8::V8Frame) a [`Definition`](crate::walk::v8::Definition).
    ///
    /// Numbers are never given twice within 2,048 turns; a number is valid until the second turn
    /// after it was given.
    pub fn definition(&self, number: u32) -> Option<&[u8]> {
        self.pool().known.as_ref()?.copy(number)
    }

    /// Hands the words of the Python frames of a thread that does not run, leaf first, to `put`,
    /// and returns the labels of its context. `None`, in which case what was handed out means
    /// nothing, if the thread has run meanwhile, runs no Python, or could not be read.
    ///
    /// Takes a few system calls and some microseconds. The thread is not disturbed.
    pub fn waiting_python(&self, slot: SlotIndex, put: impl FnMut(usize, u64)) -> Option<Labels> {
        waiting::read(self.pool(), self.slot(slot)?, put)
    }

    /// As [`Sampler::waiting_python`], of a thread of Java that waits in native code: words as in
    /// samples, from where it has left Java, and why the walk stopped.
    pub fn waiting_java(
        &self,
        slot: SlotIndex,
        put: impl FnMut(usize, u64),
    ) -> Option<(Labels, End)> {
        waiting::read_java(self.pool(), self.slot(slot)?, put)
    }

    /// How many definitions there are.
    pub fn definitions(&self) -> Definitions {
        let Some(known) = &self.pool().known else { return Definitions::default() };
        let filling = known.filling();
        Definitions { count: filling.things, bytes: filling.bytes, generation: known.generation() }
    }

    /// Whether it is time to drain all rings, to name every frame of a runtime in what came from
    /// there, and then to call [`Sampler::turn_definitions`].
    pub fn definitions_fill(&self) -> bool {
        self.pool().known.as_ref().is_some_and(Interner::is_half_full)
    }

    /// Makes room for definitions: the numbers given before the last turn become invalid.
    /// Returns `false` when it must be tried again later, because a handler may still be running.
    pub fn turn_definitions(&mut self) -> bool {
        self.pool().turn_definitions()
    }

    /// Whether loads from the interpreter's memory are guarded by a handler of ours, or, where the
    /// host has taken SIGSEGV or SIGBUS since the start, probed by system calls.
    pub fn guards_loads(&self) -> bool {
        guarded::is_ours()
    }
}

impl Drop for Sampler {
    /// Deletes the timers, gives the signal back and releases the memory. Takes a few
    /// microseconds; waits at most about a second for a handler that is still running.
    ///
    /// The pool is withdrawn first: a thread that is registering itself at this moment has
    /// finished when the gate is empty, and its timer is deleted with the others. A timer that
    /// outlived its handler would kill the process.
    fn drop(&mut self) {
        let alone = Pool::withdraw(self.pool, 100_000);
        self.stop_timers();
        self.threads().for_each(|(slot, _)| registration::free(slot));
        if alone {
            signal::restore();
            guarded::restore();
            // SAFETY: withdrawn with success; `self` is not used after this.
            unsafe { Pool::release(self.pool) };
        }
    }
}

/// Starts sampling the calling thread, if a sampler runs, and makes its handler take the labels
/// of each sample from `cell`. Returns whether it did; try again later if not.
///
/// # Safety
/// `cell` must live as long as the calling thread.
pub unsafe fn attach_label_cell(cell: *const LabelCell) -> bool {
    // SAFETY: the caller promises that the cell lives as long as this thread.
    let added = unsafe { registration::add(current_tid(), cell.cast_mut()) };
    if let Ok(index) = added {
        waiting::note_calling_thread(index);
    }
    added.is_ok()
}

/// To be called in the child of a fork, before it starts a sampler of its own: forgets the
/// parent's, and closes what [`close_in_children`](crate::close_in_children) was told.
/// Async-signal-safe.
pub fn after_fork_in_child() {
    inherited::close_inherited();
    perf::close_in_child();
    crate::termination::forget_in_child();
    crate::heap::after_fork_in_child();
    crate::contention::after_fork_in_child();
    guarded::restore();
    registration::begin();
    engine::begin(Engine::Timer, 0, Duration::ZERO);
    Pool::release_in_child();
    debug_assert!(GATE.is_empty());
}

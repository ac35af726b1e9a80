//! What turns CPU time into signals: the engines, behind one seam.

use crate::clock::Clock;
use crate::errno::Errno;
use crate::perf::{self, Event, OpenError, State};
use crate::pool::Pool;
use crate::slot::{Slot, SlotIndex};
use crate::timer::Timer;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU32, AtomicU64, Ordering};
use core::time::Duration;

/// What sends the signals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Engine {
    /// A CPU timer for each thread. Works everywhere; the kernel looks at it with its tick.
    #[default]
    Timer = 0,
    /// A perf event for each thread. Not bound to the tick, and dearer. A thread that can have
    /// none gets a timer; see [`Fallback`].
    Perf = 1,
    /// One CPU timer for the process, which sees every thread from its first instant. Only where
    /// the kernel delivers its signal to the thread that runs.
    Process = 2,
    /// Nothing does: no signal is taken and no thread sampled. For hosts whose stacks come another
    /// way.
    None = 3,
}

/// Why a thread has a CPU timer although the engine is [`Engine::Perf`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// The kernel refuses perf events.
    Refused(Errno),
    /// SIGURG is the host's.
    Signal,
    /// A quarter of RLIMIT_NOFILE is used.
    Descriptors,
    /// The host has closed the event's descriptor.
    Closed,
    /// The host had hardly any descriptors left.
    Short,
}

impl core::fmt::Display for Fallback {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Refused(errno) => return write!(f, "perf_event_open: {errno}"),
            Self::Signal => "perf events need SIGURG, which the host uses",
            Self::Descriptors => "perf events use a quarter of RLIMIT_NOFILE",
            Self::Closed => "the host has closed the descriptors of perf events",
            Self::Short => "perf events gave their descriptors back, the host had hardly any left",
        })
    }
}

impl Fallback {
    /// As a number other than 0.
    fn code(self) -> i32 {
        match self {
            Self::Refused(errno) => errno.0,
            Self::Signal => -1,
            Self::Descriptors => -2,
            Self::Closed => -3,
            Self::Short => -4,
        }
    }

    fn from_code(code: i32) -> Option<Self> {
        match code {
            0 => None,
            -1 => Some(Self::Signal),
            -2 => Some(Self::Descriptors),
            -3 => Some(Self::Closed),
            -4 => Some(Self::Short),
            errno => Some(Self::Refused(Errno(errno))),
        }
    }
}

/// What new threads get, and how it is set.
static ENGINE: AtomicU8 = AtomicU8::new(Engine::Timer as u8);
static INTERVAL_NANOS: AtomicU64 = AtomicU64::new(0);
static SIGNAL: AtomicI32 = AtomicI32::new(0);
static RANDOM: AtomicU64 = AtomicU64::new(0);

/// The timer of [`Engine::Process`], or -1.
static PROCESS_TIMER: AtomicI32 = AtomicI32::new(-1);

/// The last [`Fallback`], 0 for none.
static FALLBACK: AtomicI32 = AtomicI32::new(0);
static FALLBACKS: AtomicU32 = AtomicU32::new(0);

/// Whether the host was found [short](Fallback::Short) of descriptors: then threads get timers.
static IS_SHORT: AtomicBool = AtomicBool::new(false);

/// Nanoseconds that a perf event's first period has at least, or a sixteenth of the interval. The
/// event goes on with it until its thread's handler runs, and under a hypervisor an interrupt costs up
/// to 60 µs: with a period below that a processor does nothing else any more, for minutes.
const SHORTEST_FIRST_PERIOD: u64 = 250_000;

/// Sets what threads get from now on.
pub(crate) fn begin(engine: Engine, signal: i32, interval: Duration) {
    ENGINE.store(engine as u8, Ordering::Relaxed);
    PROCESS_TIMER.store(-1, Ordering::Relaxed);
    FALLBACK.store(0, Ordering::Relaxed);
    FALLBACKS.store(0, Ordering::Relaxed);
    IS_SHORT.store(false, Ordering::Relaxed);
    RANDOM.store(crate::arch::ticks(), Ordering::Relaxed);
    set_signal(signal);
    set_interval(interval);
}

/// Changes what threads get from now on, with nothing running.
pub(crate) fn change(engine: Engine, signal: i32) {
    ENGINE.store(engine as u8, Ordering::Relaxed);
    set_signal(signal);
}

/// Changes the signal of what is started from now on.
pub(crate) fn set_signal(signal: i32) {
    SIGNAL.store(signal, Ordering::Relaxed);
}

/// Changes the interval of what is started from now on.
pub(crate) fn set_interval(interval: Duration) {
    let nanos = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
    INTERVAL_NANOS.store(nanos, Ordering::Relaxed);
}

/// What threads get.
pub(crate) fn current() -> Engine {
    match ENGINE.load(Ordering::Relaxed) {
        1 => Engine::Perf,
        2 => Engine::Process,
        3 => Engine::None,
        _ => Engine::Timer,
    }
}

/// Whether threads without a perf event have a timer of their own.
fn has_timers() -> bool {
    matches!(current(), Engine::Timer | Engine::Perf)
}

/// How many threads got a timer for want of a perf event, and the last reason.
pub(crate) fn fallbacks() -> (u32, Option<Fallback>) {
    let last = Fallback::from_code(FALLBACK.load(Ordering::Relaxed));
    (FALLBACKS.load(Ordering::Relaxed), last)
}

fn note(reason: Fallback) {
    FALLBACK.store(reason.code(), Ordering::Relaxed);
    FALLBACKS.fetch_add(1, Ordering::Relaxed);
}

/// Starts sampling a thread into a slot.
pub(crate) fn start(slot: &Slot, index: SlotIndex, tid: i32) -> Result<(), Errno> {
    match current() {
        Engine::Timer => start_timer(slot, tid),
        Engine::Perf => start_event(slot, index, tid).or_else(|reason| {
            note(reason);
            start_timer(slot, tid)
        }),
        Engine::Process | Engine::None => Ok(()),
    }
}

fn start_event(slot: &Slot, index: SlotIndex, tid: i32) -> Result<(), Fallback> {
    if IS_SHORT.load(Ordering::Relaxed) {
        return Err(Fallback::Short);
    }
    if SIGNAL.load(Ordering::Relaxed) != perf::SIGNAL {
        return Err(Fallback::Signal);
    }
    slot.first_period.store(1, Ordering::Relaxed);
    Event::start(index, tid, first_period()).map_err(|error| match error {
        OpenError::Refused(errno) => Fallback::Refused(errno),
        OpenError::Descriptors => Fallback::Descriptors,
    })
}

fn start_timer(slot: &Slot, tid: i32) -> Result<(), Errno> {
    let value = core::ptr::from_ref(slot) as usize;
    let timer = Timer::create(tid, SIGNAL.load(Ordering::Relaxed), value)?;
    slot.timer.store(timer.0, Ordering::Relaxed);
    arm(timer).inspect_err(|_| timer.delete())
}

/// Starts a timer at a random phase: with a fixed one, threads that live shorter than the
/// interval would never be sampled.
fn arm(timer: Timer) -> Result<(), Errno> {
    let nanos = interval();
    let first = random().checked_rem(nanos).unwrap_or(0).saturating_add(1);
    timer.arm(Duration::from_nanos(first), Duration::from_nanos(nanos))
}

fn interval() -> u64 {
    INTERVAL_NANOS.load(Ordering::Relaxed).max(1)
}

/// The first period of a perf event, random for the reason that a timer's is.
fn first_period() -> u64 {
    first_of(interval(), random())
}

fn first_of(interval: u64, random: u64) -> u64 {
    let shortest = (interval >> 4).max(SHORTEST_FIRST_PERIOD).min(interval);
    random.checked_rem(interval).unwrap_or(0).max(shortest)
}

/// In the handler of an event's first signal: from now on it is periodic. Two system calls.
#[cold]
#[inline(never)]
pub(crate) fn end_first_period(slot: &Slot, index: SlotIndex) {
    slot.first_period.store(0, Ordering::Relaxed);
    if let Some(event) = Event::of(index) {
        event.set_period(interval());
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
fn random() -> u64 {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut x = RANDOM.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

/// Makes a slot's thread be sampled with the current interval.
pub(crate) fn rearm(slot: &Slot, index: SlotIndex) {
    if let Some(event) = Event::of(index) {
        slot.first_period.store(1, Ordering::Relaxed);
        event.set_period(first_period());
    } else if has_timers() {
        let _ = arm(Timer(slot.timer.load(Ordering::Relaxed)));
    }
}

/// Stops sampling a slot's thread; its ring keeps what it has.
pub(crate) fn stop(slot: &Slot, index: SlotIndex) {
    perf::stop(index);
    Timer(slot.timer.swap(-1, Ordering::Relaxed)).delete();
}

/// Whether a slot's thread still runs.
pub(crate) fn is_alive(slot: &Slot, index: SlotIndex) -> bool {
    let tid = slot.tid.load(Ordering::Relaxed);
    let runs = || Clock::Thread(tid).now().is_ok();
    match Event::of(index).map(|event| event.state(tid)) {
        Some(State::Counting) => true,
        Some(State::Ended) => false,
        Some(State::Lost) => runs(),
        None if !has_timers() => runs(),
        None => Timer(slot.timer.load(Ordering::Relaxed)).is_running(),
    }
}

/// Looks whether the host needs the descriptors of perf events: once it does, it gets all of them.
pub(crate) fn look_for_shortage() {
    if current() == Engine::Perf && perf::is_host_short() {
        IS_SHORT.store(true, Ordering::Relaxed);
    }
}

/// Gives a slot's thread a timer if its event's descriptor was closed by the host, or is needed
/// there.
pub(crate) fn repair(slot: &Slot, index: SlotIndex, tid: i32) {
    let Some(event) = Event::of(index) else { return };
    let reason = if !event.is_ours() {
        Fallback::Closed
    } else if IS_SHORT.load(Ordering::Relaxed) {
        Fallback::Short
    } else {
        return;
    };
    perf::stop(index);
    note(reason);
    let _ = start_timer(slot, tid);
}

/// Starts the timer of [`Engine::Process`], if that is the engine.
pub(crate) fn start_process(pool: &Pool) -> Result<(), Errno> {
    if current() != Engine::Process {
        return Ok(());
    }
    let signal = SIGNAL.load(Ordering::Relaxed);
    let timer = Timer::create_for_process(Clock::Process, signal, pool.process_value())?;
    PROCESS_TIMER.store(timer.0, Ordering::Release);
    arm(timer).inspect_err(|_| stop_process())
}

/// Sets the timer of [`Engine::Process`] to the current interval.
pub(crate) fn rearm_process() {
    let timer = PROCESS_TIMER.load(Ordering::Acquire);
    if timer >= 0 {
        let _ = arm(Timer(timer));
    }
}

/// Deletes the timer of [`Engine::Process`].
pub(crate) fn stop_process() {
    let timer = PROCESS_TIMER.swap(-1, Ordering::AcqRel);
    if timer >= 0 {
        Timer(timer).delete();
    }
}

/// Whether this is the timer of [`Engine::Process`].
pub(crate) fn is_process_timer(timer: i32) -> bool {
    timer >= 0 && PROCESS_TIMER.load(Ordering::Acquire) == timer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_first_period_is_so_short_that_interrupts_are_all_a_processor_does() {
        for (interval, shortest) in
            [(10_000_000, 625_000), (1_000_000, 250_000), (200_000, 200_000)]
        {
            assert_eq!(first_of(interval, 0), shortest);
            assert_eq!(first_of(interval, 7 * interval + 17), shortest);
            assert_eq!(first_of(interval, 8 * interval - 1), (interval - 1).max(shortest));
        }
    }
}

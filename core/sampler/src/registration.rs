//! Which thread has which slot. Only one thread registers at a time; nobody waits for another.

use crate::errno::Errno;
use crate::labels::LabelCell;
use crate::pool::{GATE, Pool};
use crate::slot::SlotIndex;
use crate::timer::Timer;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};
use core::time::Duration;

/// More threads than this are never sampled at once, whatever the limits say.
pub(crate) const MAX_SLOTS: usize = 4096;

/// The thread of each slot, 0 for a free one. Apart from the slots, so that looking a thread up
/// touches 16 KiB instead of every ring.
static THREADS: [AtomicI32; MAX_SLOTS] = [const { AtomicI32::new(0) }; MAX_SLOTS];

/// Held while the table above changes. Never waited for: who cannot have it gives up, and the
/// agent finds the thread at its next look.
static BUSY: AtomicBool = AtomicBool::new(false);

/// How new timers are set.
static INTERVAL_NANOS: AtomicU64 = AtomicU64::new(0);
static SIGNAL: AtomicI32 = AtomicI32::new(0);

/// One more than the highest slot ever used.
static USED: AtomicU32 = AtomicU32::new(0);

static RANDOM: AtomicU64 = AtomicU64::new(0);

/// Why a thread has no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddError {
    /// No sampler runs.
    Stopped,
    /// Another thread is registering; try again later.
    Busy,
    /// Every slot is taken.
    Full,
    /// The kernel refused the timer.
    Timer(Errno),
}

/// Keeps others from registering threads while it lives.
pub(crate) struct Held(());

/// Tries to be the only one that registers threads.
pub(crate) fn hold() -> Option<Held> {
    let taken = BUSY.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed);
    taken.ok().map(|_| Held(()))
}

impl Drop for Held {
    fn drop(&mut self) {
        BUSY.store(false, Ordering::Release);
    }
}

/// Sets what new timers use, and forgets all threads.
pub(crate) fn begin(signal: i32, interval: Duration) {
    THREADS.iter().for_each(|thread| thread.store(0, Ordering::Relaxed));
    USED.store(0, Ordering::Relaxed);
    BUSY.store(false, Ordering::Relaxed);
    RANDOM.store(crate::arch::ticks(), Ordering::Relaxed);
    set_signal(signal);
    set_interval(interval);
}

/// Changes the signal of timers made from now on.
pub(crate) fn set_signal(signal: i32) {
    SIGNAL.store(signal, Ordering::Relaxed);
}

/// Changes the interval of timers started from now on.
pub(crate) fn set_interval(interval: Duration) {
    let nanos = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
    INTERVAL_NANOS.store(nanos, Ordering::Relaxed);
}

/// One more than the highest slot used since the start.
pub(crate) fn used() -> u32 {
    USED.load(Ordering::Acquire)
}

/// The slots in use with their threads.
pub(crate) fn threads() -> impl Iterator<Item = (SlotIndex, i32)> {
    THREADS.iter().zip(0..used()).filter_map(|(thread, index)| {
        let tid = thread.load(Ordering::Acquire);
        (tid != 0).then_some((SlotIndex(index), tid))
    })
}

/// Gives a thread a slot and starts its timer; `labels` may be null. A thread that has one keeps
/// it and only gets the label cell.
///
/// # Safety
/// `labels` must be null or point to memory that lives as long as the thread `tid`.
pub(crate) unsafe fn add(tid: i32, labels: *mut LabelCell) -> Result<SlotIndex, AddError> {
    GATE.enter();
    let result = match Pool::current() {
        Some(pool) => add_inside(pool, tid, labels),
        None => Err(AddError::Stopped),
    };
    GATE.exit();
    result
}

fn add_inside(pool: &Pool, tid: i32, labels: *mut LabelCell) -> Result<SlotIndex, AddError> {
    let _held = hold().ok_or(AddError::Busy)?;
    if let Some((index, _)) = threads().find(|(_, thread)| *thread == tid) {
        let slot = pool.slot(index.0).ok_or(AddError::Full)?;
        if Timer(slot.timer.load(Ordering::Relaxed)).is_running() {
            if !labels.is_null() {
                slot.labels.store(labels, Ordering::Relaxed);
            }
            return Ok(index);
        }
        // An earlier thread of the same number, whose slot the agent has not collected yet.
        return Err(AddError::Busy);
    }
    let mut numbered = THREADS.iter().zip(0..pool.limits.slots);
    let (entry, index) =
        numbered.find(|(thread, _)| thread.load(Ordering::Acquire) == 0).ok_or(AddError::Full)?;
    let slot = pool.slot(index).ok_or(AddError::Full)?;
    slot.reset(tid);
    slot.labels.store(labels, Ordering::Relaxed);
    start_timer(slot, tid).map_err(AddError::Timer)?;
    entry.store(tid, Ordering::Release);
    USED.fetch_max(index.wrapping_add(1), Ordering::AcqRel);
    Ok(SlotIndex(index))
}

fn start_timer(slot: &crate::slot::Slot, tid: i32) -> Result<(), Errno> {
    let value = core::ptr::from_ref(slot) as usize;
    let timer = Timer::create(tid, SIGNAL.load(Ordering::Relaxed), value)?;
    slot.timer.store(timer.0, Ordering::Relaxed);
    arm(timer).inspect_err(|_| timer.delete())
}

/// Starts a timer at a random phase: with a fixed one, threads that live shorter than the
/// interval would never be sampled.
fn arm(timer: Timer) -> Result<(), Errno> {
    let nanos = INTERVAL_NANOS.load(Ordering::Relaxed).max(1);
    let first = random().checked_rem(nanos).unwrap_or(0).saturating_add(1);
    timer.arm(Duration::from_nanos(first), Duration::from_nanos(nanos))
}

/// SplitMix64 (Steele, Lea, Flood 2014).
fn random() -> u64 {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut x = RANDOM.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

/// Restarts a slot's timer with the current interval.
pub(crate) fn rearm(pool: &Pool, index: SlotIndex) {
    if let Some(slot) = pool.slot(index.0) {
        let _ = arm(Timer(slot.timer.load(Ordering::Relaxed)));
    }
}

/// Replaces a slot's timer by one that sends the current signal.
pub(crate) fn replace_timer(pool: &Pool, index: SlotIndex, tid: i32) -> Result<(), Errno> {
    let Some(slot) = pool.slot(index.0) else { return Ok(()) };
    Timer(slot.timer.load(Ordering::Relaxed)).delete();
    start_timer(slot, tid)
}

/// Stops a slot's timer; its ring keeps what it has. The slot stays taken.
pub(crate) fn stop_timer(pool: &Pool, index: SlotIndex) {
    if let Some(slot) = pool.slot(index.0) {
        Timer(slot.timer.swap(-1, Ordering::Relaxed)).delete();
    }
}

/// Frees a slot whose timer was stopped and whose ring was drained.
pub(crate) fn free(index: SlotIndex) {
    if let Some(thread) = THREADS.get(index.index()) {
        thread.store(0, Ordering::Release);
    }
}

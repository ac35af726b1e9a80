//! Which thread has which slot. Only one thread registers at a time; nobody waits long for another.

use crate::engine;
use crate::errno::Errno;
use crate::labels::LabelCell;
use crate::pool::{GATE, Pool};
use crate::slot::{Slot, SlotIndex};
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};

/// More threads than this are never sampled at once, whatever the limits say.
pub(crate) const MAX_SLOTS: usize = 4096;

/// The thread of each slot, 0 for a free one. Apart from the slots, so that looking a thread up
/// touches 16 KiB instead of every ring.
static THREADS: [AtomicI32; MAX_SLOTS] = [const { AtomicI32::new(0) }; MAX_SLOTS];

/// Held while the table above changes. Hardly waited for: who cannot have it gives up, and the
/// agent finds the thread at its next look.
static BUSY: AtomicBool = AtomicBool::new(false);

/// One more than the highest slot ever used.
static USED: AtomicU32 = AtomicU32::new(0);

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

/// Tries again for a fifth of a millisecond at most, several times what a registration takes.
fn hold_patiently() -> Option<Held> {
    (0..PATIENCE).find_map(|_| {
        core::hint::spin_loop();
        hold()
    })
}

/// Attempts of a thread that registers itself: it may not change its labels again for long, and
/// until then its samples would have none.
const PATIENCE: u32 = 4_000;

impl Drop for Held {
    fn drop(&mut self) {
        BUSY.store(false, Ordering::Release);
    }
}

/// Forgets all threads.
pub(crate) fn begin() {
    THREADS.iter().for_each(|thread| thread.store(0, Ordering::Relaxed));
    USED.store(0, Ordering::Relaxed);
    BUSY.store(false, Ordering::Relaxed);
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

/// Gives a thread a slot and starts sampling it; `labels` may be null. A thread that has one keeps
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
    let held = if labels.is_null() { hold() } else { hold_patiently() };
    let _held = held.ok_or(AddError::Busy)?;
    if let Some(index) = find(tid) {
        let slot = pool.slot(index.0).ok_or(AddError::Full)?;
        if engine::is_alive(slot, index) {
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
    engine::start(slot, SlotIndex(index), tid).map_err(AddError::Timer)?;
    entry.store(tid, Ordering::Release);
    USED.fetch_max(index.wrapping_add(1), Ordering::AcqRel);
    Ok(SlotIndex(index))
}

/// Changes what a thread's slot says of it, if it has one. Where the table cannot be had, nothing is
/// changed: a new slot finds out for itself, and one that has an old one is of a thread that ends.
pub(crate) fn change_slot(tid: i32, change: impl FnOnce(&Slot)) {
    GATE.enter();
    if let Some(_held) = hold_patiently()
        && let Some(pool) = Pool::current()
        && let Some(slot) = find(tid).and_then(|index| pool.slot(index.0))
    {
        change(slot);
    }
    GATE.exit();
}

/// The slot of a thread, if it has one. At most [`MAX_SLOTS`] loads.
pub(crate) fn find(tid: i32) -> Option<SlotIndex> {
    threads().find(|(_, thread)| *thread == tid).map(|(index, _)| index)
}

/// Frees a slot whose timer was stopped and whose ring was drained.
pub(crate) fn free(index: SlotIndex) {
    if let Some(thread) = THREADS.get(index.index()) {
        thread.store(0, Ordering::Release);
    }
}

//! Signals of the process' timer, which interrupt whichever thread runs, known or not.
//!
//! The thread's id is all that says who it is, and the kernel gives it to another thread one day. So
//! nothing that a slot says of its thread's memory is relied on: stacks are probed page by page, and
//! a label cell is read only where it can be.

use crate::engine;
use crate::handler::Origin;
use crate::labels::LabelCell;
use crate::memory::is_readable;
use crate::pool::Pool;
use crate::process::current_tid;
use crate::registration;
use crate::sample::Source;
use crate::timer::TimerInfo;
use core::sync::atomic::Ordering;

/// Where the sample of a signal of the process' timer goes: to the thread's own slot, or, if it has
/// none, to a shared one, which [`release`](crate::slot::Slot::release) gives back. `None` if the
/// signal is another, or if no shared slot is free, which is counted.
#[inline(never)]
pub(crate) fn origin<'pool>(pool: &'pool Pool, signal: &TimerInfo) -> Option<Origin<'pool>> {
    if signal.value != pool.process_value() || !engine::is_process_timer(signal.timer) {
        return None;
    }
    let (source, expirations) = (Source::Process, signal.expirations());
    let tid = current_tid();
    if let Some(slot) = registration::find(tid).and_then(|index| pool.slot(index.0)) {
        let labels = readable(slot.labels.load(Ordering::Relaxed));
        return Some(Origin { slot, source, expirations, tid: None, labels, certain: false });
    }
    let mut shared = pool.shared_slots().filter_map(|index| pool.any_slot(index));
    let Some(slot) = shared.find(|slot| slot.claim()) else {
        pool.unshared.fetch_add(u64::from(expirations), Ordering::Relaxed);
        return None;
    };
    let labels = core::ptr::null();
    Some(Origin { slot, source, expirations, tid: Some(tid), labels, certain: false })
}

/// The cell if it can be read, null otherwise. It is smaller than a page, so that its two ends tell.
fn readable(cell: *const LabelCell) -> *const LabelCell {
    let first = cell as u64;
    let last = first.wrapping_add(size_of::<LabelCell>() as u64).wrapping_sub(8);
    if is_readable(first) && is_readable(last) { cell } else { core::ptr::null() }
}

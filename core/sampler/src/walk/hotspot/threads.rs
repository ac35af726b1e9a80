//! Which `JavaThread` a thread is.

use crate::process::current_tid;
use crate::registration;
use core::sync::atomic::{AtomicI32, AtomicU64, Ordering};

/// Threads at once, a power of two; of further ones less is known.
const PLACES: usize = 1 << 15;

/// Places that one search looks at.
const MAX_STEPS: usize = 64;

const FREE: i32 = 0;

/// What a place had is gone; one that is looked for may be behind it.
const GONE: i32 = -1;

struct Place {
    tid: AtomicI32,
    thread: AtomicU64,
}

static PLACE: [Place; PLACES] =
    [const { Place { tid: AtomicI32::new(FREE), thread: AtomicU64::new(0) } }; PLACES];

/// Numbers of threads are given out in order, so that most are at their own place.
fn places(tid: i32) -> impl Iterator<Item = &'static Place> {
    let first = tid as usize;
    (0..MAX_STEPS)
        .filter_map(move |step| PLACE.get(first.wrapping_add(step) & PLACES.wrapping_sub(1)))
}

/// The address of a thread's `JavaThread`, or 0.
pub(crate) fn find(tid: i32) -> u64 {
    for place in places(tid) {
        match place.tid.load(Ordering::Acquire) {
            FREE => return 0,
            found if found == tid => return place.thread.load(Ordering::Acquire),
            _ => {}
        }
    }
    0
}

/// Says that a thread is this `JavaThread` until [`thread_ends`].
///
/// # Safety
/// The address must be that of the `JavaThread` of the thread `tid`.
pub unsafe fn thread_starts(tid: i32, thread: u64) {
    // A thread of this number whose end was not told.
    forget(tid);
    for place in places(tid) {
        let before = place.tid.load(Ordering::Relaxed);
        let free = before == FREE || before == GONE;
        let taken =
            || place.tid.compare_exchange(before, tid, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if free && taken() {
            place.thread.store(thread, Ordering::Release);
            break;
        }
    }
    registration::change_slot(tid, |slot| slot.java_thread.store(thread, Ordering::Release));
}

/// To be called by a thread that is no thread of Java any more.
pub fn thread_ends() {
    let tid = current_tid();
    forget(tid);
    registration::change_slot(tid, |slot| slot.java_thread.store(0, Ordering::Release));
}

fn forget(tid: i32) {
    for place in places(tid) {
        match place.tid.load(Ordering::Acquire) {
            FREE => return,
            found if found == tid => {
                place.thread.store(0, Ordering::Release);
                place.tid.store(GONE, Ordering::Release);
                return;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_found_until_it_ends_also_behind_one_that_has_ended() {
        // Numbers that no thread has, at the same place.
        let tids = [1 << 28, (1 << 28) + PLACES as i32, (1 << 28) + 2 * PLACES as i32];
        for (tid, thread) in tids.into_iter().zip(1u64..) {
            // SAFETY: nothing reads from there, as no such thread runs.
            unsafe { thread_starts(tid, thread * 4096) };
        }
        assert_eq!(tids.map(find), [4096, 8192, 12288]);
        forget(tids[0]);
        assert_eq!(tids.map(find), [0, 8192, 12288]);
        // SAFETY: as above.
        unsafe { thread_starts(tids[2], 4096) };
        assert_eq!(tids.map(find), [0, 8192, 4096]);
        tids.into_iter().for_each(forget);
        assert_eq!(tids.map(find), [0; 3]);
    }
}

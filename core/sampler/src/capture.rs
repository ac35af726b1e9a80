//! The calling thread's stack, outside of a handler: for events that the thread itself reports, such
//! as an allocation.

use crate::arch;
use crate::labels::{LabelCell, Labels};
use crate::memory::SelfMemory;
use crate::pool::{GATE, Pool};
use crate::process::current_tid;
use crate::registration;
use crate::sample::End;
use crate::walk::python::Running;
use crate::walk::{Code, hotspot, walk_returning, walk_with};
use core::ptr;
use core::sync::atomic::Ordering;

/// What [`capture`] has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Captured {
    /// Words written: native frames leaf first, the first being that of `capture`'s caller or
    /// above, then Python's frames leaf first, as in a sample.
    pub frames: usize,
    /// Why the walk over native frames stopped.
    pub end: End,
    /// The labels of the running context; `None` where the thread's label cell counts.
    pub labels: Option<Labels>,
}

/// Writes the calling thread's frames into `words`, at most half of them native ones. `None` if no
/// sampler runs. Makes three system calls, allocates nothing, and takes no lock.
pub fn capture(words: &mut [u64]) -> Option<Captured> {
    GATE.enter();
    let captured = Pool::current().map(|pool| capture_inside(pool, words));
    GATE.exit();
    captured
}

fn capture_inside(pool: &Pool, words: &mut [u64]) -> Captured {
    let blocked = blocked_signals();
    // SAFETY: the mask was just read, and nothing on this thread changes it before the end.
    let mut memory = unsafe { SelfMemory::guarding(blocked) };
    let depth = pool.limits.max_depth as usize;
    let limit = depth.min(words.len() / 2);
    let mut java = runs_java(pool, blocked);
    // What the virtual machine does on its behalf is no part of what Java does.
    let left = java.as_mut().and_then(hotspot::Running::left);
    let labels = java.as_mut().map(|java| java.labels().unwrap_or_else(|| labels_of_thread(pool)));
    let code = Code { modules: pool.modules(), runtime: &mut java };
    let emit = |index, frame| put(words, index, frame);
    let walked = match left {
        Some(registers) => walk_returning(code, registers, &mut memory, limit, emit),
        None => walk_with(code, arch::current(), &mut memory, limit, emit),
    };
    let mut captured = Captured { frames: walked.frames, end: walked.end, labels };
    let (Some(python), Some(known)) = (&pool.python, &pool.known) else { return captured };
    // SAFETY: as above.
    if let Some(mut running) = unsafe { Running::here(python, blocked) } {
        captured.labels = running.labels();
        let room = words.len().saturating_sub(walked.frames).saturating_sub(1);
        let frames = running.walk(known, &[], depth.min(room), |index, frame| {
            put(words, walked.frames.wrapping_add(index), frame);
        });
        captured.frames = walked.frames.saturating_add(frames.frames).min(words.len());
    }
    captured
}

/// The calling thread as HotSpot knows it, if its frames are read.
fn runs_java(pool: &Pool, blocked: u64) -> Option<hotspot::Running<'_, SelfMemory>> {
    let (Some(facts), Some(known)) = (pool.hotspot(), &pool.known) else { return None };
    // SAFETY: the mask was read a moment ago, and nothing on this thread changes it before the end.
    let memory = unsafe { SelfMemory::guarding(blocked) };
    Some(hotspot::Running::new(facts, known, hotspot::find(current_tid()), memory))
}

/// The labels in the calling thread's cell. At most [`registration::MAX_SLOTS`] loads.
fn labels_of_thread(pool: &Pool) -> Labels {
    let slot = registration::find(current_tid()).and_then(|index| pool.slot(index.0));
    let cell = slot.map_or(ptr::null_mut(), |slot| slot.labels.load(Ordering::Relaxed));
    // SAFETY: null, or a thread-local of the calling thread (`attach`).
    unsafe { cell.as_ref() }.map_or(Labels::NONE, LabelCell::get).without_span()
}

fn put(words: &mut [u64], index: usize, word: u64) {
    if let Some(place) = words.get_mut(index) {
        *place = word;
    }
}

/// The signals that the calling thread blocks.
fn blocked_signals() -> u64 {
    let mut mask = 0u64;
    let args = [libc::SIG_BLOCK as usize, 0, &raw mut mask as usize, size_of::<u64>()];
    // SAFETY: the pointer is to a local of the kernel's size; no mask is set.
    unsafe { arch::syscall(libc::SYS_rt_sigprocmask, args) };
    mask
}

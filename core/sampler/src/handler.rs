//! The signal handler.
//!
//! System calls: none while the stack lies in proven memory; otherwise one `rt_sigprocmask` with
//! an invalid argument for each page of stack not proven yet (`memory.rs`). No libc, no TLS of
//! ours, no lock, no allocation. `docs/signal-safety.md` explains each step.

use crate::arch::{self, Registers};
use crate::labels::{LabelCell, Labels};
use crate::memory::{self, SelfMemory};
use crate::pool::{GATE, Pool};
use crate::sample::{End, HEADER_WORDS, Header, Source, id_words};
use crate::signal;
use crate::slot::{Slot, Tally};
use crate::timer::TimerInfo;
use crate::waiting;
use crate::walk::python::Running;
use crate::walk::{Walked, walk};
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicU64, Ordering};

/// Signals of our number that were not from our timers.
pub(crate) static FOREIGN: AtomicU64 = AtomicU64::new(0);

/// How far above the root frame a thread control block may lie: the size of static TLS.
const MAX_STATIC_TLS: u64 = 1 << 20;

/// Entry point, installed with every signal blocked except the synchronous faults.
pub(crate) unsafe extern "C" fn on_signal(
    number: c_int,
    info: *mut libc::siginfo_t,
    context: *mut c_void,
) {
    let started = arch::ticks();
    // SAFETY: the kernel passes a valid siginfo_t, which is larger than a TimerInfo.
    let timer = unsafe { &*info.cast::<TimerInfo>() };
    let from_timer = timer.code == libc::SI_TIMER;
    GATE.enter();
    let pool = if from_timer { Pool::current() } else { None };
    let slot = pool.and_then(|pool| pool.slot_from_signal(timer.value, timer.timer));
    if let (Some(pool), Some(slot)) = (pool, slot) {
        // SAFETY: `context` is this handler's own.
        let registers = unsafe { arch::registers(context.cast()) };
        // SAFETY: as above.
        let blocked = unsafe { arch::blocked_signals(context.cast()) };
        take_sample(pool, slot, Interrupted { registers, blocked }, timer.overrun);
        slot.tally.add_ticks(arch::ticks().wrapping_sub(started));
    }
    GATE.exit();
    let late = from_timer && Pool::was_slot(timer.value);
    if slot.is_none() && !late {
        FOREIGN.fetch_add(1, Ordering::Relaxed);
        // SAFETY: these are this handler's own arguments.
        unsafe { signal::chain(number, info, context) };
    }
}

/// What the signal interrupted.
#[derive(Clone, Copy)]
struct Interrupted {
    registers: Registers,
    /// The signals that the thread blocked.
    blocked: u64,
}

/// Walks the thread's stacks into the slot's ring: first the native one, then Python's.
#[inline(always)]
fn take_sample(pool: &Pool, slot: &Slot, interrupted: Interrupted, overrun: i32) {
    let expirations = u32::try_from(overrun).unwrap_or(0).saturating_add(1);
    let weight = expirations.min(pool.weight_cap.load(Ordering::Relaxed));
    Tally::add(&slot.tally.missed, u64::from(expirations.wrapping_sub(weight)));

    let python = pool.python.as_ref();
    // SAFETY: the mask that this handler runs with blocks neither signal beyond what was blocked.
    let mut running = python
        .and_then(|python| unsafe { Running::here(&python.interpreter, interrupted.blocked) });
    let labels = running.as_mut().and_then(Running::labels);
    let labels = labels.unwrap_or_else(|| labels_of_thread(slot));
    let (ids, id_count) = id_words(labels);
    let record = slot.ring().begin();
    let room = record.free().saturating_sub(HEADER_WORDS.wrapping_add(id_count));
    let depth = pool.limits.max_depth as usize;
    let proven = slot.stack_low.load(Ordering::Relaxed)..slot.stack_high.load(Ordering::Relaxed);
    // SAFETY: the range is part of this thread's own stack (`learn_stack`), which stays mapped.
    let mut memory = unsafe { SelfMemory::trusting(proven) };
    let registers = interrupted.registers;
    let walked = walk(pool.modules(), registers, &mut memory, depth.min(room), |index, frame| {
        record.put(index.wrapping_add(HEADER_WORDS), frame);
    });
    let mut full = walked.end == End::Depth && room < depth;
    let native = walked.frames.saturating_add(HEADER_WORDS);
    let mut end = native;
    if let (Some(python), Some(running)) = (python, &mut running) {
        waiting::note(slot, running.state(), arch::thread_pointer());
        let room = room.saturating_sub(walked.frames).saturating_sub(1);
        let frames = running.walk(&python.codes, depth.min(room), |index, frame| {
            record.put(native.wrapping_add(index), frame);
        });
        full |= frames.truncated && room < depth;
        end = native.saturating_add(frames.frames);
        Tally::add(&slot.tally.unreadable, u64::from(frames.lost));
        Tally::add(&slot.tally.entering, u64::from(frames.restarted));
    }
    if full {
        Tally::add(&slot.tally.dropped, u64::from(weight));
        return;
    }
    learn_stack(pool, slot, registers.sp, walked);
    let header = Header {
        frames: end.saturating_sub(HEADER_WORDS) as u16,
        end: walked.end,
        source: Source::Timer,
        weight,
        labels,
    };
    for (index, word) in header.words().into_iter().enumerate() {
        record.put(index, word);
    }
    for (index, word) in ids.into_iter().take(id_count).enumerate() {
        record.put(end.wrapping_add(index), word);
    }
    record.publish(end.saturating_add(id_count));
    Tally::add(&slot.tally.samples, 1);
    Tally::add(&slot.tally.weight, u64::from(weight));
}

/// What the thread has put into its label cell, if it has one.
#[inline(always)]
fn labels_of_thread(slot: &Slot) -> Labels {
    let labels = slot.labels.load(Ordering::Relaxed);
    // SAFETY: null, or a thread-local of the thread this handler runs on (`attach`).
    unsafe { labels.as_ref() }.map_or(Labels::NONE, LabelCell::get)
}

/// Extends what is known to be this thread's own stack down to `sp`, so that later walks may load
/// from there without asking the kernel.
///
/// A walk that reached the root may have crossed other stacks on its way (a coroutine's, a
/// segment that a deep recursion was given), which may be unmapped while the thread lives on. So
/// only what lies in one piece below the stack's top is trusted: every page is probed once, and
/// the guard page below the stack ends it.
#[inline(always)]
fn learn_stack(pool: &Pool, slot: &Slot, sp: u64, walked: Walked) {
    let Some(root) = walked.root else { return };
    let low = slot.stack_low.load(Ordering::Relaxed);
    let high = slot.stack_high.load(Ordering::Relaxed);
    if low <= sp && root <= high {
        return;
    }
    let high = if high == 0 { top_of_stack(pool, root) } else { high };
    if sp < root && root <= high {
        let from = if low == 0 { high } else { low };
        slot.stack_low.store(memory::readable_down_from(from, sp), Ordering::Relaxed);
        slot.stack_high.store(high, Ordering::Relaxed);
    }
}

/// The top of the thread's stack, if `root` is the root frame of that: the thread control block
/// lies right above it, where the C library puts it, or it is the main thread's. Otherwise 0.
#[inline(always)]
fn top_of_stack(pool: &Pool, root: u64) -> u64 {
    let control_block = arch::thread_pointer();
    if control_block.wrapping_sub(root) < MAX_STATIC_TLS {
        control_block
    } else if pool.main_stack.contains(&root) {
        pool.main_stack.end
    } else {
        0
    }
}

//! The signal handler.
//!
//! System calls: none while the stack lies in proven memory; otherwise one `rt_sigprocmask` with
//! an invalid argument for each page of stack not proven yet (`memory.rs`). The first signal of a
//! perf event takes two `ioctl`s more (`engine.rs`), each of the process' timer a `gettid`
//! (`stranger.rs`). In a process with an interpreter, two `rt_sigaction` that only ask
//! (`guarded.rs`), or probes as for the stack. No libc, no TLS of ours, no lock, no allocation.
//! `docs/signal-safety.md` explains each step.

use crate::arch::{self, Registers};
use crate::engine;
use crate::labels::{LabelCell, Labels};
use crate::memory::{self, SelfMemory};
use crate::perf;
use crate::pool::{GATE, Pool};
use crate::ring::Record;
use crate::sample::{End, HEADER_WORDS, Header, Source, id_words};
use crate::signal;
use crate::slot::{Slot, Tally};
use crate::stranger;
use crate::timer::TimerInfo;
use crate::waiting;
use crate::walk::python::{Running, thread_state};
use crate::walk::{Code, Walked, hotspot, v8, walk_with};
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicU64, Ordering};

/// Signals of our number that neither our timers nor our perf events sent.
pub(crate) static FOREIGN: AtomicU64 = AtomicU64::new(0);

/// How far above the root frame a thread control block may lie: the size of static TLS.
const MAX_STATIC_TLS: u64 = 1 << 20;

/// Where a sample comes from, and so what of its slot can be relied on.
pub(crate) struct Origin<'pool> {
    pub(crate) slot: &'pool Slot,
    pub(crate) source: Source,
    /// How many periods have passed since the last signal.
    pub(crate) expirations: u32,
    /// The thread, if the slot is a shared one and does not tell.
    pub(crate) tid: Option<i32>,
    /// The labels of the thread, or null.
    pub(crate) labels: *const LabelCell,
    /// Whether the signal proves that the slot is that of the running thread, so that its stack is
    /// the one that was proven.
    pub(crate) certain: bool,
}

/// Entry point, installed with every signal blocked except the synchronous faults.
pub(crate) unsafe extern "C" fn on_signal(
    number: c_int,
    info: *mut libc::siginfo_t,
    context: *mut c_void,
) {
    let started = arch::ticks();
    // SAFETY: the kernel passes a valid siginfo_t, which is larger than a TimerInfo.
    let signal = unsafe { &*info.cast::<TimerInfo>() };
    GATE.enter();
    let pool = Pool::current();
    let origin = pool.and_then(|pool| origin(pool, signal));
    let taken = origin.is_some();
    if let (Some(pool), Some(origin)) = (pool, origin) {
        // SAFETY: `context` is this handler's own.
        let registers = unsafe { arch::registers(context.cast()) };
        // SAFETY: as above.
        let blocked = unsafe { arch::blocked_signals(context.cast()) };
        let interrupted = Interrupted { registers, blocked, context: context.cast() };
        let (slot, shared) = (origin.slot, origin.tid.is_some());
        take_sample(pool, origin, &interrupted);
        slot.tally.add_ticks(arch::ticks().wrapping_sub(started));
        if shared {
            slot.release();
        }
    }
    GATE.exit();
    if !taken && !is_late(signal) {
        FOREIGN.fetch_add(1, Ordering::Relaxed);
        // SAFETY: these are this handler's own arguments.
        unsafe { signal::chain(number, info, context) };
    }
}

/// What the signal interrupted.
struct Interrupted {
    registers: Registers,
    /// The signals that the thread blocked.
    blocked: u64,
    /// The kernel's record of all of it, which lies on this thread's stack.
    context: *const libc::ucontext_t,
}

/// Whose signal it is: by its code that of a timer or that of a perf event, and by what it carries
/// that of a slot. `None` if it is not ours.
#[inline(always)]
fn origin<'pool>(pool: &'pool Pool, signal: &TimerInfo) -> Option<Origin<'pool>> {
    if signal.code == libc::SI_TIMER {
        let Some(slot) = pool.slot_from_signal(signal.value, signal.timer) else {
            return stranger::origin(pool, signal);
        };
        let (source, expirations) = (Source::Timer, signal.expirations());
        let labels = slot.labels.load(Ordering::Relaxed);
        Some(Origin { slot, source, expirations, tid: None, labels, certain: true })
    } else if signal.code == perf::POLL_IN {
        event_origin(pool, signal)
    } else {
        None
    }
}

/// The origin of a perf event's signal, which goes to the event's thread alone.
#[inline(never)]
fn event_origin<'pool>(pool: &'pool Pool, signal: &TimerInfo) -> Option<Origin<'pool>> {
    let index = perf::slot_of(signal.descriptor())?;
    let slot = pool.slot(index.0)?;
    if slot.first_period.load(Ordering::Relaxed) != 0 {
        engine::end_first_period(slot, index);
    }
    let labels = slot.labels.load(Ordering::Relaxed);
    Some(Origin { slot, source: Source::Perf, expirations: 1, tid: None, labels, certain: true })
}

/// Whether a signal is one of ours that nobody waits for any more.
#[cold]
fn is_late(signal: &TimerInfo) -> bool {
    match signal.code {
        libc::SI_TIMER => Pool::was_slot(signal.value),
        perf::POLL_IN => perf::was_event(signal.descriptor()),
        _ => false,
    }
}

/// Walks the thread's stacks into the slot's ring: first the native one, with frames of V8 and HotSpot
/// in it, then Python's.
#[inline(always)]
fn take_sample(pool: &Pool, origin: Origin<'_>, interrupted: &Interrupted) {
    let (slot, expirations) = (origin.slot, origin.expirations);
    let weight = expirations.min(pool.weight_cap.load(Ordering::Relaxed));
    Tally::add(&slot.tally.missed, u64::from(expirations.wrapping_sub(weight)));

    // SAFETY: the mask that this handler runs with blocks neither signal beyond what was blocked.
    let mut running = pool
        .python
        .as_ref()
        .and_then(|python| unsafe { Running::here(python, interrupted.blocked) });
    let mut compiled =
        (runs_v8(pool, &origin, interrupted), runs_hotspot(pool, &origin, interrupted));
    let labels = running.as_mut().and_then(Running::labels);
    let labels = labels.or_else(|| compiled.0.as_mut().and_then(v8::Running::labels));
    let labels = labels.or_else(|| compiled.1.as_mut().and_then(hotspot::Running::labels));
    let labels = labels.unwrap_or_else(|| {
        // SAFETY: null, or a thread-local of the thread this handler runs on (`attach`).
        unsafe { origin.labels.as_ref() }.map_or(Labels::NONE, LabelCell::get)
    });
    let (_, id_count) = id_words(labels, origin.tid);
    let record = slot.ring().begin();
    let room = record.free().saturating_sub(HEADER_WORDS.wrapping_add(id_count));
    let depth = pool.limits.max_depth as usize;
    let proven = match origin.certain {
        true => slot.stack_low.load(Ordering::Relaxed)..slot.stack_high.load(Ordering::Relaxed),
        false => 0..0,
    };
    // SAFETY: the range is part of this thread's own stack (`learn_stack`), which stays mapped.
    let mut memory = unsafe { SelfMemory::trusting(proven) };
    let registers = interrupted.registers;
    let code = Code { modules: pool.modules(), runtime: &mut compiled };
    let walked = walk_with(code, registers, &mut memory, depth.min(room), |index, frame| {
        record.put(index.wrapping_add(HEADER_WORDS), frame);
    });
    let lost = compiled.0.is_some_and(|v8| v8.lost > 0)
        || compiled.1.is_some_and(|hotspot| hotspot.lost > 0);
    Tally::add(&slot.tally.unreadable, u64::from(lost));
    let mut full = walked.end == End::Depth && room < depth;
    let mut frames = walked.frames;
    if let (Some(known), Some(running)) = (&pool.known, &mut running) {
        if origin.certain {
            waiting::note(slot, running.state(), thread_state::identity());
        }
        let first = walked.frames.saturating_add(HEADER_WORDS);
        let room = room.saturating_sub(walked.frames).saturating_sub(1);
        // SAFETY: the handler to which the context was passed is still running.
        let contents = unsafe { arch::contents(interrupted.context) };
        let walked = running.walk(known, &contents, depth.min(room), |index, frame| {
            record.put(index.wrapping_add(first), frame);
        });
        full |= walked.truncated && room < depth;
        frames = frames.saturating_add(walked.frames);
        Tally::add(&slot.tally.unreadable, u64::from(walked.lost));
        Tally::add(&slot.tally.entering, u64::from(walked.restarted));
    }
    if full {
        Tally::add(&slot.tally.dropped, u64::from(weight));
        return;
    }
    if origin.certain {
        learn_stack(pool, slot, registers.sp, walked);
    }
    let (frames, end) = (frames as u16, walked.end);
    let (source, tid) = (origin.source, origin.tid);
    publish(slot, record, Header { frames, end, source, weight, labels, tid });
}

/// The isolate that the thread runs, if its frames are read.
#[inline(always)]
fn runs_v8<'pool>(
    pool: &'pool Pool,
    origin: &Origin<'pool>,
    interrupted: &Interrupted,
) -> Option<v8::Running<'pool, SelfMemory>> {
    let (Some(layout), Some(known)) = (&pool.v8, &pool.known) else { return None };
    let isolate = match origin.tid {
        Some(tid) => v8::find(tid),
        None => origin.slot.isolate.load(Ordering::Acquire).cast_const(),
    };
    // SAFETY: null, or an isolate of this thread, whose memory is never unmapped.
    let isolate = unsafe { isolate.as_ref() }?;
    // SAFETY: the mask that this handler runs with blocks neither signal beyond what was blocked.
    let memory = unsafe { SelfMemory::guarding(interrupted.blocked) };
    // SAFETY: the handler to which the context was passed is still running.
    let interpreter = unsafe { arch::interpreter(interrupted.context) };
    Some(v8::Running::new(layout, isolate, known, memory).interrupted(interpreter))
}

/// The thread as HotSpot knows it, if its frames are read. Code of HotSpot runs on its threads only.
#[inline(always)]
fn runs_hotspot<'pool>(
    pool: &'pool Pool,
    origin: &Origin<'pool>,
    interrupted: &Interrupted,
) -> Option<hotspot::Running<'pool, SelfMemory>> {
    let (Some(facts), Some(known)) = (pool.hotspot(), &pool.known) else { return None };
    let thread = match origin.tid {
        Some(tid) => hotspot::find(tid),
        None => origin.slot.java_thread.load(Ordering::Acquire),
    };
    // SAFETY: the mask that this handler runs with blocks neither signal beyond what was blocked.
    let memory = unsafe { SelfMemory::guarding(interrupted.blocked) };
    // SAFETY: the handler to which the context was passed is still running.
    let [r13, rbx, rax] = unsafe { arch::template_interpreter(interrupted.context) };
    let registers = hotspot::Interrupted { r13, rbx, rax };
    Some(hotspot::Running::new(facts, known, thread, memory).interrupted(registers))
}

/// Writes what belongs around the frames, and makes the sample visible.
#[inline(always)]
fn publish(slot: &Slot, record: Record<'_>, header: Header) {
    for (index, word) in header.words().into_iter().enumerate() {
        record.put(index, word);
    }
    let (ids, id_count) = id_words(header.labels, header.tid);
    let end = usize::from(header.frames).saturating_add(HEADER_WORDS);
    for (index, word) in ids.into_iter().take(id_count).enumerate() {
        record.put(end.wrapping_add(index), word);
    }
    record.publish(end.saturating_add(id_count));
    Tally::add(&slot.tally.samples, 1);
    Tally::add(&slot.tally.weight, u64::from(header.weight));
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

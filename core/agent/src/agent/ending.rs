//! The end of the process by `exit` or by returning from `main`: the last profile is delivered.
//!
//! `exit` may be called anywhere: in a signal handler, on the agent's own thread, while locks are
//! held by threads that are gone. So what runs there uses atomics, a try-lock and sleeping only,
//! and for a bounded time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// No agent runs, or it has done all it can.
const IDLE: u32 = 0;
/// An agent runs.
const RUNNING: u32 = 1;
/// The process ends and waits for the agent.
const ENDING: u32 = 2;

static PHASE: AtomicU32 = AtomicU32::new(IDLE);

/// The process that the rest is about: a forked child has a copy, and no such thread.
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// The agent's thread, which cannot wait for itself.
static AGENT: AtomicI32 = AtomicI32::new(0);

/// The same, to be woken.
static THREAD: Mutex<Option<Thread>> = Mutex::new(None);

/// How long the end is held up at most, in milliseconds.
static LIMIT: AtomicU64 = AtomicU64::new(0);

/// The readiness of the agent's thread to deliver a last profile.
#[derive(Debug)]
pub(super) struct Ending(());

impl Ending {
    /// From now on `exit` waits for the calling thread, for `limit` at most.
    pub(super) fn expect(limit: Duration) -> Self {
        static REGISTERED: AtomicBool = AtomicBool::new(false);
        LIMIT.store(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        AGENT.store(sondage_sampler::current_tid(), Ordering::Relaxed);
        PROCESS.store(std::process::id(), Ordering::Relaxed);
        // In a forked child the lock may have been left taken: then the agent looks up by itself.
        if let Ok(mut thread) = THREAD.try_lock() {
            *thread = Some(std::thread::current());
        }
        PHASE.store(RUNNING, Ordering::Release);
        if !REGISTERED.swap(true, Ordering::AcqRel) {
            sondage_sampler::at_exit(at_exit);
        }
        Self(())
    }

    /// Whether the process waits for its last profile.
    pub(super) fn is_near(&self) -> bool {
        PHASE.load(Ordering::Acquire) == ENDING
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        PHASE.store(IDLE, Ordering::Release);
    }
}

/// Delivers the last profile, as `exit` does by itself: for hosts that end their process by
/// `_exit`, which calls nobody. Waits for [`exit_timeout`](crate::Config::exit_timeout) at most;
/// where no agent runs, not at all. Afterwards this process is not profiled any more.
pub fn deliver_last() {
    at_exit();
}

extern "C" fn at_exit() {
    let ours = PROCESS.load(Ordering::Relaxed) == std::process::id()
        && AGENT.load(Ordering::Relaxed) != sondage_sampler::current_tid();
    let ending = || PHASE.compare_exchange(RUNNING, ENDING, Ordering::AcqRel, Ordering::Acquire);
    if !ours || ending().is_err() {
        return;
    }
    let latest = Instant::now() + Duration::from_millis(LIMIT.load(Ordering::Relaxed));
    let mut pause = Duration::from_micros(100);
    while PHASE.load(Ordering::Acquire) == ENDING && Instant::now() < latest {
        if let Ok(thread) = THREAD.try_lock()
            && let Some(thread) = thread.as_ref()
        {
            thread.unpark();
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(5));
    }
}

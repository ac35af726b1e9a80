//! What happens in a forked child.
//!
//! Right after the fork, in the C library's handler, only atomics are touched, one mapping is
//! released and listening sockets are closed: locks may be held by threads that do not exist in the child. The child's own agent
//! starts later, at the first call into this crate, from the remembered configuration.

use super::Running;
use crate::config::Config;
use crate::labels;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, Once, TryLockError};

/// The configuration of the running agent, for children.
static CONFIG: Mutex<Option<Config>> = Mutex::new(None);

/// The agent of a forked child; never used in a process that started its agent itself.
static CHILD: Mutex<Option<Running>> = Mutex::new(None);

/// Set in a forked child until it has tried to start its agent.
static PENDING: AtomicBool = AtomicBool::new(false);

/// Remembers what a child is to start with.
pub(super) fn remember(config: Config) {
    static HANDLER: Once = Once::new();
    HANDLER.call_once(|| {
        sondage_sampler::on_fork_in_child(in_child);
    });
    if let Some(mut remembered) = patiently() {
        *remembered = Some(config);
    }
}

/// The remembered configuration. In a child the lock may be held for ever, by a thread that is not
/// there; else it is held for microseconds.
fn patiently() -> Option<MutexGuard<'static, Option<Config>>> {
    const ATTEMPTS: u32 = 2_000;
    for _ in 0..ATTEMPTS {
        match CONFIG.try_lock() {
            Ok(remembered) => return Some(remembered),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => std::thread::yield_now(),
        }
    }
    None
}

/// The agent was changed: later children start like it.
pub(super) fn update(change: impl FnOnce(&mut Config)) {
    if let Some(config) = patiently().as_deref_mut().and_then(Option::as_mut) {
        change(config);
    }
}

/// The agent was stopped: later children start none.
pub(super) fn forget_config() {
    if let Some(mut remembered) = patiently() {
        *remembered = None;
    }
}

extern "C" fn in_child() {
    sondage_sampler::after_fork_in_child();
    PENDING.store(true, Ordering::Release);
    labels::process_forked();
}

/// Starts the child's agent if it is still to be started. Does not wait for it.
pub(crate) fn start_pending() {
    if !PENDING.load(Ordering::Acquire) || !PENDING.swap(false, Ordering::AcqRel) {
        return;
    }
    labels::sampler_stopped();
    crate::pipeline::forget_own_threads();
    // A lock that is taken now was taken by a thread of the parent, and stays so.
    let Ok(mut child) = CHILD.try_lock() else { return };
    std::mem::forget(child.take());
    let config = CONFIG.try_lock().ok().and_then(|config| config.clone());
    if let Some(config) = config
        && let Ok((running, _)) = Running::spawn(&config)
    {
        *child = Some(running);
    }
}

/// An agent is about to be started by hand. In a forked child that still was to start its own, it
/// takes that one's place.
pub(super) fn take_over() {
    if PENDING.swap(false, Ordering::AcqRel) {
        labels::sampler_stopped();
        crate::pipeline::forget_own_threads();
    }
}

/// Asks the child's agent, starting it first if need be.
pub(super) fn with_child<T>(ask: impl FnOnce(&Running) -> T) -> Option<T> {
    start_pending();
    CHILD.try_lock().ok()?.as_ref().map(ask)
}

/// Joins the child's agent after it was told to stop.
pub(super) fn end_child() {
    if let Ok(mut child) = CHILD.try_lock()
        && let Some(running) = child.take()
    {
        running.join();
    }
}

//! What a sink's thread and everyone else share.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::exporter::Options;
use super::inbox::Inbox;
use super::stats::ExportStats;
use crate::profile::Profile;

/// The queue before a sink, and what is known of it.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) inbox: Inbox,
    /// When set, what is not delivered by then is dropped.
    pub(super) stop: Option<Instant>,
    /// When set, everything is tried once without pauses, until then.
    hurry: Option<Instant>,
    /// The thread has, or may have, something to deliver.
    busy: bool,
    done: bool,
    stats: ExportStats,
}

impl State {
    /// Until when uploads may go on without pauses, where somebody waits for them.
    pub(super) fn latest(&self) -> Option<Instant> {
        self.stop.or(self.hurry)
    }

    fn is_idle(&self) -> bool {
        self.done || self.inbox.is_empty() && !self.busy
    }
}

impl Shared {
    pub(super) fn new(sink: String, options: &Options) -> Self {
        let inbox = Inbox::new(options.max_profiles, options.max_bytes);
        let stats = ExportStats { sink, ..ExportStats::default() };
        // Busy until the thread has looked at its spool.
        let state = State { inbox, stop: None, hurry: None, busy: true, done: false, stats };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change, at most until `deadline`.
    pub(super) fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        deadline: Option<Instant>,
    ) -> MutexGuard<'a, State> {
        let Some(deadline) = deadline else {
            return self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self.changed.wait_timeout(state, left);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    pub(super) fn submit(&self, profile: Arc<Profile>) {
        let mut state = self.lock();
        if state.done {
            state.stats.dropped_expired += 1;
            return;
        }
        let dropped = state.inbox.push(profile);
        state.stats.dropped_queue += dropped;
        drop(state);
        self.changed.notify_all();
    }

    /// The oldest profile that waits.
    pub(super) fn take(&self) -> Option<Arc<Profile>> {
        let mut state = self.lock();
        let profile = state.inbox.pop()?;
        state.busy = true;
        Some(profile)
    }

    /// There is nothing left to deliver.
    pub(super) fn set_idle(&self, state: &mut State) {
        (state.busy, state.hurry) = (false, None);
        self.changed.notify_all();
    }

    pub(super) fn stats(&self) -> ExportStats {
        let state = self.lock();
        let waiting = state.inbox.len() as u64 + u64::from(state.busy);
        ExportStats { waiting, ..state.stats.clone() }
    }

    pub(super) fn request_stop(&self, deadline: Instant) {
        self.lock().stop = Some(deadline);
        self.changed.notify_all();
    }

    /// The time to stop is now, whatever was asked for.
    pub(super) fn stop_now(&self) {
        self.lock().stop = Some(Instant::now());
    }

    /// Asks for everything to be tried without pauses until `deadline`.
    pub(super) fn request_hurry(&self, deadline: Instant) {
        let mut state = self.lock();
        if !state.is_idle() {
            state.hurry = Some(deadline);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// The time for going on without pauses may be over.
    pub(super) fn end_late_hurry(&self, state: &mut State, now: Instant) {
        if state.hurry.is_some_and(|until| now >= until) {
            self.end_hurry(state);
        }
    }

    /// Going on without pauses has become pointless.
    pub(super) fn end_hurry(&self, state: &mut State) {
        state.hurry = None;
        self.changed.notify_all();
    }

    /// A try has failed: whoever waits for a quick delivery waits no longer. Returns whether the
    /// thread is to stop.
    pub(super) fn fail_hurry(&self) -> bool {
        let mut state = self.lock();
        self.end_hurry(&mut state);
        state.stop.is_some()
    }

    /// Waits until nothing is left to deliver; whether that came before `deadline`.
    pub(super) fn wait_idle(&self, deadline: Instant) -> bool {
        self.wait_for(deadline, State::is_idle)
    }

    /// Waits until everything was tried that [`Shared::request_hurry`] asked for.
    pub(super) fn wait_hurried(&self, deadline: Instant) -> bool {
        self.wait_for(deadline, |state| state.hurry.is_none() || state.is_idle())
    }

    /// Waits until the thread is about to end; whether that came before `deadline`.
    pub(super) fn wait_done(&self, deadline: Instant) -> bool {
        self.wait_for(deadline, |state| state.done)
    }

    fn wait_for(&self, deadline: Instant, reached: fn(&State) -> bool) -> bool {
        let mut state = self.lock();
        while !reached(&state) {
            if Instant::now() >= deadline {
                return false;
            }
            state = self.wait(state, Some(deadline));
        }
        true
    }

    /// The thread ends.
    pub(super) fn finish(&self) {
        let mut state = self.lock();
        while state.inbox.pop().is_some() {
            state.stats.dropped_expired += 1;
        }
        (state.done, state.busy) = (true, false);
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut ExportStats)) {
        change(&mut self.lock().stats);
    }
}

//! One sink's thread: takes profiles from its queue, in order, and delivers them.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::backoff::Backoff;
use super::exporter::Options;
use super::inbox::Inbox;
use super::line::prefix;
use super::sink::{MAX_TRIES, PushError, Sink, Upload};
use super::stats::ExportStats;
use crate::profile::Profile;

/// The longest wait that a server, or the options, can ask for.
const MAX_WAIT: Duration = Duration::from_secs(3600);

/// How often an upload is halved: 64 pieces.
const MAX_SPLITS: u32 = 6;

/// Bytes of [`ExportStats::last_error`].
const MAX_MESSAGE: usize = 512;

/// What the sink's thread and everyone else share.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    inbox: Inbox,
    /// The thread has taken a profile and is not done with it.
    busy: bool,
    /// When set, what is not delivered by then is dropped.
    stop: Option<Instant>,
    done: bool,
    stats: ExportStats,
}

impl Shared {
    pub(super) fn new(sink: String, options: &Options) -> Self {
        let inbox = Inbox::new(options.max_profiles, options.max_bytes);
        let stats = ExportStats { sink, ..ExportStats::default() };
        let state = State { inbox, busy: false, stop: None, done: false, stats };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change, at most until `deadline`.
    fn wait<'a>(
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

    pub(super) fn stats(&self) -> ExportStats {
        self.lock().stats.clone()
    }

    pub(super) fn request_stop(&self, deadline: Instant) {
        self.lock().stop = Some(deadline);
        self.changed.notify_all();
    }

    /// Waits until nothing is left to deliver; whether that came before `deadline`.
    pub(super) fn wait_idle(&self, deadline: Instant) -> bool {
        self.wait_for(deadline, |state| state.done || state.inbox.is_empty() && !state.busy)
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

    fn finish(&self) {
        let mut state = self.lock();
        while state.inbox.pop().is_some() {
            state.stats.dropped_expired += 1;
        }
        (state.done, state.busy) = (true, false);
        drop(state);
        self.changed.notify_all();
    }

    fn count(&self, change: impl FnOnce(&mut ExportStats)) {
        change(&mut self.lock().stats);
    }
}

/// The thread of one sink.
pub(super) struct Lane {
    sink: Box<dyn Sink>,
    shared: Arc<Shared>,
    backoff: Backoff,
    push_timeout: Duration,
    /// No try before this, and whether the server asked for it.
    not_before: Option<(Instant, bool)>,
}

impl Lane {
    pub(super) fn new(sink: Box<dyn Sink>, shared: Arc<Shared>, options: &Options) -> Self {
        let backoff = Backoff::new(options.backoff_base, options.backoff_max.min(MAX_WAIT));
        let push_timeout = options.push_timeout.min(MAX_WAIT);
        Self { sink, shared, backoff, push_timeout, not_before: None }
    }

    /// The thread's body. Never panics: the host must not see a failing sink.
    pub(super) fn run(mut self) {
        let shared = self.shared.clone();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            while let Some(profile) = self.next() {
                self.deliver(profile);
            }
        }));
        if outcome.is_err() {
            shared.count(|stats| stats.panicked += 1);
        }
        shared.finish();
    }

    /// The next profile; `None` when it is time to end.
    fn next(&self) -> Option<Arc<Profile>> {
        let mut state = self.shared.lock();
        if std::mem::take(&mut state.busy) {
            self.shared.changed.notify_all();
        }
        loop {
            if state.stop.is_some_and(|stop| state.inbox.is_empty() || Instant::now() >= stop) {
                return None;
            }
            if let Some(profile) = state.inbox.pop() {
                state.busy = true;
                return Some(profile);
            }
            state = self.shared.wait(state, None);
        }
    }

    fn deliver(&mut self, profile: Arc<Profile>) {
        let encoded = catch_unwind(AssertUnwindSafe(|| self.sink.encode(&profile)));
        // Only the uploads are kept while they are retried: they are far smaller.
        drop(profile);
        let uploads = match encoded {
            Ok(Ok(uploads)) => uploads,
            Ok(Err(error)) => {
                return self.failed(&error.to_string(), |stats| stats.dropped_rejected += 1);
            }
            Err(_) => return self.failed("the encoder panicked", |stats| stats.panicked += 1),
        };
        let mut pending: VecDeque<_> = uploads.into_iter().map(|upload| (upload, 0)).collect();
        while let Some((upload, splits)) = pending.pop_front() {
            let halves = self.settle(&upload, splits < MAX_SPLITS);
            for half in halves.into_iter().rev() {
                pending.push_front((half, splits + 1));
            }
        }
    }

    /// Tries until the upload is delivered or given up. What it returns is to be delivered in its
    /// place.
    fn settle(&mut self, upload: &Upload, may_split: bool) -> Vec<Upload> {
        if let Some(note) = &upload.note {
            self.shared.count(|stats| stats.note = Some(note.clone()));
        }
        for tries in 1..=MAX_TRIES {
            let Some(deadline) = self.wait_turn(upload) else {
                self.shared.count(|stats| stats.dropped_expired += 1);
                break;
            };
            let pushed = catch_unwind(AssertUnwindSafe(|| self.sink.push(upload, deadline)));
            let error = match pushed {
                Ok(Ok(())) => {
                    self.shared.count(|stats| stats.pushed += 1);
                    break;
                }
                Ok(Err(error)) => error,
                Err(_) => {
                    self.failed("the sink panicked", |stats| stats.panicked += 1);
                    break;
                }
            };
            match &error {
                PushError::Retry { after, max_tries, .. } => {
                    self.set_pause(tries, *after);
                    if !self.tries_again(&error, tries < MAX_TRIES.min(*max_tries)) {
                        break;
                    }
                }
                PushError::TooLarge { .. } => return self.split(upload, &error, may_split),
                _ => {
                    self.give_up(&error);
                    break;
                }
            }
        }
        Vec::new()
    }

    /// Counts a failure that may heal; whether there is to be another try.
    fn tries_again(&self, error: &PushError, may: bool) -> bool {
        let may = may && self.shared.lock().stop.is_none();
        self.failed(error.message(), |stats| match may {
            true => stats.retried += 1,
            false => stats.dropped_expired += 1,
        });
        may
    }

    fn give_up(&self, error: &PushError) {
        self.failed(error.message(), |stats| match error {
            PushError::Ambiguous { .. } => stats.ambiguous += 1,
            _ => stats.dropped_rejected += 1,
        });
    }

    fn split(&mut self, upload: &Upload, error: &PushError, may: bool) -> Vec<Upload> {
        let halves = if may { self.halves(upload) } else { Vec::new() };
        self.failed(error.message(), |stats| match halves.is_empty() {
            true => stats.dropped_rejected += 1,
            false => stats.split += 1,
        });
        halves
    }

    fn halves(&mut self, upload: &Upload) -> Vec<Upload> {
        catch_unwind(AssertUnwindSafe(|| self.sink.split(upload))).unwrap_or_default()
    }

    /// Waits until the next try may begin and returns its deadline; `None` when the upload is not
    /// to be tried any more.
    fn wait_turn(&mut self, upload: &Upload) -> Option<Instant> {
        let mut state = self.shared.lock();
        loop {
            let now = Instant::now();
            if state.stop.is_some_and(|stop| now >= stop) {
                return None;
            }
            let pause = self.not_before.filter(|(until, _)| now < *until);
            if self.is_too_old(upload, pause.map(|(until, _)| until - now)) {
                let message =
                    format!("{}: too old for the server by the next try", self.sink.name());
                state.stats.last_error = Some(message);
                return None;
            }
            match (pause, state.stop) {
                (None, stop) => {
                    let deadline = now + self.push_timeout;
                    return Some(stop.map_or(deadline, |stop| stop.min(deadline)));
                }
                // The last chance: our own pause ends, one that the server asked for does not.
                (Some((until, true)), Some(stop)) if until >= stop => return None,
                (Some((_, false)), Some(_)) => self.not_before = None,
                (Some((until, _)), _) => state = self.shared.wait(state, Some(until)),
            }
        }
    }

    fn is_too_old(&self, upload: &Upload, wait: Option<Duration>) -> bool {
        let (Some(max), Some(start)) = (self.sink.max_age(), upload.start_unix_nanos) else {
            return false;
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let age = now.saturating_sub(Duration::from_nanos(start));
        age.saturating_add(wait.unwrap_or_default()) > max
    }

    fn set_pause(&mut self, tries: u32, after: Option<Duration>) {
        let own = self.backoff.after(tries);
        let pause = after.map_or(own, |after| after.min(MAX_WAIT));
        self.not_before = Some((Instant::now() + pause, after.is_some()));
    }

    fn failed(&self, message: &str, count: impl FnOnce(&mut ExportStats)) {
        let message = format!("{}: {message}", self.sink.name());
        self.shared.count(|stats| {
            count(stats);
            stats.last_error = Some(prefix(&message, MAX_MESSAGE).to_owned());
        });
    }
}

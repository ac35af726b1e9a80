//! One sink's thread: takes profiles from its queue, in order, and delivers them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::backoff::Backoff;
use super::exporter::Options;
use super::line::prefix;
use super::pending::Pending;
use super::shared::{Shared, State};
use super::sink::{MAX_TRIES, PushError, Sink, Upload};
use super::spool::Spool;
use super::stats::ExportStats;
use crate::profile::Profile;

/// The longest wait that a server, or the options, can ask for.
const MAX_WAIT: Duration = Duration::from_secs(3600);

/// How often an upload is halved: 64 pieces.
const MAX_SPLITS: u32 = 6;

/// Uploads on disk beyond which deliveries are paced.
const MAX_UNPACED: u64 = 4;

/// Bytes of [`ExportStats::last_error`].
const MAX_MESSAGE: usize = 512;

/// The thread of one sink.
pub(super) struct Lane {
    sink: Box<dyn Sink>,
    shared: Arc<Shared>,
    pending: Pending,
    backoff: Backoff,
    push_timeout: Duration,
    /// No try before this, and whether the server asked for it.
    not_before: Option<(Instant, bool)>,
}

/// What to do next.
enum Turn {
    /// There is a profile that may be encoded.
    Encode,
    /// Send the first upload, until then.
    Try(Instant),
    /// Drop the first upload: the server would not take it any more.
    TooOld,
    End,
}

impl Lane {
    pub(super) fn new(sink: Box<dyn Sink>, shared: Arc<Shared>, options: &Options) -> Self {
        let spool = options.spool.as_ref().filter(|_| !sink.is_local()).map(|spool| {
            Spool::new(&spool.dir, spool.max_bytes, &spool.service, &sink.name())
                .resending(sink.deduplicates())
        });
        let backoff = Backoff::new(options.backoff_base, options.backoff_max.min(MAX_WAIT));
        let push_timeout = options.push_timeout.min(MAX_WAIT);
        let pending = Pending::new(spool);
        Self { sink, shared, pending, backoff, push_timeout, not_before: None }
    }

    /// The thread's body. Never panics: the host must not see a failing sink.
    pub(super) fn run(mut self) {
        let outcome = catch_unwind(AssertUnwindSafe(|| while self.step() {}));
        if outcome.is_err() {
            self.shared.count(|stats| stats.panicked += 1);
        }
        let lost = self.pending.give_up();
        self.report_spool();
        self.shared.count(|stats| stats.dropped_expired += lost);
        self.shared.finish();
    }

    /// Does what is next; `false` when that is to end.
    fn step(&mut self) -> bool {
        while self.pending.has_room()
            && let Some(profile) = self.shared.take()
        {
            self.encode(profile);
        }
        self.pending.load();
        self.report_spool();
        match self.turn() {
            Turn::Encode => {}
            Turn::Try(deadline) => self.attempt(deadline),
            Turn::TooOld => {
                let message = "too old for the server by the next try";
                self.settle_failed(message, |stats| stats.dropped_expired += 1);
            }
            Turn::End => return false,
        }
        true
    }

    /// Only uploads are kept while they wait: they are far smaller than profiles.
    fn encode(&mut self, profile: Arc<Profile>) {
        match catch_unwind(AssertUnwindSafe(|| self.sink.encode(&profile))) {
            Ok(Ok(uploads)) => uploads.into_iter().for_each(|upload| self.pending.add(upload)),
            Ok(Err(error)) => {
                self.failed(&error.to_string(), |stats| stats.dropped_rejected += 1);
            }
            Err(_) => self.failed("the encoder panicked", |stats| stats.panicked += 1),
        }
    }

    /// Waits until there is something to do.
    fn turn(&mut self) -> Turn {
        let shared = self.shared.clone();
        let mut state = shared.lock();
        loop {
            let now = Instant::now();
            if state.stop.is_some_and(|stop| now >= stop) {
                return Turn::End;
            }
            shared.end_late_hurry(&mut state, now);
            if !state.inbox.is_empty() && self.pending.has_room() {
                return Turn::Encode;
            }
            let Some(first) = self.pending.first() else {
                shared.set_idle(&mut state);
                if state.stop.is_some() {
                    return Turn::End;
                }
                state = shared.wait(state, None);
                continue;
            };
            let pause = self.not_before.filter(|(until, _)| now < *until);
            if self.is_too_old(&first.upload, pause.map(|(until, _)| until - now)) {
                return Turn::TooOld;
            }
            let latest = state.latest();
            match (pause, latest) {
                (None, latest) => {
                    let deadline = now + self.push_timeout;
                    return Turn::Try(latest.map_or(deadline, |latest| latest.min(deadline)));
                }
                // The last chance: our own pause ends, one that the server asked for does not.
                (Some((until, true)), Some(latest)) if until >= latest => {
                    if let Some(turn) = self.hopeless(&mut state) {
                        return turn;
                    }
                }
                (Some((_, false)), Some(_)) => self.not_before = None,
                (Some((until, _)), _) => state = shared.wait(state, Some(until)),
            }
        }
    }

    /// Nothing can be delivered in the time that is left.
    fn hopeless(&self, state: &mut State) -> Option<Turn> {
        match state.stop {
            Some(_) => Some(Turn::End),
            None => {
                self.shared.end_hurry(state);
                None
            }
        }
    }

    /// Sends the first upload.
    fn attempt(&mut self, deadline: Instant) {
        self.pending.begin();
        let Some(piece) = self.pending.first() else { return };
        let upload = &piece.upload;
        if let Some(note) = &upload.note {
            self.shared.count(|stats| stats.note = Some(note.clone()));
        }
        match catch_unwind(AssertUnwindSafe(|| self.sink.push(upload, deadline))) {
            Ok(Ok(())) => {
                let pace = self.backoff.delivered();
                self.pending.settle(true);
                self.shared.count(|stats| stats.pushed += 1);
                if self.pending.spool().is_some_and(|spool| spool.waiting() > MAX_UNPACED) {
                    self.not_before = Some((Instant::now() + pace, false));
                }
            }
            Ok(Err(error)) => self.judge(&error),
            Err(_) => self.settle_failed("the sink panicked", |stats| stats.panicked += 1),
        }
    }

    /// Decides what becomes of the first upload after a failure.
    fn judge(&mut self, error: &PushError) {
        match error {
            PushError::Retry { after, max_tries, .. } => self.pause(error, *after, *max_tries),
            PushError::Ambiguous { .. } if self.sink.deduplicates() => {
                self.pause(error, None, MAX_TRIES);
            }
            PushError::Ambiguous { message } => {
                self.settle_failed(message, |stats| stats.ambiguous += 1);
            }
            PushError::TooLarge { message } => self.split(message),
            PushError::Rejected { message } => {
                self.backoff.answered();
                self.settle_failed(message, |stats| stats.dropped_rejected += 1);
            }
        }
    }

    /// A failure that may heal.
    fn pause(&mut self, error: &PushError, after: Option<Duration>, max_tries: u32) {
        let own = self.backoff.failed();
        let pause = after.map_or(own, |after| after.min(MAX_WAIT));
        self.not_before = Some((Instant::now() + pause, after.is_some()));
        let tries = self.pending.first().map_or(0, |piece| piece.tries);
        let stopping = self.shared.fail_hurry();
        let stored = self.pending.outlives_process();
        // On disk an upload waits as long as the server may take it, unless the failure may be the
        // upload's own fault.
        let patient = stored && max_tries >= MAX_TRIES;
        let limit = if patient { u32::MAX } else { max_tries.min(MAX_TRIES) };
        if tries < limit && (stored || !stopping) {
            self.pending.keep();
            self.failed(error.message(), |stats| stats.retried += u64::from(!stopping));
            if stopping {
                self.shared.stop_now();
            }
        } else {
            self.settle_failed(error.message(), |stats| stats.dropped_expired += 1);
        }
    }

    fn split(&mut self, message: &str) {
        self.backoff.answered();
        let Some(first) = self.pending.first() else { return };
        let sink = &mut self.sink;
        let halves = match first.splits {
            MAX_SPLITS.. => Vec::new(),
            _ => catch_unwind(AssertUnwindSafe(|| sink.split(&first.upload))).unwrap_or_default(),
        };
        if halves.is_empty() {
            return self.settle_failed(message, |stats| stats.dropped_rejected += 1);
        }
        self.pending.split(halves);
        self.failed(message, |stats| stats.split += 1);
    }

    fn is_too_old(&self, upload: &Upload, wait: Option<Duration>) -> bool {
        let (Some(max), Some(start)) = (self.sink.max_age(), upload.start_unix_nanos) else {
            return false;
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let age = now.saturating_sub(Duration::from_nanos(start));
        age.saturating_add(wait.unwrap_or_default()) > max
    }

    fn settle_failed(&mut self, message: &str, count: impl FnOnce(&mut ExportStats)) {
        self.pending.settle(false);
        self.failed(message, count);
    }

    fn failed(&self, message: &str, count: impl FnOnce(&mut ExportStats)) {
        let message = format!("{}: {message}", self.sink.name());
        self.shared.count(|stats| {
            count(stats);
            stats.last_error = Some(prefix(&message, MAX_MESSAGE).to_owned());
        });
    }

    /// Brings the counters up to date with what happened on disk.
    fn report_spool(&mut self) {
        let Some(spool) = self.pending.spool() else { return };
        let (tally, error) = spool.report();
        let waiting = spool.waiting();
        self.shared.count(|stats| {
            stats.spooled = waiting;
            stats.replayed += tally.replayed;
            stats.ambiguous += tally.ambiguous;
            stats.damaged += tally.damaged;
            stats.dropped_spool += tally.dropped;
            stats.spool_errors += tally.errors;
        });
        if let Some(error) = error {
            self.failed(&error, |_| ());
        }
    }
}

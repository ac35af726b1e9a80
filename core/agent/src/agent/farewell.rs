//! What is arranged for the end of the process, where there is anybody to tell.

use super::ending::Ending;
use sondage_sampler::Termination;
use std::time::{Duration, Instant};

/// The longest that an end may be held up.
const MAX_LIMIT: Duration = Duration::from_secs(30);

/// See the module's description. Dropped, nothing is arranged any more, and a SIGTERM that came
/// meanwhile takes its effect.
pub(super) struct Farewell {
    /// `None` where SIGTERM is the host's.
    termination: Option<Termination>,
    ending: Ending,
    /// How long the end may be held up.
    limit: Duration,
}

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// By `exit`, which waits.
    Exit,
    /// By SIGTERM, which is still to be passed on.
    Termination,
}

impl Farewell {
    /// To be called on the thread that `exit` is to wake and to wait for.
    pub(super) fn arrange(limit: Duration) -> Self {
        // A configuration made by hand may hold anything.
        let limit = limit.min(MAX_LIMIT);
        Self { termination: Termination::install(limit), ending: Ending::expect(limit), limit }
    }

    /// Whether the process is about to end.
    pub(super) fn is_near(&self) -> Option<End> {
        if self.ending.is_near() {
            return Some(End::Exit);
        }
        let terminated = self.termination.as_ref().is_some_and(Termination::is_requested);
        terminated.then_some(End::Termination)
    }

    /// When the end comes, whatever is still to do.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.limit
    }

    /// Lets the SIGTERM that came take its effect.
    pub(super) fn pass_on(&self) {
        if let Some(termination) = &self.termination {
            termination.pass_on();
        }
    }
}

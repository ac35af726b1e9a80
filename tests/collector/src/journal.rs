//! All that came and all that is still to go wrong, shared by the connections and the handle.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::fault::Schedule;
use crate::record::{Profile, Refused, Seen};
use crate::request::Verdict;

pub(crate) struct Journal {
    start: Instant,
    pages: Mutex<Pages>,
}

#[derive(Default)]
pub(crate) struct Pages {
    pub(crate) profiles: Vec<Profile>,
    pub(crate) refused: Vec<Refused>,
    pub(crate) seen: Vec<Seen>,
    pub(crate) faults: Schedule,
}

impl Journal {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), pages: Mutex::default() }
    }

    pub(crate) fn open(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn millis(&self) -> u128 {
        self.start.elapsed().as_millis()
    }
}

impl Pages {
    /// Stores what was accepted and what was refused.
    pub(crate) fn enter(&mut self, path: &str, verdict: &Verdict) {
        for profile in &verdict.accepted {
            match self.profiles.iter_mut().find(|known| known.is_repeated_by(profile)) {
                Some(known) => known.count += 1,
                None => self.profiles.push(profile.clone()),
            }
        }
        let refused = verdict.refused.iter().map(|refusal| Refused {
            path: path.to_owned(),
            status: refusal.status,
            reason: refusal.reason.clone(),
        });
        self.refused.extend(refused);
    }

    /// Forgets all that came; faults to come stay.
    pub(crate) fn clear(&mut self) {
        self.profiles.clear();
        self.refused.clear();
        self.seen.clear();
    }
}

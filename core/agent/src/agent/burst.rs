//! A higher rate for a while.

use super::status::BurstStatus;
use super::window::MAX_SAMPLES;
use crate::config::Config;
use crate::error::{Error, ErrorKind};
use crate::profile::Profile;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// How long a burst may take.
const DURATIONS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(300);

/// How long the profile of a burst waits for who asked for it.
const KEPT: Duration = Duration::from_secs(60);

/// The label of every profile of a burst; its value is the rate that was asked for.
const LABEL: &str = "sondage_burst";

/// What to do for a while.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Burst {
    pub(crate) hz: u32,
    pub(crate) duration: Duration,
    /// Whether the profile is kept until it is asked for.
    pub(crate) keep: bool,
}

impl Burst {
    pub(super) fn checked(self) -> Result<Self, Error> {
        Config::builder().hz(self.hz).build()?;
        if !DURATIONS.contains(&self.duration) {
            let message = format!("duration is {:?}; allowed: 100ms to 5m", self.duration);
            return Err(Error::invalid(message));
        }
        Ok(self)
    }
}

/// The answer to who asks for a burst's profile.
#[derive(Debug)]
pub(crate) enum Taken {
    /// The burst still runs.
    Pending,
    /// It has ended. The profile is given away.
    Profile(Box<Profile>),
    /// There was none of this number, or its profile was taken, waited too long or became too large.
    Gone,
}

#[derive(Debug)]
struct Running {
    number: u64,
    hz: u32,
    until: Instant,
    /// What the burst has collected, if it is to be kept.
    profile: Option<Profile>,
}

/// The burst that runs, if one does, and the profile of the last.
#[derive(Debug, Default)]
pub(super) struct Bursts {
    running: Option<Running>,
    kept: Option<(u64, Profile, Instant)>,
    last: u64,
}

impl Bursts {
    /// The number of a new burst, which runs from now on.
    pub(super) fn start(&mut self, burst: Burst, now: Instant) -> Result<u64, Error> {
        if self.running.is_some() {
            return Err(Error::new(ErrorKind::Busy, "a burst runs already"));
        }
        self.last += 1;
        let profile = burst.keep.then(|| Profile::new(Vec::new()));
        let until = now + burst.duration;
        self.running = Some(Running { number: self.last, hz: burst.hz, until, profile });
        Ok(self.last)
    }

    /// The rate, while one runs.
    pub(super) fn hz(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.hz)
    }

    pub(super) fn until(&self) -> Option<Instant> {
        self.running.as_ref().map(|running| running.until)
    }

    /// For [`Status`](super::Status).
    pub(super) fn status(&self) -> Option<BurstStatus> {
        self.hz().map(|hz| BurstStatus { hz, remaining_ms: 0 })
    }

    /// Marks a profile of the burst that runs, and adds it to what is kept.
    pub(super) fn mark(&mut self, profile: &mut Profile) {
        let Some(running) = &mut self.running else { return };
        profile.meta.labels.push((LABEL.to_owned(), running.hz.to_string()));
    }

    /// Adds a finished profile to what is kept of the burst that runs. What becomes too large is
    /// not kept.
    pub(super) fn add(&mut self, profile: &Profile) {
        let Some(running) = &mut self.running else { return };
        if let Some(kept) = &mut running.profile {
            kept.merge(profile);
        }
        running.profile.take_if(|kept| kept.samples().len() > MAX_SAMPLES);
    }

    /// No burst runs any more.
    pub(super) fn end(&mut self, now: Instant) {
        if let Some(Running { number, profile: Some(profile), .. }) = self.running.take() {
            self.kept = Some((number, profile, now + KEPT));
        }
    }

    /// When the profile of the last burst has waited long enough.
    pub(super) fn forget_at(&self) -> Option<Instant> {
        self.kept.as_ref().map(|(_, _, until)| *until)
    }

    pub(super) fn forget(&mut self, now: Instant) {
        if self.forget_at().is_some_and(|until| now >= until) {
            self.kept = None;
        }
    }

    /// Gives the profile of a burst away.
    pub(super) fn take(&mut self, number: u64) -> Taken {
        if self.running.as_ref().is_some_and(|running| running.number == number) {
            return Taken::Pending;
        }
        match self.kept.take_if(|(kept, _, _)| *kept == number) {
            Some((_, profile, _)) => Taken::Profile(Box::new(profile)),
            None => Taken::Gone,
        }
    }
}

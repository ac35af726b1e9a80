//! Who wants the profile of exactly the next seconds.

use crate::error::{Error, ErrorKind};
use crate::profile::Profile;
use std::fmt;
use std::sync::Weak;
use std::time::{Duration, Instant};

/// Windows that are open at once.
const MAX_WINDOWS: usize = 8;

/// Windows that are opened within [`SPELL`]. Each costs two flushes, and every flush is an upload to
/// each target: who asks and goes away without end must not fill their queues.
const MAX_OPENINGS: u32 = 32;
const SPELL: Duration = Duration::from_secs(10);

/// Samples of a profile that is put together of many, by windows and bursts: some 60 MB. Where each
/// request has a span, each sample is one of its own.
pub(super) const MAX_SAMPLES: usize = 1 << 17;

/// A stretch of time from now on, and where its profile goes.
pub(crate) struct Window {
    pub(crate) duration: Duration,
    /// Gone when nobody waits any more.
    pub(crate) waiting: Weak<()>,
    pub(crate) deliver: Box<dyn FnOnce(Result<Profile, Error>) + Send>,
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Window({:?})", self.duration)
    }
}

#[derive(Debug)]
struct Open {
    until: Instant,
    profile: Profile,
    window: Window,
}

/// The open windows. A window opens and closes with a flush, so every profile in between is
/// wholly in it; the same profiles go to the targets.
#[derive(Debug, Default)]
pub(super) struct Windows {
    open: Vec<Open>,
    /// When the spell began, and how many were opened in it.
    spell: Option<(Instant, u32)>,
}

impl Windows {
    /// Whether one more may be opened; tells the one who asks if not.
    pub(super) fn admit(&mut self, window: Window, sampling: bool, now: Instant) -> Option<Window> {
        self.open.retain(|open| open.window.waiting.strong_count() > 0);
        let spell = self.spell.filter(|(begin, _)| now.duration_since(*begin) < SPELL);
        let (begin, openings) = spell.unwrap_or((now, 0));
        let refusal = match () {
            () if !sampling => "profiling is off in this process",
            () if self.open.len() >= MAX_WINDOWS || openings >= MAX_OPENINGS => {
                "too many profiles are being taken"
            }
            () => {
                self.spell = Some((begin, openings + 1));
                return Some(window);
            }
        };
        (window.deliver)(Err(Error::new(ErrorKind::Busy, refusal)));
        None
    }

    /// Opens a window, right after a flush.
    pub(super) fn open(&mut self, window: Window, now: Instant) {
        let until = now + window.duration;
        self.open.push(Open { until, profile: Profile::new(Vec::new()), window });
    }

    /// When the next one closes.
    pub(super) fn next(&self) -> Option<Instant> {
        self.open.iter().map(|open| open.until).min()
    }

    /// Adds a finished profile to every open window. One that becomes too large is given up.
    pub(super) fn add(&mut self, profile: &Profile) {
        self.open.iter_mut().for_each(|open| open.profile.merge(profile));
        let too_large = |open: &mut Open| open.profile.samples().len() > MAX_SAMPLES;
        for open in self.open.extract_if(.., too_large) {
            let message = format!("more than {MAX_SAMPLES} samples: ask for fewer seconds");
            (open.window.deliver)(Err(Error::too_large(message)));
        }
    }

    /// Closes those whose time is over, right after a flush.
    pub(super) fn close(&mut self, now: Instant) {
        for open in self.open.extract_if(.., |open| now >= open.until) {
            (open.window.deliver)(Ok(open.profile));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::ValueType;
    use std::sync::{Arc, mpsc};

    /// A profile of so many samples, none of which is like another of any number.
    fn spans(from: usize, count: usize) -> Profile {
        let mut profile = Profile::new(vec![ValueType::new("samples", "count")]);
        let location = profile.named_location("f");
        let stack = profile.stack(&[location]);
        for number in from..from + count {
            let set = profile.label_set([("span_id", number.to_string().as_str())]);
            profile.add(stack, set, &[1]);
        }
        profile
    }

    #[test]
    fn a_window_that_becomes_too_large_is_given_up_and_says_so() {
        let waiting = Arc::new(());
        let (deliver, delivered) = mpsc::channel();
        let window = Window {
            duration: Duration::from_secs(300),
            waiting: Arc::downgrade(&waiting),
            deliver: Box::new(move |profile| deliver.send(profile).unwrap()),
        };
        let mut windows = Windows::default();
        windows.open(window, Instant::now());
        windows.add(&spans(0, MAX_SAMPLES));
        assert!(delivered.try_recv().is_err());
        windows.add(&spans(MAX_SAMPLES, 1));
        let error = delivered.try_recv().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert!(windows.next().is_none());
    }
}

//! `sondage top --push`: of a process that hands its profiles out.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use sondage::export::Source;
use sondage::profile::Profile;

use super::top::Screen;
use crate::args;
use crate::error::Error;
use crate::inputs;
use crate::signals::Signals;

/// Between two looks at whether to end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Seconds that a server may be asked for.
const SECONDS: (f64, f64) = (1.0, 300.0);

/// Fetches a profile of each interval and prints its heaviest functions.
pub(super) fn run(options: &args::Top, url: &str) -> Result<u8, Error> {
    let each = match options.duration {
        Some(duration) if options.once => duration,
        Some(duration) => duration.min(options.interval),
        None => options.interval,
    };
    let seconds = each.as_secs_f64().ceil().clamp(SECONDS.0, SECONDS.1) as u64;
    let source = Arc::new(inputs::source(url, seconds)?);
    let interrupt = Signals::take_ending()?;
    let end = options.duration.map(|duration| Instant::now() + duration);
    let screen = Screen::new(options);
    loop {
        let begun = Instant::now();
        let Some(profile) = fetch(&source, &interrupt)? else { return Ok(0) };
        let service = profile.title().escape_debug().to_string();
        screen.draw(&format!("{service} at {source}"), &profile)?;
        if options.once || end.is_some_and(|end| Instant::now() >= end) {
            return Ok(0);
        }
        // A URL with a path of its own may answer at once.
        while let left = each.saturating_sub(begun.elapsed())
            && !left.is_zero()
        {
            if interrupt.has_come() {
                return Ok(0);
            }
            interrupt.wait(left.min(LOOK_EVERY))?;
        }
    }
}

/// A profile, unless a signal comes while it is waited for.
fn fetch(source: &Arc<Source>, interrupt: &Signals) -> Result<Option<Profile>, Error> {
    let (deliver, delivered) = mpsc::channel();
    let source = source.clone();
    std::thread::spawn(move || drop(deliver.send(source.fetch())));
    loop {
        match delivered.recv_timeout(LOOK_EVERY) {
            Ok(fetched) => {
                return fetched.map(Some).map_err(|error| Error::new(error.to_string()));
            }
            Err(RecvTimeoutError::Timeout) if interrupt.has_come() => return Ok(None),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::new("the profile could not be fetched"));
            }
        }
    }
}

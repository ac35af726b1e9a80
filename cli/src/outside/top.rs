//! `sondage top`.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use sondage::profile::Profile;
use sondage_remote::Recorder;

use super::record::table;
use crate::args;
use crate::error::Error;
use crate::output;
use crate::signals::Signals;

/// Moves to the upper left corner of a terminal and clears what is there.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// Where tables are printed, and how long they are.
pub(super) struct Screen {
    on_terminal: bool,
    top: usize,
}

impl Screen {
    pub(super) fn new(options: &args::Top) -> Self {
        let on_terminal = std::io::stdout().is_terminal() && !options.once;
        Self { on_terminal, top: options.top }
    }

    /// The heaviest functions of `whose` profile: on a terminal in place of those before.
    pub(super) fn draw(&self, whose: &str, profile: &Profile) -> Result<(), Error> {
        let cpu = profile.column("cpu").map_or(0, |column| profile.total(column));
        let share = cpu as f64 / 1e7 / profile.meta.duration.as_secs_f64().max(1e-9);
        let clear = if self.on_terminal { CLEAR } else { "" };
        let head = format!("{whose}: {share:.0} % of one core\n");
        output::print(&format!("{clear}{head}{}", table(profile, self.top)))?;
        Ok(())
    }
}

/// Prints the heaviest functions again and again.
pub(crate) fn run(options: &args::Top) -> Result<u8, Error> {
    match (options.pid, &options.push) {
        (Some(pid), _) => sampled(options, pid),
        (None, Some(url)) => super::fetched::run(options, url),
        (None, None) => Err(Error::usage("a PID or --push is needed")),
    }
}

/// Of a process that is sampled from outside.
fn sampled(options: &args::Top, pid: u32) -> Result<u8, Error> {
    let process = super::open(pid)?;
    let mut recorder = Recorder::new(process, options.hz, false);
    let interrupt = Signals::take_ending()?;
    let whose = format!("process {pid}, {}", super::program(pid).escape_debug());
    let screen = Screen::new(options);
    let begun = Instant::now();
    let end = options.duration.map(|duration| begun + duration);
    let mut interrupted = false;
    loop {
        let mut until = Instant::now() + options.interval;
        match (options.once, end) {
            (true, Some(end)) => until = end,
            (_, Some(end)) => until = until.min(end),
            _ => {}
        }
        let has_come = std::cell::Cell::new(false);
        let look = || {
            has_come.set(has_come.get() || interrupt.has_come());
            has_come.get()
        };
        let goes_on = recorder.run(until, &look).map_err(super::failed)?;
        interrupted |= has_come.get();
        if interrupted && screen.on_terminal {
            return Ok(0);
        }
        screen.draw(&whose, &recorder.finish())?;
        if !goes_on {
            output::say(&format!("process {pid} has ended"));
            return Ok(0);
        }
        let is_over = end.is_some_and(|end| Instant::now() + Duration::from_millis(1) >= end);
        if options.once || interrupted || is_over {
            return Ok(0);
        }
    }
}

//! `sondage top`.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use sondage_remote::Recorder;

use super::record::table;
use crate::args;
use crate::error::Error;
use crate::output;
use crate::signals::Signals;

/// Moves to the upper left corner of a terminal and clears what is there.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// Prints the heaviest functions again and again.
pub(crate) fn run(options: &args::Top) -> Result<u8, Error> {
    let process = super::open(options.pid)?;
    let mut recorder = Recorder::new(process, options.hz, false);
    let interrupt = Signals::take_ending()?;
    let program = super::program(options.pid);
    let on_terminal = std::io::stdout().is_terminal() && !options.once;
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
        if interrupted && on_terminal {
            return Ok(0);
        }
        let profile = recorder.finish();
        let cpu = profile.column("cpu").map_or(0, |column| profile.total(column));
        let share = cpu as f64 / 1e7 / profile.meta.duration.as_secs_f64().max(1e-9);
        let head = format!(
            "process {}, {}: {share:.0} % of one core\n",
            options.pid,
            program.escape_debug()
        );
        let clear = if on_terminal { CLEAR } else { "" };
        output::print(&format!("{clear}{head}{}", table(&profile, options.top)))?;
        if !goes_on {
            output::say(&format!("process {} has ended", options.pid));
            return Ok(0);
        }
        let is_over = end.is_some_and(|end| Instant::now() + Duration::from_millis(1) >= end);
        if options.once || interrupted || is_over {
            return Ok(0);
        }
    }
}

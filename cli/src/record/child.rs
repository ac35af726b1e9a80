//! The recorded program, and what signals mean for it and us.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{self, Command, ExitStatus};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeValLike;
use nix::unistd::Pid;

use super::injected::Injected;
use super::session::Session;
use crate::error::Error;
use crate::output;
use crate::signals::Signals;

/// What is looked at even if no signal tells of it.
const LOOK: Duration = Duration::from_secs(1);

/// Signals that end a program by default and that we outlive.
const ENDING: [Signal; 4] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];

/// The running program.
#[derive(Debug)]
pub(crate) struct Child {
    process: process::Child,
    signals: Signals,
    interrupts: u32,
    cpu_before: Duration,
}

/// Something to act on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The program has ended; its exit code, or 128 and the number of the signal that ended it.
    Ended(u8),
    /// The time given has come.
    TimeUp,
    /// The user wants out now.
    Quit,
}

impl Child {
    /// Starts the program, with what records it and its children.
    pub(crate) fn start(
        command: &[OsString],
        session: &Session,
        injected: &Injected<'_>,
    ) -> Result<Self, Error> {
        let Some((program, arguments)) = command.split_first() else {
            return Err(Error::usage("no program is given"));
        };
        let mut command = Command::new(program);
        command.args(arguments);
        injected.put_into(&mut command, session)?;
        let cpu_before = children_cpu();
        let mut process = command.spawn().map_err(|error| {
            let code = if error.kind() == ErrorKind::NotFound { 127 } else { 126 };
            Error { code, ..Error::of_file(Path::new(program), error) }
        })?;
        // Afterwards, since the program would inherit what is blocked here.
        match Signals::take(ENDING.into_iter().chain([Signal::SIGCHLD])) {
            Ok(signals) => Ok(Self { process, signals, interrupts: 0, cpu_before }),
            Err(error) => {
                let _ = process.kill();
                Err(error)
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// CPU time of the program and those of its descendants whose end was waited for: complete
    /// once the program has ended.
    pub(crate) fn cpu_time(&self) -> Duration {
        children_cpu().saturating_sub(self.cpu_before)
    }

    /// Waits for the next event, at most until `end`.
    pub(crate) fn next_event(&mut self, end: Option<Instant>) -> Result<Event, Error> {
        loop {
            let status = self.process.try_wait();
            if let Some(status) = status.map_err(|error| Error::new(format!("wait: {error}")))? {
                return Ok(Event::Ended(exit_code(status)));
            }
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(Event::TimeUp);
            }
            self.signals.wait(left.unwrap_or(LOOK).min(LOOK))?;
            while let Some((signal, from_process)) = self.signals.next() {
                if self.heed(signal, from_process) == Some(Event::Quit) {
                    return Ok(Event::Quit);
                }
            }
        }
    }

    /// A signal of the terminal reaches the program too; one that a process sent to us does not.
    fn heed(&mut self, signal: Signal, from_process: bool) -> Option<Event> {
        if !ENDING.contains(&signal) {
            return None;
        }
        if from_process {
            let pid = i32::try_from(self.process.id()).ok()?;
            // It may have ended meanwhile; then there is nobody to tell.
            let _ = kill(Pid::from_raw(pid), signal);
        }
        if signal == Signal::SIGINT {
            self.interrupts += 1;
            if self.interrupts == 2 {
                return Some(Event::Quit);
            }
            if output::is_watched() {
                output::say("waiting for the program to end; Ctrl-C again quits");
            }
        }
        None
    }
}

fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

fn children_cpu() -> Duration {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else { return Duration::ZERO };
    let micros =
        |time: nix::sys::time::TimeVal| u64::try_from(time.num_microseconds()).unwrap_or(0);
    Duration::from_micros(micros(usage.user_time()) + micros(usage.system_time()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_becomes_128_and_its_number() {
        assert_eq!(exit_code(ExitStatus::from_raw(9)), 137);
        assert_eq!(exit_code(ExitStatus::from_raw(7 << 8)), 7);
    }
}

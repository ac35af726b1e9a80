//! The recorded program, and the signals that concern it and us.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{self, Command, ExitStatus};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::time::TimeValLike;
use nix::unistd::Pid;

use super::injected::Injected;
use super::session::Session;
use crate::error::Error;
use crate::output;

/// What is looked at even if no signal tells of it.
const LOOK: Duration = Duration::from_secs(1);

/// Signals that end a program by default and that we outlive.
const ENDING: [Signal; 4] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];

/// `si_code` of a signal that was queued with a value.
const SI_QUEUE: i32 = -1;

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
        match Signals::take() {
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

/// Signals as readable events. The mask is given back when dropped.
#[derive(Debug)]
struct Signals {
    events: SignalFd,
    mask_before: SigSet,
}

impl Signals {
    fn take() -> Result<Self, Error> {
        let failed = |errno| Error::new(format!("cannot wait for signals: {errno}"));
        let mut ours = SigSet::empty();
        ENDING.into_iter().chain([Signal::SIGCHLD]).for_each(|signal| ours.add(signal));
        let mask_before = SigSet::thread_get_mask().map_err(failed)?;
        ours.thread_block().map_err(failed)?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let events = SignalFd::with_flags(&ours, flags).map_err(failed)?;
        Ok(Self { events, mask_before })
    }

    fn wait(&self, longest: Duration) -> Result<(), Error> {
        // One more, so that what is left of a millisecond is not waited for in a loop.
        let millis = u16::try_from(longest.as_millis() + 1).unwrap_or(u16::MAX);
        let mut events = [PollFd::new(self.events.as_fd(), PollFlags::POLLIN)];
        match poll(&mut events, PollTimeout::from(millis)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(errno) => Err(Error::new(format!("cannot wait for signals: {errno}"))),
        }
    }

    /// The next signal, and whether a process sent it.
    fn next(&self) -> Option<(Signal, bool)> {
        let event = self.events.read_signal().ok()??;
        let signal = Signal::try_from(i32::try_from(event.ssi_signo).ok()?).ok()?;
        // A thread that does not block it has handed it over, with the code that it came with.
        let handed_over = event.ssi_code == SI_QUEUE && event.ssi_pid == process::id();
        let code = if handed_over { event.ssi_int } else { event.ssi_code };
        Some((signal, code <= 0))
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        let _ = self.mask_before.thread_set_mask();
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

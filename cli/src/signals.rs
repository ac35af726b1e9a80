//! Signals that a command outlives.

use std::os::fd::AsFd;
use std::process;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::error::Error;

/// `si_code` of a signal that was queued with a value.
const SI_QUEUE: i32 = -1;

/// Signals as readable events. The mask is given back when dropped.
#[derive(Debug)]
pub(crate) struct Signals {
    events: SignalFd,
    mask_before: SigSet,
}

impl Signals {
    /// Takes these, from now on.
    pub(crate) fn take(signals: impl IntoIterator<Item = Signal>) -> Result<Self, Error> {
        let failed = |errno| Error::new(format!("cannot wait for signals: {errno}"));
        let mut ours = SigSet::empty();
        signals.into_iter().for_each(|signal| ours.add(signal));
        let mask_before = SigSet::thread_get_mask().map_err(failed)?;
        ours.thread_block().map_err(failed)?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let events = SignalFd::with_flags(&ours, flags).map_err(failed)?;
        Ok(Self { events, mask_before })
    }

    /// Waits for one, at most so long.
    pub(crate) fn wait(&self, longest: Duration) -> Result<(), Error> {
        // One more, so that what is left of a millisecond is not waited for in a loop.
        let millis = u16::try_from(longest.as_millis() + 1).unwrap_or(u16::MAX);
        let mut events = [PollFd::new(self.events.as_fd(), PollFlags::POLLIN)];
        match poll(&mut events, PollTimeout::from(millis)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
            Err(errno) => Err(Error::new(format!("cannot wait for signals: {errno}"))),
        }
    }

    /// Those that end a command by default, for one that then finishes its work.
    pub(crate) fn take_ending() -> Result<Self, Error> {
        Self::take([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP])
    }

    /// Whether one has come since the last look.
    pub(crate) fn has_come(&self) -> bool {
        self.next().is_some()
    }

    /// The next signal, and whether a process sent it.
    pub(crate) fn next(&self) -> Option<(Signal, bool)> {
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

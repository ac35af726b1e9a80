//! Ctrl-C and its like, which end what the command does and not the command.

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::error::Error;

/// Takes the signals that would end the command, until dropped.
#[derive(Debug)]
pub(crate) struct Interrupt {
    events: SignalFd,
    mask_before: SigSet,
}

impl Interrupt {
    pub(crate) fn take() -> Result<Self, Error> {
        let failed = |errno| Error::new(format!("cannot wait for signals: {errno}"));
        let mut ours = SigSet::empty();
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            ours.add(signal);
        }
        let mask_before = SigSet::thread_get_mask().map_err(failed)?;
        ours.thread_block().map_err(failed)?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let events = SignalFd::with_flags(&ours, flags).map_err(failed)?;
        Ok(Self { events, mask_before })
    }

    /// Whether one has come since the last look.
    pub(crate) fn has_come(&self) -> bool {
        matches!(self.events.read_signal(), Ok(Some(_)))
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        let _ = self.mask_before.thread_set_mask();
    }
}

//! Whose a process is: files that it writes about itself lie where anyone can put one.

use std::path::Path;

use super::error::ResolveError;
use super::error::ResolveErrorKind;
use super::source::Source;

/// What `/proc/PID/status` says, without a system call that would need `unsafe`.
#[derive(Debug)]
pub(super) struct Owner {
    /// The effective user.
    pub(super) user: u32,
    /// The process' number in its own namespace.
    pub(super) own_number: Option<u32>,
}

impl Owner {
    /// Of the process that `/proc` has under this name.
    pub(super) fn of(pid: &str) -> Result<Self, ResolveError> {
        let path = format!("/proc/{pid}/status");
        let status = std::fs::read_to_string(&path)
            .map_err(|e| ResolveError::io(&format!("cannot read {path}"), &e))?;
        let user = numbers(&status, "Uid:").get(1).copied();
        let user =
            user.ok_or_else(|| ResolveError::malformed("/proc/PID/status has no Uid line"))?;
        Ok(Self { user, own_number: numbers(&status, "NSpid:").last().copied() })
    }

    /// Refuses a file that does not belong to the user.
    pub(super) fn check(&self, source: &Source, path: &Path) -> Result<(), ResolveError> {
        if source.owner() == Some(self.user) {
            return Ok(());
        }
        Err(ResolveError::new(
            ResolveErrorKind::Unreadable,
            format!("{} does not belong to the process' user", path.display()),
        ))
    }
}

/// The numbers of a line.
fn numbers(status: &str, name: &str) -> Vec<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.split_whitespace().map_while(|it| it.parse().ok()).collect()
}

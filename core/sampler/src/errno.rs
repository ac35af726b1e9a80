//! The kernel's error numbers, without libc's thread-local `errno`.

/// An error number as the kernel returned it, for example 11 (`EAGAIN`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

impl core::fmt::Display for Errno {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let name = match self.0 {
            libc::EACCES => "EACCES: forbidden (perf_event_paranoid)",
            libc::EAGAIN => "EAGAIN: no timer or signal slot left (RLIMIT_SIGPENDING)",
            libc::EINVAL => "EINVAL: not accepted by this kernel",
            libc::EMFILE => "EMFILE: no descriptor left (RLIMIT_NOFILE)",
            libc::ENOMEM => "ENOMEM: no memory",
            libc::ENOSYS => "ENOSYS: not available here (seccomp or an old kernel)",
            libc::EPERM => "EPERM: forbidden (seccomp or missing capability)",
            libc::ESRCH => "ESRCH: no such thread",
            _ => return write!(f, "error {}", self.0),
        };
        f.write_str(name)
    }
}

/// Splits a raw system call result into value and error.
pub(crate) fn check(result: isize) -> Result<usize, Errno> {
    match usize::try_from(result) {
        Ok(value) => Ok(value),
        Err(_) => Err(Errno(i32::try_from(result.wrapping_neg()).unwrap_or(i32::MAX))),
    }
}

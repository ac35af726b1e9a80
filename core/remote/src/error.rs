use crate::status;
use std::fmt;

/// What a caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// There is no such process, or it has ended.
    Missing,
    /// It must not be looked into by this one.
    Denied,
    /// A debugger has it.
    Traced,
    /// It is of a kind that cannot be read: a thread of the kernel, a program of 32 bits.
    Unsupported,
    /// Anything else.
    Other,
}

/// Why a process could not be read.
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(crate) fn missing(pid: u32) -> Self {
        Self::new(ErrorKind::Missing, format!("there is no process {pid}"))
    }

    /// Says what it would take.
    pub(crate) fn denied(pid: u32) -> Self {
        let user = |pid: &str| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?.to_owned();
            line.split_whitespace().nth(1).map(str::to_owned)
        };
        let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
        let scope = scope.ok().and_then(|text| text.trim().parse::<u32>().ok()).unwrap_or(0);
        let reason = if user(&pid.to_string()) != user("self") {
            "it belongs to another user: this takes root or CAP_SYS_PTRACE".to_owned()
        } else if scope >= 3 {
            format!("kernel.yama.ptrace_scope is {scope}: no process may look into another")
        } else if scope > 0 {
            format!(
                "kernel.yama.ptrace_scope is {scope}: this takes root or CAP_SYS_PTRACE, or that \
                 setting at 0"
            )
        } else {
            "it runs with more rights than this process, or is protected: this takes root or \
             CAP_SYS_PTRACE"
                .to_owned()
        };
        Self::new(ErrorKind::Denied, format!("process {pid} may not be looked into: {reason}"))
    }

    /// Of a call about the process `pid`.
    pub(crate) fn io(pid: u32, error: &std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ENOENT | libc::ESRCH) => Self::missing(pid),
            Some(libc::EACCES | libc::EPERM) if status::of(pid).is_some() => Self::denied(pid),
            _ => Self::new(ErrorKind::Other, format!("process {pid}: {error}")),
        }
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

//! What the kernel tells of a process.
//!
//! Everything is read below one root, normally `/proc`, and bounded. Of the environment only the
//! [variables](Environment) that name a service are looked at; the rest is not kept.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::attributes;
use crate::text::clean;

/// Bytes of a file with one line or a few of the kernel's own: `stat`, `status`, `cgroup`.
const MAX_FILE: u64 = 64 << 10;

/// Bytes of the command line that are kept.
const MAX_CMDLINE: usize = 4096;

/// Bytes of the environment that are looked at.
const MAX_ENVIRONMENT: u64 = 256 << 10;

/// Bytes of a path.
const MAX_PATH: usize = 4096;

/// Threads of the kernel have this flag (`PF_KTHREAD` of `linux/sched.h`).
const KERNEL_THREAD: u64 = 0x0020_0000;

/// When a process started, in ticks since the machine did. With the pid it tells a process from all
/// others: a pid is used again, but not for a process that started in the same tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StartTime(u64);

/// A time for tests.
#[cfg(test)]
pub(crate) fn start_time(ticks: u64) -> StartTime {
    StartTime(ticks)
}

/// What the first file of a process says, which is enough to know it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// When it started.
    pub start: StartTime,
    /// The name of its main thread, which `exec` sets and the process may change.
    pub comm: String,
    /// The process that started it, or that adopted it.
    pub parent: u32,
    /// Whether it is a thread of the kernel.
    pub kernel_thread: bool,
}

/// Everything the kernel tells of a process that labels are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its number in the pid namespace that the root shows.
    pub pid: u32,
    /// Its number in the innermost pid namespace, its own view.
    pub ns_pid: u32,
    /// See [`Stat`].
    pub stat: Stat,
    /// The real user, as the host counts.
    pub uid: u32,
    /// The program's file as the process sees it; `None` for threads of the kernel, and where
    /// reading it is not permitted.
    pub executable: Option<String>,
    /// Whether that file is gone: the program was replaced while it runs.
    pub deleted: bool,
    /// The arguments, with spaces between; a process can change them.
    pub cmdline: String,
    /// The control groups: hierarchy by hierarchy, as the kernel lists them.
    pub cgroups: Vec<Cgroup>,
    /// What the environment says about the service.
    pub environment: Environment,
}

/// A process' place in one hierarchy of control groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    /// The controllers, `name=systemd` for the hierarchy without one; empty for version 2.
    pub controllers: String,
    /// The path, from the root of the reader's control group namespace: `/../` goes above it.
    pub path: String,
}

/// The variables that name a service. No other one is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// `SONDAGE_SERVICE`.
    pub sondage_service: Option<String>,
    /// `OTEL_SERVICE_NAME`.
    pub otel_service_name: Option<String>,
    /// `OTEL_RESOURCE_ATTRIBUTES`, decoded, in their order.
    pub attributes: Vec<(String, String)>,
    /// Whether it could be read: that takes CAP_SYS_PTRACE, and CAP_DAC_READ_SEARCH for other users.
    pub readable: bool,
}

/// The directory that shows processes.
#[derive(Clone, Debug)]
pub struct Proc {
    root: PathBuf,
}

impl Default for Proc {
    fn default() -> Self {
        Self::new("/proc")
    }
}

impl Proc {
    /// A root other than `/proc`: that of another pid namespace, or made by a test.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Reads the first file of a process, in about 10 µs.
    ///
    /// # Errors
    /// Of kind `NotFound` when there is no such process; `InvalidData` for another format.
    pub fn stat(&self, pid: u32) -> io::Result<Stat> {
        let bytes = read(&self.file(pid, "stat"), MAX_FILE)?;
        parse_stat(&bytes).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    }

    /// Reads everything. Facts that may not be read are missing; a process that ends meanwhile, or
    /// whose number goes to another one, gives an error and never a mixture of two.
    ///
    /// # Errors
    /// As [`stat`](Self::stat).
    pub fn facts(&self, pid: u32, with_environment: bool) -> io::Result<Facts> {
        self.facts_after(pid, self.stat(pid)?, with_environment)
    }

    /// The same, after the first file was read.
    pub(crate) fn facts_after(
        &self,
        pid: u32,
        stat: Stat,
        with_environment: bool,
    ) -> io::Result<Facts> {
        let status = read(&self.file(pid, "status"), MAX_FILE).unwrap_or_default();
        let (executable, deleted) = match stat.kernel_thread {
            true => (None, false),
            false => self.executable(pid),
        };
        let facts = Facts {
            pid,
            ns_pid: last_number(&status, "NSpid:").unwrap_or(pid),
            uid: first_number(&status, "Uid:").unwrap_or(u32::MAX),
            executable,
            deleted,
            cmdline: self.cmdline(pid),
            cgroups: parse_cgroups(&read(&self.file(pid, "cgroup"), MAX_FILE).unwrap_or_default()),
            environment: match with_environment && !stat.kernel_thread {
                true => self.environment(pid),
                false => Environment::default(),
            },
            stat,
        };
        match self.stat(pid)?.start == facts.stat.start {
            true => Ok(facts),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// The numbers of all processes that there are now.
    ///
    /// # Errors
    /// When the root cannot be read.
    pub fn pids(&self) -> io::Result<Vec<u32>> {
        let entries = std::fs::read_dir(&self.root)?;
        Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
    }

    fn file(&self, pid: u32, name: &str) -> PathBuf {
        self.root.join(pid.to_string()).join(name)
    }

    /// The link's text, and whether the file behind it is gone. The kernel adds the mark to the
    /// name; a file can be called so, too, and then there is one behind the link.
    fn executable(&self, pid: u32) -> (Option<String>, bool) {
        const MARK: &str = " (deleted)";
        let link = self.file(pid, "exe");
        let Ok(target) = std::fs::read_link(&link) else { return (None, false) };
        let path = clean(target.as_os_str().as_encoded_bytes(), MAX_PATH);
        let gone = |path: &Path| {
            use std::os::unix::fs::MetadataExt;
            std::fs::metadata(path).map_or(true, |file| file.nlink() == 0)
        };
        match path.strip_suffix(MARK) {
            Some(name) if gone(&link) => (Some(name.to_owned()), true),
            _ => (Some(path), false),
        }
    }

    fn cmdline(&self, pid: u32) -> String {
        let bytes = read(&self.file(pid, "cmdline"), MAX_CMDLINE as u64).unwrap_or_default();
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let spaced: Vec<u8> =
            bytes[..end].iter().map(|byte| if *byte == 0 { b' ' } else { *byte }).collect();
        clean(&spaced, MAX_CMDLINE)
    }

    fn environment(&self, pid: u32) -> Environment {
        // Room for all of it: what grows leaves copies behind.
        let mut bytes = Vec::with_capacity(MAX_ENVIRONMENT as usize + 64);
        if read_into(&mut bytes, &self.file(pid, "environ"), MAX_ENVIRONMENT).is_err() {
            return Environment::default();
        }
        let mut found = Environment { readable: true, ..Environment::default() };
        for entry in bytes.split(|byte| *byte == 0) {
            let value = |name: &str| {
                let value = entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?.trim_ascii();
                (!value.is_empty()).then_some(value)
            };
            let name = |value| Some(clean(value, crate::text::MAX_VALUE));
            // The first of a name counts, as for getenv.
            if let Some(value) = value("SONDAGE_SERVICE") {
                found.sondage_service = found.sondage_service.or_else(|| name(value));
            } else if let Some(value) = value("OTEL_SERVICE_NAME") {
                found.otel_service_name = found.otel_service_name.or_else(|| name(value));
            } else if let Some(value) = value("OTEL_RESOURCE_ATTRIBUTES")
                && found.attributes.is_empty()
            {
                found.attributes = attributes::parse(value);
            }
        }
        // The rest is none of our business, and must not lie in freed memory.
        bytes.fill(0);
        std::hint::black_box(&bytes);
        found
    }
}

/// The beginning of a file.
fn read(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    // Most have less: one call for the text, one for its end.
    let mut bytes = Vec::with_capacity(4096);
    read_into(&mut bytes, path, max).map(|()| bytes)
}

fn read_into(bytes: &mut Vec<u8>, path: &Path, max: u64) -> io::Result<()> {
    const ESRCH: i32 = 3;
    match File::open(path)?.take(max).read_to_end(bytes) {
        Ok(_) => Ok(()),
        // The process ended between open and read.
        Err(error) if error.raw_os_error() == Some(ESRCH) => Err(io::ErrorKind::NotFound.into()),
        Err(error) => Err(error),
    }
}

/// `pid (comm) state ppid … flags … starttime …`. The name may hold anything, parentheses too, so
/// the last one ends it (proc_pid_stat(5)).
fn parse_stat(bytes: &[u8]) -> Option<Stat> {
    let open = bytes.iter().position(|byte| *byte == b'(')?;
    let close = bytes.iter().rposition(|byte| *byte == b')')?;
    let comm = clean(bytes.get(open + 1..close)?, 64);
    let rest = std::str::from_utf8(bytes.get(close + 1..)?).ok()?;
    // The first field here is the third of the manual's list.
    let mut fields = rest.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let flags: u64 = fields.nth(4)?.parse().ok()?;
    let start = fields.nth(12)?.parse().ok()?;
    Some(Stat { start: StartTime(start), comm, parent, kernel_thread: flags & KERNEL_THREAD != 0 })
}

fn numbers<'a>(status: &'a [u8], field: &str) -> Option<impl Iterator<Item = u32> + use<'a>> {
    let mut lines = status.split(|byte| *byte == b'\n');
    let rest = lines.find_map(|line| line.strip_prefix(field.as_bytes()))?;
    let text = std::str::from_utf8(rest).ok()?;
    Some(text.split_ascii_whitespace().filter_map(|number| number.parse().ok()))
}

fn first_number(status: &[u8], field: &str) -> Option<u32> {
    numbers(status, field)?.next()
}

fn last_number(status: &[u8], field: &str) -> Option<u32> {
    numbers(status, field)?.last()
}

/// `id:controllers:path` a line. A path may hold colons.
fn parse_cgroups(bytes: &[u8]) -> Vec<Cgroup> {
    let lines = bytes.split(|byte| *byte == b'\n').take(64);
    lines
        .filter_map(|line| {
            let mut parts = line.splitn(3, |byte| *byte == b':');
            let (_id, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
            // The group was removed while the process was on its way out.
            let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
            Some(Cgroup { controllers: clean(controllers, 128), path: clean(path, MAX_PATH) })
        })
        .collect()
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;

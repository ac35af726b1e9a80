//! The process with the virtual machine: whether it is one, whose it is, and what it sees.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, Instant};

use super::folder::Folder;
use super::turned_off;
use crate::error::Error;

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// How long a virtual machine may take until it handles signals: it may just be starting.
const START: Duration = Duration::from_secs(3);

/// The number of SIGQUIT, in sets of signals.
const SIGQUIT: u32 = 3;

/// A process that runs HotSpot.
#[derive(Debug)]
pub(crate) struct Process {
    pid: u32,
    /// Its folder in `/proc`, which is of no other process even if that gets the same number.
    proc: Folder,
    /// Its number in its own namespace.
    inner_pid: u32,
    /// Effective ids.
    user: u32,
    group: u32,
    /// Where HotSpot has its socket; no variable changes that.
    tmp: Folder,
}

impl Process {
    /// Finds a process and makes sure that it runs HotSpot and that it may be asked.
    pub(crate) fn find(pid: u32) -> Result<Self, Error> {
        let failed = |what: &str| Error::new(format!("process {pid}: {what}"));
        let proc = Folder::open(Path::new(&format!("/proc/{pid}"))).map_err(|error| match error
            .kind()
        {
            ErrorKind::NotFound => Error::new(format!("there is no process {pid}")),
            _ => failed(&error.to_string()),
        })?;
        let status = Status::of(&proc).map_err(|error| failed(&error.to_string()))?;
        if status.number("Tgid", 0) != Some(pid) {
            return Err(failed("this is the number of a thread, not of a process"));
        }
        let (Some(user), Some(group)) = (status.number("Uid", 1), status.number("Gid", 1)) else {
            return Err(failed("it is not told whose it is"));
        };
        let own = nix::unistd::geteuid();
        if own.as_raw() != user && !own.is_root() {
            return Err(failed("it belongs to another user: only that user and root may do this"));
        }
        let maps = std::fs::read(proc.path("maps")).map_err(|error| failed(&error.to_string()))?;
        check_code(&String::from_utf8_lossy(&maps)).map_err(failed)?;
        let tmp = Folder::open(&proc.path("root/.")).and_then(|root| root.inner("tmp"));
        let tmp = tmp.map_err(|error| failed(&format!("its folder /tmp: {error}")))?;
        let inner_pid = status.numbers("NSpid").last().unwrap_or(pid);
        Ok(Self { pid, proc, inner_pid, user, group, tmp })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// The number by which it knows itself.
    pub(crate) fn inner_pid(&self) -> u32 {
        self.inner_pid
    }

    /// Its effective user and group.
    pub(crate) fn owner(&self) -> (u32, u32) {
        (self.user, self.group)
    }

    /// Whether the calling process has other ids.
    pub(crate) fn is_foreign(&self) -> bool {
        let own = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        own != self.owner()
    }

    /// The folder where HotSpot has its socket.
    pub(crate) fn tmp(&self) -> &Folder {
        &self.tmp
    }

    /// Its folder in `/proc`.
    pub(crate) fn proc(&self) -> &Folder {
        &self.proc
    }

    /// Its root folder.
    pub(crate) fn root(&self) -> io::Result<Folder> {
        Folder::open(&self.proc.path("root/."))
    }

    /// The name of HotSpot's socket.
    pub(crate) fn socket_name(&self) -> String {
        format!(".java_pid{}", self.inner_pid)
    }

    /// Whether HotSpot listens, as far as the file tells.
    pub(crate) fn has_socket(&self) -> bool {
        let socket = self.tmp.path(self.socket_name()).symlink_metadata();
        socket.is_ok_and(|file| file.file_type().is_socket() && file.uid() == self.user)
    }

    /// Waits until the process handles SIGQUIT, and makes sure that it is able to answer.
    pub(crate) fn wait_until_ready(&self, deadline: Instant) -> Result<(), Error> {
        let latest = deadline.min(Instant::now() + START);
        while !self.handles_quit()? {
            if Instant::now() > latest {
                return Err(self.failed(
                    "its virtual machine does not handle SIGQUIT, by which it would be asked: it \
                     was started with -Xrs, or has not started yet",
                ));
            }
            std::thread::sleep(LOOK);
        }
        if !self.has_socket() && turned_off::is_turned_off(self) {
            return Err(self.failed(
                "its virtual machine was started with -XX:+DisableAttachMechanism: it can be \
                 profiled from its next start, with -agentpath or the jar",
            ));
        }
        Ok(())
    }

    /// Whether SIGQUIT does not end the process. It is an error if it has ended, or is stopped.
    pub(crate) fn handles_quit(&self) -> Result<bool, Error> {
        let status = Status::of(&self.proc).map_err(|_| self.failed("it has ended"))?;
        if status.line("State").is_none_or(|state| state.starts_with(['Z', 'X'])) {
            return Err(self.failed("it has ended"));
        }
        if status.line("State").is_some_and(|state| state.starts_with(['T', 't'])) {
            return Err(self.failed("it is stopped, and cannot answer (SIGCONT lets it go on)"));
        }
        let caught = status.line("SigCgt").and_then(|set| u64::from_str_radix(set, 16).ok());
        Ok(caught.is_some_and(|caught| caught & (1 << (SIGQUIT - 1)) != 0))
    }

    /// An error that names the process.
    pub(crate) fn failed(&self, what: &str) -> Error {
        Error::new(format!("process {}: {what}", self.pid))
    }

    /// Gives a file to the owner of the process.
    pub(crate) fn give(&self, file: &File) -> io::Result<()> {
        match self.is_foreign() {
            true => std::os::unix::fs::fchown(file, Some(self.user), Some(self.group)),
            false => Ok(()),
        }
    }
}

/// Whether mapped files are those of a HotSpot that the library was built for.
fn check_code(maps: &str) -> Result<(), &'static str> {
    let has = |start: &str| {
        maps.lines().any(|line| line.rsplit('/').next().is_some_and(|name| name.starts_with(start)))
    };
    if !has("libjvm.so") {
        return Err("it is no virtual machine for Java: it has no libjvm.so");
    }
    if has("libj9vm") {
        return Err("it runs Eclipse OpenJ9; only HotSpot, the machine of OpenJDK, is supported");
    }
    // The wrong library would end it.
    if has("ld-musl") != cfg!(target_env = "musl") {
        return Err("it uses another C library than the agent (musl and glibc)");
    }
    Ok(())
}

/// What the kernel tells of a process.
struct Status(String);

impl Status {
    fn of(proc: &Folder) -> io::Result<Self> {
        std::fs::read(proc.path("status")).map(|text| Self(String::from_utf8_lossy(&text).into()))
    }

    fn line(&self, name: &str) -> Option<&str> {
        let mut lines = self.0.lines();
        lines.find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
    }

    fn numbers(&self, name: &str) -> impl Iterator<Item = u32> {
        let words = self.line(name).unwrap_or_default().split_whitespace();
        words.filter_map(|word| word.parse().ok())
    }

    fn number(&self, name: &str, index: usize) -> Option<u32> {
        self.numbers(name).nth(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hotspot_with_the_same_c_library_is_accepted() {
        let libc =
            if cfg!(target_env = "musl") { "/lib/ld-musl-x86_64.so.1" } else { "/lib/libc.so.6" };
        let maps = |files: &[&str]| {
            let line = |file: &&str| format!("7f00-7f01 r-xp 00000000 08:01 9    {file}\n");
            files.iter().chain([&libc]).map(line).collect::<String>()
        };
        assert_eq!(check_code(&maps(&["/jdk/lib/server/libjvm.so"])), Ok(()));
        assert_eq!(check_code(&maps(&["/jdk/lib/server/libjvm.so (deleted)"])), Ok(()));
        for files in
            [&["/bin/sleep"][..], &["/a/libjvm.so", "/a/libj9vm29.so"], &["/a/mylibjvm.so"]]
        {
            assert!(check_code(&maps(files)).is_err(), "{files:?}");
        }
        let other = if cfg!(target_env = "musl") { "" } else { "/lib/ld-musl-x86_64.so.1" };
        let wrong = "/a/libjvm.so\n/".to_owned() + other;
        assert!(check_code(&wrong).is_err());
    }
}

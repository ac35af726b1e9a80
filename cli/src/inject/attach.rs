//! HotSpot's attach mechanism.
//!
//! A file and SIGQUIT have the machine listen at a socket; a request there is a version, a command
//! and three arguments, each with a NUL behind it, and the answer ends with the connection.
//! (`src/hotspot/os/posix/attachListener_posix.cpp` of OpenJDK.)

use std::io::{ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::Pid;

use super::answer::Answer;
use super::folder::Folder;
use super::process::Process;
use crate::error::Error;

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Bytes of an answer.
const MAX_ANSWER: usize = 64 << 10;

/// Bytes of an argument, as the machine takes them.
const MAX_ARGUMENT: usize = 1024;

const SILENT: &str = "its virtual machine does not answer";

/// A connection to the machine, which is made to listen if it does not.
pub(crate) fn open(process: &Arc<Process>, deadline: Instant) -> Result<UnixStream, Error> {
    if let Some(stream) = connect(process, deadline)? {
        return Ok(stream);
    }
    let _trigger = Trigger::create(process)?;
    // Once more, right before: without a handler the signal would end the process.
    if !process.handles_quit()? {
        return Err(process.failed("its virtual machine is ending"));
    }
    let pid = i32::try_from(process.pid()).unwrap_or(i32::MAX);
    kill(Pid::from_raw(pid), Signal::SIGQUIT)
        .map_err(|errno| process.failed(&format!("it cannot be asked: {errno}")))?;
    loop {
        if let Some(stream) = connect(process, deadline)? {
            return Ok(stream);
        }
        if Instant::now() > deadline {
            return Err(process.failed(SILENT));
        }
        process.handles_quit()?;
        std::thread::sleep(LOOK);
    }
}

/// The file that tells the signal from a request to print stacks. Removed when dropped.
struct Trigger {
    folder: Folder,
    name: String,
    /// Whether somebody else has made it, and removes it.
    shared: bool,
}

impl Trigger {
    /// Makes the file where the machine looks: in its folder for temporary files, otherwise in its
    /// current one.
    fn create(process: &Process) -> Result<Self, Error> {
        let name = format!(".attach_pid{}", process.inner_pid());
        let tmp = process.root().and_then(|root| root.inner("tmp"));
        let current = || Folder::open(&process.proc().path("cwd/."));
        let made = tmp.and_then(|folder| Self::create_in(folder, &name, process));
        let made = made.or_else(|_| Self::create_in(current()?, &name, process));
        made.map_err(|error| process.failed(&format!("{name} in its /tmp: {error}")))
    }

    fn create_in(folder: Folder, name: &str, process: &Process) -> std::io::Result<Self> {
        let name = name.to_owned();
        match folder.create(&name) {
            Ok(file) => {
                let trigger = Self { folder, name, shared: false };
                process.give(&file)?;
                Ok(trigger)
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let owner = folder.path(&name).symlink_metadata()?.uid();
                let accepted = owner == 0 || owner == process.owner().0;
                accepted.then_some(Self { folder, name, shared: true }).ok_or(error)
            }
            Err(error) => Err(error),
        }
    }
}

impl Drop for Trigger {
    fn drop(&mut self) {
        if !self.shared {
            let _ = std::fs::remove_file(self.folder.path(&self.name));
        }
    }
}

/// The request to load an agent from a path, which must be absolute.
pub(crate) fn request(library: &Path, options: &str) -> Result<Vec<u8>, Error> {
    let library = library.as_os_str().as_bytes();
    if library.len() > MAX_ARGUMENT {
        return Err(Error::new(format!("the agent's path is longer than {MAX_ARGUMENT} bytes")));
    }
    let parts = [b"1", &b"load"[..], library, b"true", options.as_bytes()];
    Ok(parts.iter().flat_map(|part| part.iter().copied().chain([0])).collect())
}

/// Sends a request and waits for the answer.
pub(crate) fn ask(
    process: &Process,
    mut stream: UnixStream,
    request: &[u8],
    deadline: Instant,
) -> Result<Answer, Error> {
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => process.failed(SILENT),
        _ => process.failed(&format!("its virtual machine: {error}")),
    };
    let time_left = |stream: &UnixStream| {
        let left = deadline.saturating_duration_since(Instant::now()).max(LOOK);
        stream.set_read_timeout(Some(left)).and_then(|()| stream.set_write_timeout(Some(left)))
    };
    time_left(&stream).and_then(|()| stream.write_all(request)).map_err(failed)?;
    let (mut answer, mut part) = (Vec::new(), [0; 4096]);
    while answer.len() < MAX_ANSWER {
        let read = time_left(&stream).and_then(|()| stream.read(&mut part)).map_err(failed)?;
        if read == 0 {
            break;
        }
        answer.extend_from_slice(&part[..read]);
    }
    Ok(Answer::parse(&String::from_utf8_lossy(&answer)))
}

/// Connects, if somebody listens: the socket's file may be that of an earlier process. A machine
/// that takes no more connections is waited for; the thread that does is left behind at the end.
fn connect(process: &Arc<Process>, deadline: Instant) -> Result<Option<UnixStream>, Error> {
    if !process.has_socket() {
        return Ok(None);
    }
    let (sender, streams) = mpsc::channel();
    let asked = Arc::clone(process);
    let connect = move || sender.send(connect_as_owner(&asked));
    let thread = std::thread::Builder::new().name("sondage-inject".to_owned()).spawn(connect);
    thread.map_err(|error| process.failed(&error.to_string()))?;
    let left = deadline.saturating_duration_since(Instant::now()).max(LOOK);
    match streams.recv_timeout(left) {
        Ok(stream) => stream,
        Err(_) => Err(process.failed(SILENT)),
    }
}

/// Connects as the user that the machine accepts, on this thread alone, and looks who is there.
fn connect_as_owner(process: &Process) -> Result<Option<UnixStream>, Error> {
    let path = process.tmp().path(process.socket_name());
    let (user, group) = process.owner();
    let connected = match process.is_foreign() {
        true => sondage_sampler::with_effective_user(user, group, || UnixStream::connect(&path))
            .map_err(|errno| process.failed(&format!("its user cannot be acted for: {errno}")))?,
        false => UnixStream::connect(&path),
    };
    let stream = match connected {
        Ok(stream) => stream,
        Err(error)
            if [ErrorKind::ConnectionRefused, ErrorKind::NotFound].contains(&error.kind()) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(process.failed(&format!("its socket: {error}"))),
    };
    let there = getsockopt(&stream, sockopt::PeerCredentials);
    let there = there.map_err(|errno| process.failed(&format!("its socket: {errno}")))?;
    match u32::try_from(there.pid()) == Ok(process.pid()) && there.uid() == user {
        true => Ok(Some(stream)),
        false => Err(process.failed("its socket belongs to another process")),
    }
}

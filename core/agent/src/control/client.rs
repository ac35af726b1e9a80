//! The other end, for the command and for tools.

use super::protocol::{Answer, Call, MAX_ANSWER, MAX_PROFILE, Request, Response, Spoken, VERSION};
use super::timed::{Timed, read_line};
use crate::agent::{Change, Status};
use crate::error::{Error, ErrorKind};
use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::geteuid;
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// The longest that one question may take: an agent that reads the symbols of large binaries
/// answers after some seconds.
const TIME: Duration = Duration::from_secs(35);

/// How often the end of a burst is looked for.
const LOOK: Duration = Duration::from_millis(100);

/// Talks to the agent of a process of the same user, or of any as root.
///
/// Each method opens a connection of its own, waits at most 35 seconds, and fails with
/// [`ErrorKind::Unsupported`] where the process has no agent, or one that speaks another version
/// of the protocol; with [`ErrorKind::InvalidInput`] where there is no such process, and with
/// [`ErrorKind::Io`] where the process belongs to another user or the connection breaks.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    pid: u32,
}

impl Client {
    /// A client of one process. Nobody is contacted yet.
    pub fn new(pid: u32) -> Self {
        Self { pid }
    }

    /// What the agent does now.
    ///
    /// # Errors
    /// See the type's description.
    pub fn status(&self) -> Result<Status, Error> {
        match self.call(Call::Status)?.0 {
            Answer::Status(status) => Ok(*status),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Changes settings, as [`Agent::change`](crate::Agent::change).
    ///
    /// # Errors
    /// See the type's description and there.
    pub fn change(&self, change: Change) -> Result<(), Error> {
        match self.call(Call::Set(change))?.0 {
            Answer::Done => Ok(()),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Starts a burst, as [`Agent::burst`](crate::Agent::burst), and returns its number. If it is
    /// to be kept, its profile is to be had from [`Client::burst_profile`].
    ///
    /// # Errors
    /// See the type's description and there.
    pub fn burst(&self, hz: u32, duration: Duration, keep: bool) -> Result<u64, Error> {
        let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        match self.call(Call::Burst { hz, duration_ms, keep })?.0 {
            Answer::Burst { number } => Ok(number),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Waits for the end of a burst and returns its profile as gzipped pprof, once, and at most a
    /// minute after its end.
    ///
    /// # Errors
    /// See the type's description; [`ErrorKind::Io`] when the burst has not ended at `deadline`.
    pub fn burst_profile(&self, number: u64, deadline: Instant) -> Result<Vec<u8>, Error> {
        loop {
            match self.call(Call::Profile { burst: number })? {
                (Answer::Profile { .. }, profile) => return Ok(profile),
                (Answer::Pending, _) if Instant::now() < deadline => std::thread::sleep(LOOK),
                (Answer::Pending, _) => {
                    let message = format!("the burst of process {} does not end", self.pid);
                    return Err(Error::new(ErrorKind::Io, message));
                }
                (other, _) => return Err(self.unexpected(&other)),
            }
        }
    }

    fn call(&self, call: Call) -> Result<(Answer, Vec<u8>), Error> {
        let stream = self.connect()?;
        let mut line = serde_json::to_vec(&Request { version: VERSION, call })
            .map_err(|error| Error::invalid(error.to_string()))?;
        line.push(b'\n');
        let (line, profile) = ask(&stream, &line).map_err(|error| {
            let message = format!("the agent of process {} broke off: {error}", self.pid);
            Error::new(ErrorKind::Io, message).with_source(error)
        })?;
        match self.parse(&line)? {
            Answer::Failed { kind, message } => Err(Error::new(kind, message)),
            answer => Ok((answer, profile)),
        }
    }

    fn parse(&self, line: &[u8]) -> Result<Answer, Error> {
        let spoken = serde_json::from_slice::<Spoken>(line).ok().map(|spoken| spoken.version);
        if spoken.is_some_and(|version| version != VERSION) {
            let message = format!(
                "the agent of process {} speaks another version of the protocol than this program",
                self.pid
            );
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let response = serde_json::from_slice::<Response>(line);
        response.map(|response| response.answer).map_err(|error| {
            Error::malformed(format!(
                "the agent of process {} is not understood: {error}",
                self.pid
            ))
        })
    }

    fn unexpected(&self, answer: &Answer) -> Error {
        Error::malformed(format!("an unexpected answer of process {}: {answer:?}", self.pid))
    }

    /// Connects to the process that is meant, and to no other that took its name.
    fn connect(&self) -> Result<UnixStream, Error> {
        let pid = self.pid;
        let owner = std::fs::metadata(format!("/proc/{pid}"))
            .map_err(|_| Error::invalid(format!("there is no process {pid}")))?
            .uid();
        let own = geteuid();
        if !own.is_root() && own.as_raw() != owner {
            let message =
                format!("process {pid} belongs to user {owner}: only it and root may ask");
            return Err(Error::new(ErrorKind::Io, message));
        }
        let connected = super::address(pid).and_then(|name| UnixStream::connect_addr(&name));
        let stream = connected.map_err(|error| {
            let message = format!(
                "process {pid} has no agent of Sondage that can be asked ({error}): \
                 none runs in it, its network namespace is another, or SONDAGE_CONTROL is off"
            );
            Error::new(ErrorKind::Unsupported, message).with_source(error)
        })?;
        let meant = getsockopt(&stream, sockopt::PeerCredentials).is_ok_and(|peer| {
            let user = peer.uid() == 0 || peer.uid() == owner;
            user && u32::try_from(peer.pid()) == Ok(pid)
        });
        if !meant {
            let message = format!("another process answers in the name of process {pid}");
            return Err(Error::new(ErrorKind::Io, message));
        }
        Ok(stream)
    }
}

/// Sends a line and returns the line that answers it, with the profile that follows.
fn ask(stream: &UnixStream, line: &[u8]) -> io::Result<(Vec<u8>, Vec<u8>)> {
    Timed::new(stream, TIME).write_all(line)?;
    let mut from = BufReader::new(Timed::new(stream, TIME));
    let line = read_line(&mut from, MAX_ANSWER)?;
    let mut profile = Vec::new();
    if let Ok(Response { answer: Answer::Profile { bytes }, .. }) = serde_json::from_slice(&line) {
        if bytes > MAX_PROFILE {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the profile is too large"));
        }
        from.take(bytes).read_to_end(&mut profile)?;
        if profile.len() as u64 != bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok((line, profile))
}

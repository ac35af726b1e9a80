//! The agent's end: a thread that sleeps until someone connects.

use super::protocol::{Answer, Call, MAX_PROFILE, MAX_REQUEST, Request, Response, Spoken, VERSION};
use super::timed::{Timed, read_line};
use crate::agent::{Burst, Handle, Taken};
use crate::error::{Error, ErrorKind};
use crate::export::Spawn;
use crate::profile::pprof;
use nix::sys::socket::{Shutdown, getsockopt, shutdown, sockopt};
use nix::unistd::{Uid, geteuid};
use sondage_sampler::NotInherited;
use std::io::{self, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The longest that a client may take to say what it wants.
const REQUEST_TIME: Duration = Duration::from_secs(1);

/// The longest that a client may take to read the answer.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// After one who may not talk nobody is heard for this long: whoever knocks without end costs the
/// host next to nothing.
const PAUSE: Duration = Duration::from_millis(20);

/// JSON and the encoding of a profile need some.
const STACK_BYTES: usize = 512 << 10;

/// The listener and its thread. Dropping it waits for the thread.
#[derive(Debug)]
pub(crate) struct Server {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    /// Before the listener, so that it is dropped before.
    _not_inherited: Option<NotInherited>,
    listener: UnixListener,
    stopping: AtomicBool,
    /// Another handle of the connection that is served.
    current: Mutex<Option<UnixStream>>,
}

impl Server {
    /// Listens in this process' name.
    ///
    /// # Errors
    /// The system's, most likely that the name is taken.
    pub(crate) fn open(handle: Handle, spawn: Spawn) -> io::Result<Self> {
        let listener = UnixListener::bind_addr(&super::address(std::process::id())?)?;
        let shared = Arc::new(Shared {
            _not_inherited: sondage_sampler::close_in_children(listener.as_raw_fd()),
            listener,
            stopping: AtomicBool::new(false),
            current: Mutex::new(None),
        });
        let body = {
            let shared = shared.clone();
            move || shared.serve(&handle)
        };
        let builder =
            std::thread::Builder::new().name("sondage-control".into()).stack_size(STACK_BYTES);
        let thread = Some(spawn(builder, Box::new(body))?);
        Ok(Self { shared, thread })
    }

    /// Ends the listening and the connection that is served. Waits for nobody.
    pub(crate) fn shut(&self) {
        self.shared.stopping.store(true, Ordering::Release);
        let _ = shutdown(self.shared.listener.as_raw_fd(), Shutdown::Both);
        if let Some(stream) = &*self.shared.current() {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shut();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn current(&self) -> std::sync::MutexGuard<'_, Option<UnixStream>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, handle: &Handle) {
        while !self.stopping.load(Ordering::Acquire) {
            match self.listener.accept() {
                Ok((stream, _)) if may_talk(&stream) => {
                    *self.current() = stream.try_clone().ok();
                    let served = AssertUnwindSafe(|| converse(&stream, handle));
                    let _ = catch_unwind(served);
                    // Also where a forked child still has the connection.
                    let _ = stream.shutdown(std::net::Shutdown::Both);
                    *self.current() = None;
                }
                Ok(_) => std::thread::sleep(PAUSE),
                Err(error) if heals(&error) => std::thread::sleep(PAUSE),
                Err(_) => return,
            }
        }
    }
}

/// Whether accepting may succeed later. Where the host has closed our descriptor it does not.
fn heals(error: &io::Error) -> bool {
    let codes = [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOBUFS, libc::ECONNABORTED];
    error.raw_os_error().is_some_and(|code| code == libc::EINTR || codes.contains(&code))
}

/// Whether the other end belongs to this user or to root, as the kernel knows it.
fn may_talk(stream: &UnixStream) -> bool {
    let peer = getsockopt(stream, sockopt::PeerCredentials);
    let user = peer.map(|peer| Uid::from_raw(peer.uid()));
    user.is_ok_and(|user| user.is_root() || user == geteuid())
}

fn converse(stream: &UnixStream, handle: &Handle) -> io::Result<()> {
    let line = read_line(&mut BufReader::new(Timed::new(stream, REQUEST_TIME)), MAX_REQUEST);
    let answered = match line {
        Ok(line) => parse(&line).and_then(|call| answer(call, handle)),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(Error::invalid(error.to_string()))
        }
        Err(error) => return Err(error),
    };
    let (answer, profile) = answered.unwrap_or_else(|error| {
        (Answer::Failed { kind: error.kind(), message: error.to_string() }, Vec::new())
    });
    let mut bytes = serde_json::to_vec(&Response { version: VERSION, answer })?;
    bytes.push(b'\n');
    let mut to = Timed::new(stream, ANSWER_TIME);
    to.write_all(&bytes)?;
    to.write_all(&profile)
}

fn parse(line: &[u8]) -> Result<Call, Error> {
    let malformed = |error| Error::invalid(format!("not a request: {error}"));
    let spoken: Spoken = serde_json::from_slice(line).map_err(malformed)?;
    if spoken.version != VERSION {
        let version = spoken.version;
        let message = format!("this agent speaks version {VERSION} of the protocol, not {version}");
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    let request: Request = serde_json::from_slice(line).map_err(malformed)?;
    Ok(request.call)
}

/// The answer, and the profile that follows it.
fn answer(call: Call, handle: &Handle) -> Result<(Answer, Vec<u8>), Error> {
    let answer = match call {
        Call::Status => Answer::Status(Box::new(handle.status())),
        Call::Set(change) => {
            handle.change(change)?;
            Answer::Done
        }
        Call::Burst { hz, duration_ms, keep } => {
            let burst = Burst { hz, duration: Duration::from_millis(duration_ms), keep };
            Answer::Burst { number: handle.burst(burst)? }
        }
        Call::Profile { burst } => match handle.take_burst(burst)? {
            Taken::Pending => Answer::Pending,
            Taken::Profile(profile) => {
                let profile = pprof::encode_gz(&profile);
                let bytes = profile.len() as u64;
                if bytes > MAX_PROFILE {
                    return Err(Error::too_large("the profile is larger than 64 MiB"));
                }
                return Ok((Answer::Profile { bytes }, profile));
            }
            Taken::Gone => {
                let why = "there is no profile of this burst: it was fetched, waited for a minute, \
                           or became too large";
                return Err(Error::invalid(why));
            }
        },
    };
    Ok((answer, Vec::new()))
}

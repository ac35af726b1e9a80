//! The handle of a running collector.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::fault::{Faults, Reply};
use crate::journal::Journal;
use crate::listener;
use crate::record::{Profile, Refused, Seen};

/// Where to listen.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A socket in the file system, beside the port. The file must not exist.
    pub unix: Option<PathBuf>,
    /// Encryption of the port.
    pub tls: Option<Tls>,
}

/// Who the server is, and whom it believes. All in PEM.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Its certificate and those that vouch for it.
    pub certificates: String,
    /// Its private key.
    pub key: String,
    /// The authority that clients must have a certificate of.
    pub client_ca: Option<String>,
}

/// A running collector. Its end ends every connection.
pub struct Collector {
    address: SocketAddr,
    unix: Option<PathBuf>,
    journal: Arc<Journal>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Collector {
    /// Listens on a free port of 127.0.0.1, without encryption.
    ///
    /// # Errors
    /// If there is no port to be had.
    pub fn start() -> io::Result<Self> {
        Self::start_with(&Options::default())
    }

    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// If there is no port to be had, a file stands at the socket's path, or the certificates
    /// cannot be used.
    pub fn start_with(options: &Options) -> io::Result<Self> {
        let tls = options.tls.as_ref().map(listener::acceptor).transpose()?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (tcp, unix) = runtime.block_on(async {
            let tcp = TcpListener::bind("127.0.0.1:0").await?;
            let unix = options.unix.as_ref().map(UnixListener::bind).transpose()?;
            io::Result::Ok((tcp, unix))
        })?;
        let address = tcp.local_addr()?;
        let journal = Arc::new(Journal::new());
        let (stop, stopped) = oneshot::channel();
        runtime.spawn(listener::accept_tcp(tcp, tls, journal.clone()));
        if let Some(unix) = unix {
            runtime.spawn(listener::accept_unix(unix, journal.clone()));
        }
        let thread = std::thread::Builder::new()
            .name("collector".into())
            .spawn(move || run(&runtime, stopped))?;
        let unix = options.unix.clone();
        Ok(Self { address, unix, journal, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The accepted profiles, each once, in the order of their first arrival.
    pub fn profiles(&self) -> Vec<Profile> {
        self.journal.open().profiles.clone()
    }

    /// What was refused, and why.
    pub fn refused(&self) -> Vec<Refused> {
        self.journal.open().refused.clone()
    }

    /// All requests, in the order in which their fate was decided.
    pub fn requests(&self) -> Vec<Seen> {
        self.journal.open().seen.clone()
    }

    /// Forgets all that came. Faults to come stay.
    pub fn clear(&self) {
        self.journal.open().clear();
    }

    /// Plans faults: the next ones are added, those by chance replaced if others are given.
    pub fn plan(&self, faults: Faults) {
        self.journal.open().faults.add(faults);
    }

    /// Fails the next requests, one for each reply.
    pub fn fail_next(&self, replies: impl IntoIterator<Item = impl Into<Reply>>) {
        let next = replies.into_iter().map(Into::into).collect();
        self.plan(Faults { next, random: None });
    }

    /// Forgets all faults to come.
    pub fn heal(&self) {
        self.journal.open().faults = Default::default();
    }
}

fn run(runtime: &Runtime, stopped: oneshot::Receiver<()>) {
    // An error says that the handle is gone, which is the same.
    let _ = runtime.block_on(stopped);
}

impl Drop for Collector {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic was printed where it happened.
            let _ = thread.join();
        }
        if let Some(path) = &self.unix {
            // Somebody may have removed it already.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").field("address", &self.address).finish_non_exhaustive()
    }
}

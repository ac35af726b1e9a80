//! The listener and its thread.

use super::connection::{self, Behind, Visitors};
use super::gate::{Gate, Pass};
use crate::error::{Error, ErrorKind};
use crate::export::Spawn;
use sondage_sampler::NotInherited;
use std::future::{Future, poll_fn};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, oneshot};

/// Connections that are open at once. A further one is closed.
const MAX_CONNECTIONS: usize = 16;

/// After accepting has failed, for want of descriptors most likely.
const PAUSE: Duration = Duration::from_millis(100);

/// hyper and the encoding of a profile need some; the memory is touched only when they do.
const STACK_BYTES: usize = 1 << 20;

/// A listener and its thread. Dropping it waits for the thread.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread begins with.
struct Listening {
    /// To be dropped before the listener.
    not_inherited: Option<NotInherited>,
    listener: TcpListener,
    runtime: Runtime,
    visitors: Visitors,
}

impl Server {
    /// Listens on `address`. With a token file every request must bring its token.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when the port is taken or something else cannot be had,
    /// [`ErrorKind::InvalidInput`] for an address that others reach, without a token.
    pub(crate) fn open(
        address: SocketAddr,
        token_file: Option<PathBuf>,
        asked: Behind,
        spawn: Spawn,
    ) -> Result<Self, Error> {
        let pass = match token_file {
            None if !address.ip().is_loopback() => {
                return Err(Error::invalid(
                    "only loopback addresses may be listened on without a token",
                ));
            }
            None => Pass::None,
            Some(path) => Pass::Header(path),
        };
        Self::guarded(address, pass, asked, spawn)
    }

    /// Listens on `address` and lets in who brings what `pass` says.
    pub(super) fn guarded(
        address: SocketAddr,
        pass: Pass,
        asked: Behind,
        spawn: Spawn,
    ) -> Result<Self, Error> {
        let io =
            |error: std::io::Error| Error::new(ErrorKind::Io, error.to_string()).with_source(error);
        let listener = TcpListener::bind(address).map_err(io)?;
        listener.set_nonblocking(true).map_err(io)?;
        let address = listener.local_addr().map_err(io)?;
        let listening = Listening {
            not_inherited: sondage_sampler::close_in_children(listener.as_raw_fd()),
            listener,
            runtime: Builder::new_current_thread().enable_io().enable_time().build().map_err(io)?,
            visitors: Visitors { gate: Gate::new(pass), asked },
        };
        let (stop, stopped) = oneshot::channel();
        let body = move || drop(catch_unwind(AssertUnwindSafe(|| listening.run(stopped))));
        let builder =
            std::thread::Builder::new().name("sondage-pull".into()).stack_size(STACK_BYTES);
        let thread = Some(spawn(builder, Box::new(body)).map_err(io)?);
        Ok(Self { address, stop: Some(stop), thread })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends the listening and every connection. Waits for nobody.
    pub(crate) fn shut(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
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

impl Listening {
    fn run(self, stopped: oneshot::Receiver<()>) {
        let Self { not_inherited, listener, runtime, visitors } = self;
        runtime.block_on(async move {
            let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
            let visitors = Arc::new(visitors);
            let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
            let mut stopped = pin!(stopped);
            loop {
                let next = poll_fn(|context| match stopped.as_mut().poll(context) {
                    Poll::Ready(_) => Poll::Ready(None),
                    Poll::Pending => listener.poll_accept(context).map(Some),
                });
                match next.await {
                    Some(Ok((stream, _))) => receive(stream, &visitors, &places),
                    Some(Err(_)) => tokio::time::sleep(PAUSE).await,
                    None => return drop(not_inherited),
                }
            }
        });
    }
}

/// Serves a connection, if there is a place for it.
fn receive(stream: TcpStream, visitors: &Arc<Visitors>, places: &Arc<Semaphore>) {
    if let Ok(place) = places.clone().try_acquire_owned() {
        let visitors = visitors.clone();
        tokio::spawn(async move {
            connection::serve(stream, visitors).await;
            drop(place);
        });
    }
}

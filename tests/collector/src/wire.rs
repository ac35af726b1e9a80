//! Failures below HTTP: the connection is taken from the server, and these bytes are written.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

/// A connection of whatever kind.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {
    /// Makes its end a reset, where there is such a thing.
    fn reset_at_end(&self);
}

impl Stream for TcpStream {
    fn reset_at_end(&self) {
        // A connection that is already gone cannot be reset.
        let _ = self.set_zero_linger();
    }
}

impl Stream for UnixStream {
    fn reset_at_end(&self) {}
}

impl Stream for TlsStream<TcpStream> {
    fn reset_at_end(&self) {
        self.get_ref().0.reset_at_end();
    }
}

/// A connection that HTTP uses until it is taken away.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<Box<dyn Stream>>>);

impl Shared {
    pub(crate) fn new(stream: Box<dyn Stream>) -> Self {
        Self(Arc::new(Mutex::new(stream)))
    }

    fn with<T>(&self, body: impl FnOnce(Pin<&mut dyn Stream>) -> T) -> T {
        let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        body(Pin::new(&mut **stream))
    }
}

impl AsyncRead for Shared {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_read(context, buffer))
    }
}

impl AsyncWrite for Shared {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.with(|stream| stream.poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_shutdown(context))
    }
}

/// What is done with a connection that was taken away. It ends afterwards.
pub(crate) enum Wire {
    Reset,
    Close,
    /// The first bytes once and the others for ever, byte by byte if there is an interval.
    Write {
        first: Vec<u8>,
        then: Vec<u8>,
        interval: Option<Duration>,
    },
}

const HEADERS: u8 = 1;
const GO_AWAY: u8 = 7;
const CONTINUATION: u8 = 9;

/// The largest frame that any peer of HTTP/2 takes.
const MAX_FRAME: u32 = 16_384;

impl Wire {
    /// Over HTTP/2, a frame of headers that never is complete.
    pub(crate) fn slow_header(is_http2: bool, number: u32, interval: Duration) -> Self {
        let (first, then) = match is_http2 {
            true => (frame_head(HEADERS, MAX_FRAME, stream_id(number)), vec![0]),
            false => (b"HTTP/1.1 200 OK\r\nx-slow: ".to_vec(), b"x".to_vec()),
        };
        Self::Write { first, then, interval: Some(interval) }
    }

    /// Over HTTP/2, continuations of a block of headers.
    pub(crate) fn endless_headers(is_http2: bool, number: u32) -> Self {
        if !is_http2 {
            let then = b"x-endless: and one more of them, and one more\r\n".repeat(100);
            return Self::Write { first: b"HTTP/1.1 200 OK\r\n".to_vec(), then, interval: None };
        }
        // A literal that is not indexed: name and value, each after its length.
        let field = [&[0, 9][..], b"x-endless", &[100], &[b'x'; 100]].concat();
        let block = field.repeat(100);
        let length = u32::try_from(block.len()).unwrap_or(MAX_FRAME);
        let mut first = frame_head(HEADERS, 1, stream_id(number));
        first.push(0x88); // :status 200
        let mut then = frame_head(CONTINUATION, length, stream_id(number));
        then.extend(block);
        Self::Write { first, then, interval: None }
    }

    pub(crate) fn garbage() -> Self {
        let first = b"\x00\xffthis is no answer of any HTTP\r\n\r\n".to_vec();
        Self::Write { first, then: Vec::new(), interval: None }
    }

    /// Says that no stream was looked at, so that each may be sent again.
    pub(crate) fn go_away(is_http2: bool) -> Self {
        if !is_http2 {
            return Self::Close;
        }
        let mut first = frame_head(GO_AWAY, 8, 0);
        first.extend([0; 8]);
        Self::Write { first, then: Vec::new(), interval: None }
    }

    /// Does it, until the client hangs up.
    pub(crate) async fn run(self, mut stream: Shared) {
        // Whatever fails here fails because the client is gone.
        let _ = match self {
            Self::Reset => {
                stream.with(|stream| stream.reset_at_end());
                Ok(())
            }
            Self::Close => Ok(()),
            Self::Write { first, then, interval } => {
                write(&mut stream, &first, &then, interval).await
            }
        };
    }
}

async fn write(
    stream: &mut Shared,
    first: &[u8],
    then: &[u8],
    interval: Option<Duration>,
) -> io::Result<()> {
    let step = if interval.is_some() { 1 } else { usize::MAX };
    let mut rest = first;
    loop {
        if rest.is_empty() {
            if then.is_empty() {
                return stream.shutdown().await;
            }
            rest = then;
        }
        let (now, later) = rest.split_at(step.min(rest.len()));
        stream.write_all(now).await?;
        stream.flush().await?;
        rest = later;
        if let Some(interval) = interval {
            tokio::time::sleep(interval).await;
        }
    }
}

/// Clients number their requests with the odd numbers.
fn stream_id(number: u32) -> u32 {
    number * 2 - 1
}

fn frame_head(kind: u8, length: u32, stream: u32) -> Vec<u8> {
    let [_, a, b, c] = length.to_be_bytes();
    [&[a, b, c, kind, 0][..], &stream.to_be_bytes()].concat()
}

//! One connection: one request, within limits of size and time.

use super::answer::{Answer, Asked, Body, plain};
use super::gate::Gate;
use crate::agent::Handle;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// The longest that a client may take to send its request.
const REQUEST_TIME: Duration = Duration::from_secs(5);

/// The longest that it may take to read the answer.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// Bytes and number of headers.
const MAX_HEAD: usize = 16 << 10;
const MAX_HEADERS: usize = 64;

/// Who is let in, and whom they ask.
#[derive(Debug)]
pub(super) struct Visitors {
    pub(super) gate: Gate,
    pub(super) asked: Behind,
}

/// Who answers.
pub(crate) enum Behind {
    /// The agent of this process.
    Agent(Handle),
    /// What tells counters in Prometheus' text format, and nothing else.
    Counters(Box<dyn Fn() -> String + Send + Sync>),
    /// One page, made anew for each request.
    Page(Pages),
}

/// What makes a page.
#[derive(Clone)]
pub(crate) struct Pages {
    /// The page, or why there is none.
    pub(super) make: Arc<dyn Fn() -> Result<String, String> + Send + Sync>,
    /// The longest that it takes.
    pub(super) patience: Duration,
}

impl fmt::Debug for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Agent(_) => "Agent",
            Self::Counters(_) => "Counters",
            Self::Page(_) => "Page",
        })
    }
}

/// Serves a connection to its end, which comes at the latest when its time is over.
pub(super) async fn serve(stream: TcpStream, visitors: Arc<Visitors>) {
    let Ok(here) = stream.local_addr() else { return };
    let end = Arc::new(Mutex::new(Instant::now() + REQUEST_TIME));
    let service = service_fn(|request| respond(request, here, visitors.clone(), end.clone()));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIME)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    loop {
        let until = lock(&end);
        if timeout_at(until, connection.as_mut()).await.is_ok() || lock(&end) <= until {
            return;
        }
    }
}

fn lock(end: &Mutex<Instant>) -> Instant {
    *end.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn respond(
    request: Request<Incoming>,
    here: SocketAddr,
    visitors: Arc<Visitors>,
    end: Arc<Mutex<Instant>>,
) -> Result<Response<Body>, Infallible> {
    if let Err((status, why)) = visitors.gate.admit(&request, here) {
        return Ok(plain(status, why));
    }
    let asked = match Asked::read(&request, &visitors.asked) {
        Ok(asked) => asked,
        Err(answer) => return Ok(*answer),
    };
    let time = asked.time() + ANSWER_TIME;
    *end.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + time;
    let answer: Answer = asked.answer(&visitors.asked).await;
    Ok(answer.unwrap_or_else(|| plain(StatusCode::SERVICE_UNAVAILABLE, "the agent is stopping")))
}

//! Unary calls of gRPC: one message over HTTP/2, one answer.
//!
//! A runtime and a connection are made for each call and gone after it. Everything is bounded: the
//! whole call by the caller's deadline, connecting by 3 seconds, headers and the reply by 64 KiB.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use h2::RecvStream;
use h2::client::SendRequest;
use http::header::{HeaderName, HeaderValue};
use tokio::runtime::Builder;
use tokio::time::timeout_at;

use super::http::USER_AGENT;
use super::{Answer, Credentials, Failure, Request, credentials, dial, status};
use crate::config::{Endpoint, Http};
use crate::error::Error;

/// Bytes of a reply, and of a list of headers.
const MAX_ANSWER: usize = 64 << 10;

/// Settings for calls to one server; holds no connection.
#[derive(Debug)]
pub(in super::super) struct Channel {
    endpoint: Endpoint,
    http: Http,
    credentials: Credentials,
}

impl Channel {
    pub(in super::super) fn new(
        endpoint: &Endpoint,
        http: &Http,
        credentials: Credentials,
    ) -> Result<Self, Error> {
        Ok(Self { endpoint: endpoint.clone(), http: http.clone(), credentials })
    }

    /// Calls the method that the path names.
    pub(in super::super) fn call(
        &self,
        message: &Request<'_>,
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build();
        let runtime = runtime.map_err(|error| Failure::NotSent(error.to_string()))?;
        let sent = Cell::new(false);
        let failed = |why: String| match sent.get() {
            true => Failure::Unanswered(why),
            false => Failure::NotSent(why),
        };
        let head = self.head(message, deadline).map_err(Failure::NotSent)?;
        runtime.block_on(async {
            let exchange = self.exchange(head, framed(message), deadline, &sent);
            match timeout_at(deadline.into(), exchange).await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(Broken::NeverTaken(why))) => Err(Failure::NotSent(why)),
                Ok(Err(Broken::Other(why))) => Err(failed(why)),
                Err(_) => Err(failed("no answer in time".to_owned())),
            }
        })
    }

    fn head(&self, message: &Request<'_>, deadline: Instant) -> Result<http::Request<()>, String> {
        let millis = deadline.saturating_duration_since(Instant::now()).as_millis().max(1);
        let mut request = http::Request::post(self.endpoint.url(message.path))
            .version(http::Version::HTTP_2)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("user-agent", USER_AGENT)
            // At most eight digits.
            .header("grpc-timeout", format!("{}m", millis.min(99_999_999)));
        if message.gzip {
            request = request.header("grpc-encoding", "gzip");
        }
        let credentials = credentials::headers_of(&self.http, self.credentials);
        for (name, value) in credentials.map_err(|error| error.to_string())? {
            let name = HeaderName::try_from(name).map_err(|error| error.to_string())?;
            let mut value = HeaderValue::try_from(value).map_err(|error| error.to_string())?;
            // Kept out of the compression tables of the connection, and of debug output.
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        request.body(()).map_err(|error| error.to_string())
    }

    async fn exchange(
        &self,
        head: http::Request<()>,
        body: Bytes,
        deadline: Instant,
        sent: &Cell<bool>,
    ) -> Result<Answer, Broken> {
        let stream = dial::connect(&self.endpoint, &self.http, deadline).await?;
        let mut settings = h2::client::Builder::new();
        settings.max_header_list_size(MAX_ANSWER as u32).enable_push(false);
        let (requests, connection) = settings.handshake::<_, Bytes>(stream).await?;
        // Ends with the runtime.
        let connection = tokio::spawn(connection);
        let answer = converse(requests, head, body, sent).await;
        connection.abort();
        answer
    }
}

/// Why a call has no answer.
#[derive(Debug)]
pub(super) enum Broken {
    /// The server says that it has not looked at the call.
    NeverTaken(String),
    Other(String),
}

impl From<h2::Error> for Broken {
    fn from(error: h2::Error) -> Self {
        let refused = error.reason() == Some(h2::Reason::REFUSED_STREAM);
        let text = format!("no connection, or it broke: {error}");
        if refused { Self::NeverTaken(text) } else { Self::Other(text) }
    }
}

impl From<String> for Broken {
    fn from(why: String) -> Self {
        Self::Other(why)
    }
}

/// The message behind its length, as it travels.
fn framed(message: &Request<'_>) -> Bytes {
    let mut framed = BytesMut::with_capacity(5 + message.body.len());
    framed.put_u8(u8::from(message.gzip));
    framed.put_u32(u32::try_from(message.body.len()).unwrap_or(u32::MAX));
    framed.put_slice(message.body);
    framed.freeze()
}

async fn converse(
    requests: SendRequest<Bytes>,
    head: http::Request<()>,
    body: Bytes,
    sent: &Cell<bool>,
) -> Result<Answer, Broken> {
    let mut requests = requests.ready().await?;
    let (response, mut stream) = requests.send_request(head, false)?;
    let sending = async {
        let mut rest = body;
        while !rest.is_empty() {
            stream.reserve_capacity(rest.len());
            let Some(room) = poll_fn(|context| stream.poll_capacity(context)).await else { break };
            let chunk = rest.split_to(room?.min(rest.len()));
            // From here on the server may have all of it.
            sent.set(rest.is_empty());
            stream.send_data(chunk, rest.is_empty())?;
        }
        Ok::<(), h2::Error>(())
    };
    // A server may answer before it has read everything; then that counts.
    let (mut sending, mut response) = (pin!(sending), pin!(response));
    let mut is_sent = false;
    let response = poll_fn(|context| {
        is_sent = is_sent || sending.as_mut().poll(context).is_ready();
        response.as_mut().poll(context)
    });
    let (head, body) = response.await?.into_parts();
    if head.status != http::StatusCode::OK {
        return Ok(status::of_http(head.status.as_u16(), &head.headers));
    }
    if let Some(answer) = status::read(&head.headers) {
        return Ok(answer);
    }
    read(body).await
}

async fn read(mut body: RecvStream) -> Result<Answer, Broken> {
    let mut bytes = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        let _ = body.flow_control().release_capacity(chunk.len());
        if bytes.len() + chunk.len() > MAX_ANSWER {
            return Err(format!("an answer of more than {MAX_ANSWER} bytes").into());
        }
        bytes.extend_from_slice(&chunk);
    }
    let trailers = body.trailers().await?;
    let answer = trailers.as_ref().and_then(status::read);
    let mut answer = answer.ok_or_else(|| "an answer without a gRPC status".to_owned())?;
    // A compressed reply is not asked for.
    if let [0, _, _, _, _, reply @ ..] = bytes.as_slice() {
        answer.reply = reply.to_vec();
    }
    Ok(answer)
}

/// The time that is left, at most that for connecting.
pub(super) fn left(deadline: Instant, most: Duration) -> Duration {
    deadline.saturating_duration_since(Instant::now()).min(most)
}

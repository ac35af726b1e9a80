//! Real clients: ureq, a bare socket, and h2, which shows every frame.

use std::future::Future;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request};
use serde_json::Value;
use sondage_collector::Collector;
use tokio::io::{AsyncRead, AsyncWrite};
use ureq::Agent;

use crate::by_hand::{PUSH, push};

/// Long enough for any machine; no test waits for it where the collector works.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn agent(timeout: Duration) -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_global(Some(timeout))
        .build()
        .into()
}

pub fn url(collector: &Collector, path: &str) -> String {
    format!("http://{}{path}", collector.address())
}

/// Pushes a good profile.
pub fn try_push(
    collector: &Collector,
    timeout: Duration,
    start: u64,
) -> Result<http::Response<ureq::Body>, ureq::Error> {
    let request = agent(timeout).post(url(collector, PUSH));
    request.header("content-type", "application/proto").send(push(start))
}

pub fn get(collector: &Collector, path: &str) -> Value {
    let body = agent(PATIENCE).get(url(collector, path)).call().unwrap().into_body();
    serde_json::from_reader(body.into_reader()).unwrap()
}

/// A connection on which a request was sent whose body, of `length` bytes, is all `x`.
pub fn open(address: SocketAddr, length: usize, sent: usize) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!("POST {PUSH} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
    // In one piece: between two, the collector may have hung up already.
    stream.write_all(&[head.as_bytes(), &vec![b'x'; sent]].concat()).unwrap();
    stream
}

/// What comes back until the connection ends or there are so many bytes.
pub fn answer(stream: TcpStream, limit: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.take(limit).read_to_end(&mut bytes).unwrap();
    bytes
}

/// Waits until this holds.
pub fn until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "it never came to hold");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What came of a call of gRPC.
#[derive(Debug)]
pub struct Answer {
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
}

impl Answer {
    /// The status, from the trailers or, if there is nothing else, from the headers.
    pub fn status(&self) -> &str {
        let of = |map: &'_ HeaderMap| map.contains_key("grpc-status");
        let trailers = self.trailers.as_ref().unwrap_or(&self.headers);
        assert!(of(trailers), "{self:?}");
        trailers["grpc-status"].to_str().unwrap()
    }
}

pub fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

/// A unary call. `None` if there is no answer in time.
pub fn call(
    address: SocketAddr,
    path: &str,
    message: &[u8],
    timeout: Duration,
) -> Option<Result<Answer, h2::Error>> {
    wait(async {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        tokio::time::timeout(timeout, call_on(stream, path, message)).await.ok()
    })
}

pub async fn call_on(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    path: &str,
    message: &[u8],
) -> Result<Answer, h2::Error> {
    let (send, connection) = h2::client::handshake(stream).await?;
    let connection = tokio::spawn(connection);
    let mut send = send.ready().await?;
    let request = Request::post(format!("http://collector{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap();
    let (response, mut body) = send.send_request(request, false)?;
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    body.send_data(Bytes::from([&[0], &length[..], message].concat()), true)?;
    let (head, mut body) = response.await?.into_parts();
    let mut bytes = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        body.flow_control().release_capacity(chunk.len())?;
        bytes.extend_from_slice(&chunk);
    }
    let trailers = body.trailers().await?;
    connection.abort();
    Ok(Answer { headers: head.headers, body: bytes, trailers })
}

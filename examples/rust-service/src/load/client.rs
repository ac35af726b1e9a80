//! One kept-alive HTTP/1.1 connection, made for this load: answers have a content length.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::error::{Error, Kind, Result};

const TIMEOUT: Duration = Duration::from_secs(10);
const MOST_HEADERS: usize = 32;
const HEAD_BYTES: usize = 16 * 1024;
const BODY_BYTES: usize = 8 * 1024 * 1024;

/// Sends requests one after the other; connects when it must.
#[derive(Debug)]
pub struct Client {
    addr: SocketAddr,
    stream: Option<TcpStream>,
    received: Vec<u8>,
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body, still compressed if it was sent so.
    pub body: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    head_bytes: usize,
    body_bytes: usize,
}

impl Client {
    /// Makes a client that is not connected yet.
    pub fn new(addr: SocketAddr) -> Self {
        Self { addr, stream: None, received: Vec::new() }
    }

    /// Sends a whole request and waits for its answer, at most 10 s.
    ///
    /// # Errors
    /// [`Kind::Load`]; the connection is closed, and the next request opens another.
    pub async fn send(&mut self, request: &[u8]) -> Result<Answer> {
        let stream = self.stream.take();
        let exchange = tokio::time::timeout(TIMEOUT, self.exchange(stream, request));
        let outcome = exchange.await.map_err(|_| failed("no answer in time"))?;
        let (stream, answer) = outcome?;
        self.stream = Some(stream);
        Ok(answer)
    }

    async fn exchange(
        &mut self,
        stream: Option<TcpStream>,
        request: &[u8],
    ) -> Result<(TcpStream, Answer)> {
        let mut stream = match stream {
            Some(stream) => stream,
            None => self.connect().await?,
        };
        stream.write_all(request).await.map_err(Error::during(Kind::Load, "send a request"))?;
        self.received.clear();
        let head = loop {
            self.read_more(&mut stream).await?;
            if let Some(head) = parse_head(&self.received)? {
                break head;
            }
        };
        let all = head.head_bytes + head.body_bytes;
        while self.received.len() < all {
            self.read_more(&mut stream).await?;
        }
        let body = self.received.get(head.head_bytes..).unwrap_or_default().to_vec();
        if body.len() != head.body_bytes {
            return Err(failed("the answer is longer than it said"));
        }
        Ok((stream, Answer { status: head.status, body }))
    }

    async fn connect(&self) -> Result<TcpStream> {
        let stream = TcpStream::connect(self.addr).await;
        let stream = stream.map_err(Error::during(Kind::Load, "connect"))?;
        stream.set_nodelay(true).map_err(Error::during(Kind::Load, "set TCP_NODELAY"))?;
        Ok(stream)
    }

    async fn read_more(&mut self, stream: &mut TcpStream) -> Result<()> {
        let read = stream.read_buf(&mut self.received).await;
        match read.map_err(Error::during(Kind::Load, "read an answer"))? {
            0 => Err(failed("the connection closed before the answer was whole")),
            _ => Ok(()),
        }
    }
}

/// Reads the head of an answer; `None` while it is not whole.
fn parse_head(received: &[u8]) -> Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(received).map_err(Error::during(Kind::Load, "read a head"))?;
    let httparse::Status::Complete(head_bytes) = parsed else {
        return if received.len() > HEAD_BYTES { Err(failed("a head too long")) } else { Ok(None) };
    };
    let length = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .and_then(|header| std::str::from_utf8(header.value).ok()?.parse::<usize>().ok());
    match (response.code, length) {
        (Some(status), Some(body_bytes)) if body_bytes <= BODY_BYTES => {
            Ok(Some(Head { status, head_bytes, body_bytes }))
        }
        _ => Err(failed("a head without status, or without a content length of at most 8 MiB")),
    }
}

fn failed(message: &str) -> Error {
    Error::new(Kind::Load, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_when_it_is_whole() {
        let whole = b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello";
        let head = Head { status: 404, head_bytes: 45, body_bytes: 5 };
        assert_eq!(parse_head(whole).unwrap(), Some(head));
        for cut in 0..45 {
            assert_eq!(parse_head(&whole[..cut]).unwrap(), None, "cut at {cut}");
        }
    }

    #[test]
    fn a_head_that_cannot_be_followed_is_an_error() {
        for head in [
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
            "SSH-2.0-OpenSSH\r\n",
        ] {
            assert_eq!(parse_head(head.as_bytes()).unwrap_err().kind(), Kind::Load, "{head}");
        }
        let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(HEAD_BYTES));
        assert!(parse_head(endless.as_bytes()).is_err());
    }
}

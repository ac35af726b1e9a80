//! A server that misbehaves in a chosen way, on a free port of 127.0.0.1.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What a client sent.
#[derive(Clone, Debug)]
pub struct Request {
    pub at: Instant,
    /// On which connection it came, from 0: that decides the reply.
    pub connection: usize,
    pub line: String,
    /// By lower-case name.
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

/// How the server answers.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A status with headers and a body.
    Status(u16, Vec<(&'static str, String)>, String),
    /// These bytes one at a time, with this pause after each, for ever from the beginning.
    Drip(&'static [u8], Duration),
    /// A status with a body of this many bytes.
    Huge(u16, u64),
    /// A status, and then the end of the connection where a body was announced.
    BreakOff(u16),
    /// The end of the connection without an answer.
    Close,
    /// A reset of the connection before the body is read.
    Reset,
    /// Nothing, while the client waits.
    Silence,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self::Status(status, Vec::new(), String::new())
    }

    pub fn with_header(self, name: &'static str, value: &str) -> Self {
        let Self::Status(status, mut headers, body) = self else { return self };
        headers.push((name, value.to_owned()));
        Self::Status(status, headers, body)
    }
}

/// What is done with each accepted connection before HTTP, TLS for example.
pub trait Accept: Fn(TcpStream) -> Option<Box<dyn Stream>> + Send + Sync + 'static {}
impl<F: Fn(TcpStream) -> Option<Box<dyn Stream>> + Send + Sync + 'static> Accept for F {}

/// A connection.
pub trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<Request>>,
    connections: AtomicU64,
    sent: AtomicU64,
    stop: AtomicBool,
}

/// Stops with its last handle.
pub struct Server {
    pub address: SocketAddr,
    seen: Arc<Seen>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// The first request gets the first reply, and so on; the last reply is for all that follow.
    pub fn start(replies: Vec<Reply>) -> Self {
        Self::start_with(replies, |stream| Some(Box::new(stream) as Box<dyn Stream>))
    }

    pub fn start_with(replies: Vec<Reply>, accept: impl Accept) -> Self {
        Self::listen(TcpListener::bind("127.0.0.1:0").unwrap(), replies, accept)
    }

    /// On an address where nobody listened before.
    pub fn start_at(address: SocketAddr, replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        Self::listen(listener, replies, |stream| Some(Box::new(stream) as Box<dyn Stream>))
    }

    fn listen(listener: TcpListener, replies: Vec<Reply>, accept: impl Accept) -> Self {
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let shared = seen.clone();
        let accept = Arc::new(accept);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.stop.load(Ordering::Relaxed) {
                    break;
                }
                let number = shared.connections.fetch_add(1, Ordering::Relaxed) as usize;
                let reply = replies[number.min(replies.len() - 1)].clone();
                let (shared, accept) = (shared.clone(), accept.clone());
                std::thread::spawn(move || {
                    let stream = stream.unwrap();
                    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                    stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
                    if let Some(stream) = accept(stream) {
                        serve(stream, &reply, (&shared, number));
                    }
                });
            }
        });
        Self { address, seen, thread: Some(thread) }
    }

    pub fn requests(&self) -> Vec<Request> {
        self.seen.requests.lock().unwrap().clone()
    }

    pub fn connections(&self) -> u64 {
        self.seen.connections.load(Ordering::Relaxed)
    }

    /// Bytes of answers that the system took.
    pub fn sent(&self) -> u64 {
        self.seen.sent.load(Ordering::Relaxed)
    }

    pub fn target(&self) -> String {
        format!("pyroscope+http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.seen.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        self.thread.take().unwrap().join().unwrap();
    }
}

fn serve(mut stream: Box<dyn Stream>, reply: &Reply, (seen, connection): (&Seen, usize)) {
    // Closing a connection with unread bytes resets it.
    let read_body = !matches!(reply, Reply::Reset);
    let Some(mut request) = receive(&mut stream, read_body) else { return };
    if request.line.starts_with("CONNECT ") {
        // A proxy, which here is the server as well.
        seen.requests.lock().unwrap().push(request);
        send(&mut stream, b"HTTP/1.1 200 X\r\n\r\n", seen);
        let Some(tunnelled) = receive(&mut stream, read_body) else { return };
        request = tunnelled;
    }
    request.connection = connection;
    seen.requests.lock().unwrap().push(request);
    match reply {
        Reply::Status(status, headers, body) => {
            let extra: String = headers.iter().map(|(k, v)| format!("{k}: {v}\r\n")).collect();
            let length = body.len();
            let head = format!("HTTP/1.1 {status} X\r\n{extra}content-length: {length}\r\n\r\n");
            send(&mut stream, (head + body).as_bytes(), seen);
        }
        Reply::Drip(bytes, pause) => {
            for byte in bytes.iter().cycle() {
                if seen.stop.load(Ordering::Relaxed) || !send(&mut stream, &[*byte], seen) {
                    break;
                }
                std::thread::sleep(*pause);
            }
        }
        Reply::Huge(status, bytes) => {
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {bytes}\r\n\r\n");
            let chunk = vec![b'x'; 64 << 10];
            let mut left = *bytes;
            send(&mut stream, head.as_bytes(), seen);
            while left > 0 && !seen.stop.load(Ordering::Relaxed) && send(&mut stream, &chunk, seen)
            {
                left = left.saturating_sub(chunk.len() as u64);
            }
        }
        Reply::BreakOff(status) => {
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: 1000\r\n\r\nonly this");
            send(&mut stream, head.as_bytes(), seen);
        }
        Reply::Close | Reply::Reset => {}
        Reply::Silence => {
            let _ = stream.read(&mut [0]);
        }
    }
    let _ = stream.flush();
}

fn send(stream: &mut Box<dyn Stream>, bytes: &[u8], seen: &Seen) -> bool {
    let sent = stream.write_all(bytes).is_ok();
    if sent {
        seen.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    }
    sent
}

fn receive(stream: &mut Box<dyn Stream>, read_body: bool) -> Option<Request> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|it| it == b"\r\n\r\n") {
            break end;
        }
        match stream.read(&mut buffer) {
            Ok(0) => return None,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap().to_owned();
    let headers: HashMap<String, String> = lines
        .map(|line| line.split_once(':').unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut body = bytes[end + 4..].to_vec();
    let length: usize = headers.get("content-length").map_or(0, |text| text.parse().unwrap());
    if read_body && body.len() < length {
        let mut rest = vec![0; length - body.len()];
        stream.read_exact(&mut rest).ok()?;
        body.extend(rest);
    }
    Some(Request { at: Instant::now(), connection: 0, line, headers, body })
}

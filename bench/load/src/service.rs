//! A service under a profiler: what its clients wait for is measured outside, by `tables`.

use crate::{Profiler, Settings, chain, spin};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// Turns of `spin` for one request: about 0.4 ms.
const WORK: u64 = 400_000;

/// Answers requests on `port`, each connection on a thread of its own, until all `connections`
/// of them are closed by their clients.
pub fn service<P: Profiler>(settings: &Settings) -> Value {
    let port = settings.number("port", 0) as u16;
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("a free port");
    let profiler = P::start(settings.number("hz", 100), Duration::from_secs(10));
    let connections = settings.number("connections", 4) as usize;
    let threads = (0..connections).map(|index| {
        let (stream, _) = listener.accept().expect("a client");
        let builder = std::thread::Builder::new().name(format!("load-{index:02}"));
        builder.spawn(move || serve(&stream, index)).expect("a thread")
    });
    let threads: Vec<_> = threads.collect();
    let answered: u64 = threads.into_iter().map(|thread| thread.join().expect("no panic")).sum();
    profiler.stop();
    json!({ "answered": answered })
}

/// Answers until the client goes, and counts.
fn serve(mut stream: &TcpStream, index: usize) -> u64 {
    stream.set_nodelay(true).expect("a socket");
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    let mut answered = 0;
    loop {
        line.clear();
        match reader.read_line(&mut line) {
            Ok(0) | Err(_) => return answered,
            // The empty line behind the head of a request.
            Ok(2) => {
                chain::descend(24, answered % 250, &mut || spin::spin(index, WORK));
                answered += 1;
                if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").is_err() {
                    return answered;
                }
            }
            Ok(_) => (),
        }
    }
}

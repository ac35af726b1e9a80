//! A client of several services at once, at a fixed rate.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// In each turn every service gets one request.
const TURN: Duration = Duration::from_millis(10);

/// Connects to a service that is just starting.
pub fn connect(port: u16) -> TcpStream {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => return stream,
            Err(error) => assert!(Instant::now() < end, "no service: {error}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Sends a hundred requests a second to each service, a prime number of them, and returns how long
/// each took, in microseconds. The requests of a turn are spread over it, each turn in another
/// order. A request that could not be sent in time, because the answer before it was late, counts
/// from its time on.
pub fn latencies(streams: &[TcpStream], time: Duration) -> Vec<Vec<f64>> {
    let turns = (time.as_nanos() / TURN.as_nanos()) as u32;
    let count = streams.len() as u32;
    let begin = Instant::now() + TURN;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .zip(streams)
            .map(|(index, stream)| {
                let due = move |turn: u32| {
                    // Every stride visits all of a prime number.
                    let place = (index * (turn % (count - 1) + 1) + turn) % count;
                    begin + TURN * turn + TURN * place / count
                };
                scope.spawn(move || (0..turns).map(|turn| send(stream, due(turn))).collect())
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}

fn send(mut stream: &TcpStream, due: Instant) -> f64 {
    let early = due.saturating_duration_since(Instant::now());
    std::thread::sleep(early);
    // That the client was woken late is not the service's doing.
    let start = if early.is_zero() { due } else { Instant::now() };
    stream.write_all(b"GET / HTTP/1.1\r\nhost: bench\r\n\r\n").expect("the service lives");
    let (mut answer, mut length) = ([0; 512], 0);
    while !answer[..length].ends_with(b"\r\n\r\n") {
        let count = stream.read(&mut answer[length..]).expect("the service lives");
        assert!(count > 0, "the service lives");
        length += count;
    }
    start.elapsed().as_secs_f64() * 1e6
}

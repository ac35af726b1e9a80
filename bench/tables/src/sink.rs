//! Where Sondage and pyroscope-rs upload to: answers 200 to everything and keeps the bodies as files.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

static RECEIVED: AtomicU32 = AtomicU32::new(0);

/// A running sink; its threads live as long as the program.
#[derive(Debug)]
pub struct Sink {
    /// Its address.
    pub url: String,
    /// Where the bodies go.
    pub directory: PathBuf,
}

impl Sink {
    /// Opens a port of this machine.
    pub fn open() -> std::io::Result<Self> {
        let directory = std::env::temp_dir().join(format!("bench-sink-{}", std::process::id()));
        std::fs::create_dir_all(&directory)?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}", listener.local_addr()?);
        let target = directory.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let target = target.clone();
                std::thread::spawn(move || while answer(&stream, &target).is_ok() {});
            }
        });
        Ok(Self { url, directory })
    }

    /// Forgets the bodies.
    pub fn clear(&self) {
        for file in std::fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            let _ = std::fs::remove_file(file.path());
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// One request, with a body of known length.
fn answer(mut stream: &TcpStream, directory: &Path) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if lower.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let number = RECEIVED.fetch_add(1, Ordering::Relaxed);
    let (part, whole) =
        (directory.join(format!("{number:06}.part")), directory.join(format!("{number:06}.push")));
    std::fs::write(&part, body)?;
    std::fs::rename(part, whole)?;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
}

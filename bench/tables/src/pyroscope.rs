//! A real Pyroscope, for as long as a table needs it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Parts that must be told their address: they would advertise that of a network card.
const RINGS: [&str; 7] = [
    "compactor.ring.instance-addr",
    "distributor.ring.instance-addr",
    "ingester.lifecycler.addr",
    "overrides-exporter.ring.instance-addr",
    "query-frontend.instance-addr",
    "query-scheduler.ring.instance-addr",
    "store-gateway.sharding-ring.instance-addr",
];

/// A server in an empty folder, both ended with the value.
#[derive(Debug)]
pub struct Pyroscope {
    process: Child,
    folder: PathBuf,
    address: String,
    /// `http://127.0.0.1:PORT`.
    pub url: String,
}

impl Pyroscope {
    /// Starts it; `None` if `make backends` has not built it.
    pub fn start() -> Option<Self> {
        let own = std::env::current_exe().expect("own path");
        let program = own.ancestors().nth(4)?.join("target/servers/pyroscope");
        if !program.is_file() {
            return None;
        }
        let folder = std::env::temp_dir().join(format!("bench-pyroscope-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let held = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
        let [http, grpc, members] = held.map(|held| held.local_addr().expect("bound").port());
        std::fs::write(folder.join("config.yaml"), configuration(http, grpc, members))
            .expect("a folder");
        let log = std::fs::File::create(folder.join("log")).expect("a folder");
        let process = Command::new(program)
            .arg("-config.file=config.yaml")
            .args(RINGS.map(|ring| format!("-{ring}=127.0.0.1")))
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the server starts");
        let address = format!("127.0.0.1:{http}");
        let url = format!("http://{address}");
        let server = Self { process, folder, address, url };
        let end = Instant::now() + Duration::from_secs(180);
        while !server.ask("GET", "/ready").is_ok_and(|answer| answer.contains(" 200 ")) {
            assert!(Instant::now() < end, "Pyroscope is not ready");
            std::thread::sleep(Duration::from_millis(500));
        }
        Some(server)
    }

    /// Ends it, for which it writes all that it received to its object store, and returns the bytes
    /// there.
    pub fn stop(mut self) -> u64 {
        let asked = Command::new("kill").arg(self.process.id().to_string()).status();
        assert!(asked.is_ok_and(|status| status.success()), "Pyroscope has ended before");
        let status = self.process.wait().expect("a child can be waited for");
        assert!(status.success(), "Pyroscope: {status}");
        size(&self.folder.join("shared"))
    }

    fn ask(&self, method: &str, path: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        let head = format!("{method} {path} HTTP/1.1\r\nhost: bench\r\n");
        write!(stream, "{head}connection: close\r\ncontent-length: 0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

impl Drop for Pyroscope {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Its limits are raised: by default it takes 4 MiB a second, uncompressed.
fn configuration(http: u16, grpc: u16, members: u16) -> String {
    format!(
        "target: all
analytics: {{ reporting_enabled: false }}
self_profiling: {{ disable_push: true }}
server:
  http_listen_address: 127.0.0.1
  http_listen_port: {http}
  grpc_listen_address: 127.0.0.1
  grpc_listen_port: {grpc}
memberlist: {{ bind_addr: [127.0.0.1], bind_port: {members}, advertise_addr: 127.0.0.1 }}
pyroscopedb: {{ data_path: ./data }}
storage: {{ backend: filesystem, filesystem: {{ dir: ./shared }} }}
limits: {{ ingestion_rate_mb: 1024, ingestion_burst_size_mb: 1024 }}
"
    )
}

/// Bytes of all files below a folder.
fn size(path: &Path) -> u64 {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let each = entries.map(|entry| match entry.metadata() {
        Ok(of) if of.is_dir() => size(&entry.path()),
        Ok(of) => of.len(),
        Err(_) => 0,
    });
    each.sum()
}

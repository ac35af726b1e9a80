//! A server that runs for one test.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Pyroscope's ring takes 15 seconds on an idle machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// How to run a server.
#[derive(Debug, Default)]
pub struct Program<'a> {
    /// A file of `target/servers`.
    pub name: &'a str,
    /// The port of its HTTP interface.
    pub port: u16,
    /// The path that answers 200 once the server is ready; empty when there is none.
    pub ready: &'a str,
    /// The contents of `config.yaml` in its folder.
    pub configuration: String,
    pub arguments: Vec<String>,
    pub environment: Vec<(&'a str, &'a str)>,
}

/// A server's process, ended with the test, and a folder for its data.
#[derive(Debug)]
pub struct Server {
    process: Child,
    folder: PathBuf,
    /// `http://127.0.0.1:PORT`.
    pub url: String,
}

impl Server {
    /// Starts a server in an empty folder of its own.
    pub fn start(program: Program<'_>) -> Self {
        let Program { name, port, ready, configuration, arguments, environment } = program;
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let program = target.join("servers").join(name);
        assert!(program.is_file(), "no {}: run `make backends`", program.display());
        let folder = target.join("tmp").join(format!("{name}-{port}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("config.yaml"), configuration).unwrap();
        let log = fs::File::create(folder.join("log")).unwrap();
        let process = Command::new(program)
            .args(arguments)
            .envs(environment)
            .current_dir(&folder)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let url = format!("http://127.0.0.1:{port}");
        let mut server = Self { process, folder, url };
        server.wait_until_ready(ready);
        server
    }

    fn wait_until_ready(&mut self, path: &str) {
        let end = Instant::now() + PATIENCE;
        // A server without such a path is ready when it answers at all.
        let is_ready = |answer: Result<_, ureq::Error>| match answer {
            Ok(_) => true,
            Err(ureq::Error::StatusCode(404)) => path.is_empty(),
            Err(_) => false,
        };
        while !is_ready(ureq::get(format!("{}{path}", self.url)).call()) {
            let ended = self.process.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < end,
                "not ready: {ended:?}\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Everything that the server has logged.
    pub fn whole_log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// The last lines that the server has logged.
    pub fn log(&self) -> String {
        let log = self.whole_log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Posts a message and gives the answer.
    pub fn post(&self, path: &str, content_type: &str, message: &[u8]) -> Vec<u8> {
        let request = ureq::post(format!("{}{path}", self.url));
        let request = request.config().http_status_as_error(false).build();
        let response = request.header("content-type", content_type).send(message).unwrap();
        self.read(path, response)
    }

    /// Asks for a path with a query.
    pub fn get(&self, path: &str, query: &[(&str, &str)]) -> Vec<u8> {
        let request = ureq::get(format!("{}{path}", self.url));
        let request = request.config().http_status_as_error(false).build();
        let response = request.query_pairs(query.iter().copied()).call().unwrap();
        self.read(path, response)
    }

    fn read(&self, path: &str, mut response: ureq::http::Response<ureq::Body>) -> Vec<u8> {
        let bytes = response.body_mut().with_config().limit(64 << 20).read_to_vec().unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(response.status().is_success(), "{path}: {text}\n{}", self.log());
        bytes
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Ports of the loopback address that nothing listens on now.
pub fn free_ports<const COUNT: usize>() -> [u16; COUNT] {
    let held = [(); COUNT].map(|()| TcpListener::bind(("127.0.0.1", 0)).unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

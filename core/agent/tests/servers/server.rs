//! A server that runs for one test.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Pyroscope's ring takes 15 seconds on an idle machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// A server's process, ended with the test, and a folder for its data.
#[derive(Debug)]
pub struct Server {
    process: Child,
    folder: PathBuf,
    /// `http://127.0.0.1:PORT`.
    pub url: String,
}

impl Server {
    /// Starts `target/servers/NAME`, whose HTTP port is `port`, in an empty folder.
    pub fn start(name: &str, port: u16, configuration: &str, arguments: &[String]) -> Self {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let program = target.join("servers").join(name);
        assert!(program.is_file(), "no {}: run `make servers`", program.display());
        let folder = target.join("tmp").join(format!("{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("config.yaml"), configuration).unwrap();
        let log = fs::File::create(folder.join("log")).unwrap();
        let process = Command::new(program)
            .args(arguments)
            .current_dir(&folder)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let url = format!("http://127.0.0.1:{}", port);
        let mut server = Self { process, folder, url };
        server.wait_until_ready();
        server
    }

    fn wait_until_ready(&mut self) {
        let end = Instant::now() + PATIENCE;
        while ureq::get(format!("{}/ready", self.url)).call().is_err() {
            let ended = self.process.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < end,
                "not ready: {ended:?}\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// The last lines that the server has logged.
    pub fn log(&self) -> String {
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Posts a JSON message and gives the answer.
    pub fn ask(&self, path: &str, message: &Value) -> Value {
        let request = ureq::post(format!("{}{path}", self.url));
        let request = request.config().http_status_as_error(false).build();
        let mut response =
            request.header("content-type", "application/json").send(message.to_string()).unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        assert!(response.status().is_success(), "{path}: {text}\n{}", self.log());
        serde_json::from_str(&text).unwrap()
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

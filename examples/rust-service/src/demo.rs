//! `rust-service demo`: the service in this process, the load in another.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::args::DemoOptions;
use crate::cpu;
use crate::error::{Error, Kind, Result};
use crate::load::Report;
use crate::profile;
use crate::server::Server;

/// Starts the service, loads it, stops it and prints what happened.
///
/// # Errors
/// When the service cannot run, or [`Kind::Load`] when a request failed.
pub fn run(options: &DemoOptions) -> Result<()> {
    std::fs::create_dir_all(&options.out)
        .map_err(Error::during(Kind::Io, "make the output folder"))?;
    let session = options.profiler.then(|| profile::start(&options.out)).transpose()?;
    let runtime = runtime()?;
    let ledger = LedgerFile::new(&options.out)?;
    let server = runtime.block_on(Server::start(&ledger.0, options.key_rounds))?;
    println!("serving on http://{}", server.addr());

    let before = Usage::now();
    let loaded = load_from_a_second_process(options, &server);
    let usage = before.until_now();

    let finished = session.map_or(Ok(()), profile::finish);
    let written = runtime.block_on(server.stop())?;
    let report = loaded?;
    report.print();
    usage.print(report.cpu);
    println!("ledger: {written} orders on disk");
    finished?;
    report.check()
}

fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .on_thread_start(sondage::register_thread)
        .build()
        .map_err(Error::during(Kind::Io, "start the runtime"))
}

/// Runs `rust-service load` against `server` and reads its report.
fn load_from_a_second_process(options: &DemoOptions, server: &Server) -> Result<Report> {
    let program =
        std::env::current_exe().map_err(Error::during(Kind::Io, "find this program's file"))?;
    let volume = &options.volume;
    let child = Command::new(program)
        .args(["load", "--addr", &server.addr().to_string()])
        .args(["--seconds", &volume.duration.as_secs().to_string()])
        .args(["--requests", &volume.requests.to_string()])
        .args(["--connections", &volume.connections.to_string()])
        .stdin(Stdio::null())
        .output()
        .map_err(Error::during(Kind::Io, "run the load generator"))?;
    // The load generator also fails when requests fail; its report then says which.
    serde_json::from_slice(&child.stdout).map_err(|error| {
        let said = String::from_utf8_lossy(&child.stderr);
        let message =
            format!("no report from the load generator ({}): {error}\n{said}", child.status);
        Error::new(Kind::Load, message)
    })
}

/// The database's file: it starts empty, and is removed at the end.
struct LedgerFile(std::path::PathBuf);

impl LedgerFile {
    fn new(out: &Path) -> Result<Self> {
        let path = out.join("ledger.redb");
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::during(Kind::Io, "remove the ledger of an earlier run")(error))
            }
            _ => Ok(Self(path)),
        }
    }
}

impl Drop for LedgerFile {
    fn drop(&mut self) {
        // What is left behind is removed by the next run.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// How long something took, and the CPU time this process used for it.
struct Usage {
    wall: Duration,
    cpu: Option<Duration>,
}

struct Before {
    wall: Instant,
    cpu: Option<Duration>,
}

impl Usage {
    fn now() -> Before {
        Before { wall: Instant::now(), cpu: cpu::used() }
    }

    fn print(&self, load: Option<Duration>) {
        let share = |cpu: Option<Duration>| match cpu {
            Some(cpu) => {
                let cores = cpu.as_secs_f64() / self.wall.as_secs_f64();
                format!("{:.2} s ({cores:.2} cores)", cpu.as_secs_f64())
            }
            None => "unknown".to_owned(),
        };
        let wall = self.wall.as_secs_f64();
        println!("cpu in {wall:.1} s: service {}, load {}", share(self.cpu), share(load));
    }
}

impl Before {
    fn until_now(self) -> Usage {
        let cpu = cpu::used().zip(self.cpu).map(|(now, before)| now.saturating_sub(before));
        Usage { wall: self.wall.elapsed(), cpu }
    }
}

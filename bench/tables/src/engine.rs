//! Runs one engine on one scenario.

use crate::sink::Sink;
use serde_json::Value;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The program of an engine and what a table calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Engine {
    program: &'static str,
    /// Its name.
    pub name: &'static str,
}

/// No profiler.
pub const NONE: Engine = Engine { program: "engine-none", name: "none" };
/// Ours.
pub const SONDAGE: Engine = Engine { program: "engine-sondage", name: "Sondage" };
/// pprof-rs with its default unwinder.
pub const PPROF: Engine = Engine { program: "engine-pprof", name: "pprof-rs 0.15" };
/// pprof-rs with framehop.
pub const FRAMEHOP: Engine =
    Engine { program: "engine-pprof-framehop", name: "pprof-rs 0.15, framehop" };
/// pyroscope-rs.
pub const PYROSCOPE: Engine = Engine { program: "engine-pyroscope", name: "pyroscope-rs 2.1.5" };

/// Everyone that samples.
pub const PROFILERS: [Engine; 4] = [SONDAGE, PPROF, FRAMEHOP, PYROSCOPE];

/// An environment variable of a run.
pub type Variable = (&'static str, String);

/// What `timeout` exits with when it had to end a run with SIGTERM; it shares its end by SIGKILL.
const HUNG: i32 = 124;

/// How a run ended.
#[derive(Debug)]
pub enum Outcome {
    /// With figures.
    Figures(Value),
    /// By this signal.
    Killed(i32),
    /// Not within 120 s.
    Hung,
}

impl Engine {
    /// Runs a scenario and waits for its end.
    pub fn run(self, scenario: &str, settings: &str, sink: &Sink) -> Outcome {
        self.run_with(scenario, settings, sink, &[])
    }

    /// Starts a scenario with environment variables.
    pub fn start(
        self,
        scenario: &str,
        settings: &str,
        sink: &Sink,
        variables: &[Variable],
    ) -> Child {
        Command::new(self.path())
            .arg(scenario)
            .args(settings.split_whitespace())
            .env("BENCH_SINK", &sink.url)
            .env("BENCH_SINK_DIR", &sink.directory)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; run make bench", self.program))
    }

    fn path(self) -> PathBuf {
        std::env::current_exe().expect("own path").with_file_name(self.program)
    }

    /// Runs a scenario with environment variables and waits for its end.
    pub fn run_with(
        self,
        scenario: &str,
        settings: &str,
        sink: &Sink,
        variables: &[Variable],
    ) -> Outcome {
        sink.clear();
        let program = self.path();
        let output = Command::new("timeout")
            .args(["-k", "1", "120"])
            .arg(&program)
            .arg(scenario)
            .args(settings.split_whitespace())
            .env("BENCH_SINK", &sink.url)
            .env("BENCH_SINK_DIR", &sink.directory)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stderr(Stdio::inherit())
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}; run make bench", program.display()));
        let code = output.status.code().unwrap_or(0);
        if code == HUNG || output.status.signal() == Some(9) {
            return Outcome::Hung;
        }
        let signal = output.status.signal().or((code > 128).then_some(code - 128));
        match (signal, serde_json::from_slice(&output.stdout)) {
            (None, Ok(figures)) => Outcome::Figures(figures),
            (Some(signal), _) => Outcome::Killed(signal),
            (None, Err(error)) => panic!("{}: {scenario}: exit {code}: {error}", self.program),
        }
    }

    /// Runs a scenario; again when it hangs or dies, which is then told on standard error.
    pub fn figures(self, scenario: &str, settings: &str, sink: &Sink) -> Value {
        for _ in 0..3 {
            match self.run(scenario, settings, sink) {
                Outcome::Figures(figures) => return figures,
                outcome => eprintln!("{}: {scenario}: {outcome:?}; once more", self.program),
            }
        }
        panic!("{}: {scenario}: not once in three runs", self.program)
    }
}

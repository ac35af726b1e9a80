//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::error::{Error, Kind, Result};
use crate::shop::KEY_ROUNDS;

/// What `--help` prints.
pub const USAGE: &str = "\
Usage: rust-service demo [--seconds N] [--requests N] [--connections N] [--out DIR]
                         [--profiler on|off] [--key-rounds N]
       rust-service load --addr 127.0.0.1:PORT [--seconds N] [--requests N] [--connections N]

demo  starts the service on a free local port, loads it from a second process,
      shuts it down and prints requests, errors and latencies
load  is that second process; it prints its report as JSON

--seconds N      how long to send requests, 1 to 3600 (default 10)
--requests N     stop after this many requests, 1 to 1000000 (default 1000000)
--connections N  kept-alive connections, 1 to 256 (default 6)
--out DIR        where the demo writes its files (default target/demo)
--profiler off   to look at the service from outside (default on)
--key-rounds N   how often a checkout hashes the customer's key, 1 to 1000000
                 (default 600)";

/// What the program is asked to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Start the service and load it.
    Demo(DemoOptions),
    /// Load a service that runs elsewhere on this machine.
    Load(LoadOptions),
    /// Print [`USAGE`].
    Help,
}

/// Settings of `demo`.
#[derive(Debug, PartialEq, Eq)]
pub struct DemoOptions {
    /// How much load to send.
    pub volume: Volume,
    /// Where files are written.
    pub out: PathBuf,
    /// Whether the service profiles itself.
    pub profiler: bool,
    /// How often a checkout hashes the customer's key.
    pub key_rounds: u32,
}

/// Settings of `load`.
#[derive(Debug, PartialEq, Eq)]
pub struct LoadOptions {
    /// How much load to send.
    pub volume: Volume,
    /// The service; always a loopback address.
    pub addr: SocketAddr,
}

/// How much load to send: whichever of the two bounds comes first ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Volume {
    /// The bound in time.
    pub duration: Duration,
    /// The bound in requests, over all connections.
    pub requests: u64,
    /// How many connections send at the same time.
    pub connections: usize,
}

/// Reads the arguments that follow the program's name.
///
/// # Errors
/// [`Kind::Usage`] names the argument, its value and what is allowed.
pub fn parse(mut args: impl Iterator<Item = String>) -> Result<Command> {
    let command = args.next();
    let mut flags = Flags::default();
    while let Some(flag) = args.next() {
        if flag == "--help" {
            return Ok(Command::Help);
        }
        let value = args.next().ok_or_else(|| usage(format!("{flag} needs a value")))?;
        flags.set(&flag, &value)?;
    }
    match (command.as_deref(), flags) {
        (Some("demo"), Flags { volume, out, addr: None, profiler, key_rounds }) => {
            let out = out.unwrap_or_else(|| PathBuf::from("target/demo"));
            let profiler = profiler.unwrap_or(true);
            let key_rounds = key_rounds.unwrap_or(KEY_ROUNDS);
            Ok(Command::Demo(DemoOptions { volume, out, profiler, key_rounds }))
        }
        (Some("load"), Flags { profiler: Some(_), .. }) => {
            Err(usage("--profiler belongs to demo, not to load".into()))
        }
        (Some("load"), Flags { key_rounds: Some(_), .. }) => {
            Err(usage("--key-rounds belongs to demo, not to load".into()))
        }
        (Some("load"), Flags { volume, out: None, addr: Some(addr), .. }) => {
            Ok(Command::Load(LoadOptions { volume, addr }))
        }
        (Some("load"), Flags { addr: None, .. }) => Err(usage("load needs --addr".into())),
        (Some("demo"), _) => Err(usage("--addr belongs to load, not to demo".into())),
        (Some("load"), _) => Err(usage("--out belongs to demo, not to load".into())),
        (Some("--help" | "help"), _) => Ok(Command::Help),
        (Some(other), _) => Err(usage(format!("no command `{other}`: it is demo or load"))),
        (None, _) => Err(usage("which command: demo or load?".into())),
    }
}

#[derive(Debug)]
struct Flags {
    volume: Volume,
    out: Option<PathBuf>,
    addr: Option<SocketAddr>,
    profiler: Option<bool>,
    key_rounds: Option<u32>,
}

impl Default for Flags {
    fn default() -> Self {
        let volume =
            Volume { duration: Duration::from_secs(10), requests: 1_000_000, connections: 8 };
        Self { volume, out: None, addr: None, profiler: None, key_rounds: None }
    }
}

impl Flags {
    fn set(&mut self, flag: &str, value: &str) -> Result<()> {
        match flag {
            "--seconds" => {
                self.volume.duration = Duration::from_secs(number(flag, value, 3600)?);
            }
            "--requests" => self.volume.requests = number(flag, value, 1_000_000)?,
            "--connections" => self.volume.connections = number(flag, value, 256)?,
            "--out" => self.out = Some(PathBuf::from(value)),
            "--profiler" => {
                self.profiler = match value {
                    "on" => Some(true),
                    "off" => Some(false),
                    _ => return Err(usage(format!("{flag} {value}: allowed is on or off"))),
                };
            }
            "--key-rounds" => self.key_rounds = Some(number(flag, value, 1_000_000)?),
            "--addr" => self.addr = Some(loopback(value)?),
            _ => return Err(usage(format!("no option `{flag}`"))),
        }
        Ok(())
    }
}

/// Reads a number from 1 to `most`.
fn number<N: FromStr + PartialOrd + From<u8> + Copy + std::fmt::Display>(
    flag: &str,
    value: &str,
    most: N,
) -> Result<N> {
    match value.parse::<N>() {
        Ok(number) if number >= N::from(1) && number <= most => Ok(number),
        _ => Err(usage(format!("{flag} {value}: allowed is a number from 1 to {most}"))),
    }
}

fn loopback(value: &str) -> Result<SocketAddr> {
    match value.parse::<SocketAddr>() {
        Ok(addr) if addr.ip().is_loopback() => Ok(addr),
        _ => Err(usage(format!("--addr {value}: allowed is a loopback address and port"))),
    }
}

fn usage(message: String) -> Error {
    Error::new(Kind::Usage, format!("{message}\n\n{USAGE}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Result<Command> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn demo_takes_its_defaults_and_its_options() {
        let Ok(Command::Demo(default)) = parse_line("demo") else { panic!("demo is a command") };
        assert_eq!(default.volume.duration, Duration::from_secs(10));
        assert_eq!(default.volume.connections, 8);
        let line = "demo --seconds 3 --out here --requests 7 --connections 2";
        let Ok(Command::Demo(given)) = parse_line(line) else { panic!("demo takes options") };
        let duration = Duration::from_secs(3);
        assert_eq!(given.volume, Volume { duration, requests: 7, connections: 2 });
        assert_eq!(given.out, PathBuf::from("here"));
    }

    #[test]
    fn a_wrong_line_says_what_is_allowed() {
        for (line, says) in [
            ("", "demo or load"),
            ("serve", "no command `serve`"),
            ("demo --seconds", "--seconds needs a value"),
            ("demo --seconds 0", "from 1 to 3600"),
            ("demo --connections 257", "from 1 to 256"),
            ("demo --key-rounds 0", "from 1 to 1000000"),
            ("load --key-rounds 5 --addr 127.0.0.1:80", "belongs to demo"),
            ("demo --colour red", "no option `--colour`"),
            ("demo --addr 127.0.0.1:1", "belongs to load"),
            ("load", "needs --addr"),
            ("load --addr 10.0.0.1:80", "loopback"),
            ("load --addr 127.0.0.1:80 --out x", "belongs to demo"),
        ] {
            let error = parse_line(line).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
            assert!(error.to_string().contains(says), "{line:?} says {error}");
        }
    }
}

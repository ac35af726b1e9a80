//! The arguments of commands that profile from outside: programs they start, and processes that run.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use sondage::config::Target;

use super::values::{MAX_HZ, label, no_comma, seconds, setting, target};

/// Runs a program and writes one profile of it and its children, or one of a running process.
///
/// Nothing needs to be rebuilt: libsondage.so is preloaded into every dynamically linked process
/// that lives for 20 ms. Statically linked and set-user-id programs cannot be recorded this way.
/// The exit code is the program's, or 128 and the signal's number. Ctrl-C is left to the program,
/// and what was recorded is written; a second Ctrl-C quits.
///
/// With --pid nothing is loaded into the process: a thread that has used the CPU time of a sample is
/// stopped for the time of a walk, 50 to 200 µs, until Ctrl-C, --duration, or the end of the process.
/// The process must belong to the same user, unless root asks.
#[derive(Debug, Parser)]
pub(crate) struct Record {
    /// Record this process, which runs already
    #[arg(short, long, value_name = "PID", conflicts_with = "command")]
    pub(crate) pid: Option<u32>,

    /// File to write; its end says the format: .pb.gz, .pb, .folded, .speedscope.json or .html
    /// [default: sondage-CMD-PID.pb.gz]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Samples a second of CPU time, for each thread
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=MAX_HZ))]
    pub(crate) hz: u32,

    /// Stop recording and write the file after this time, while the program goes on
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) duration: Option<Duration>,

    /// Record waiting time too
    #[arg(long)]
    pub(crate) wall: bool,

    /// Label of the whole profile; may be given several times
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub(crate) labels: Vec<(String, String)>,

    /// Send the profile there too: pyroscope+http://HOST:PORT, otlp+grpc://HOST:PORT and the other
    /// targets of SONDAGE_PUSH; may be given several times
    ///
    /// Credentials come from SONDAGE_TOKEN_FILE, SONDAGE_BASIC_AUTH_FILE and SONDAGE_TENANT.
    #[arg(long, value_name = "URL")]
    pub(crate) push: Vec<Target>,

    /// The program and its arguments
    #[arg(last = true, required_unless_present = "pid", value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

/// Prints one stack of each thread of a running process.
///
/// Each thread is stopped for the time of a walk, 50 to 200 µs; nothing is loaded into the process. It
/// must belong to the same user, unless root asks. Frames of Python and Java are shown with their
/// lines.
#[derive(Debug, Parser)]
pub(crate) struct Dump {
    /// The process
    #[arg(value_name = "PID")]
    pub(crate) pid: u32,

    /// Show the native frames of Python's and Java's own code too
    #[arg(long)]
    pub(crate) internals: bool,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Shows the functions of a running process that use the most CPU time.
///
/// Samples as `record --pid` does, or asks a process that hands its profiles out. On a terminal the
/// table is drawn anew each time, otherwise printed below the last one, until Ctrl-C, --duration, or
/// the end of the process.
#[derive(Debug, Parser)]
pub(crate) struct Top {
    /// The process
    #[arg(value_name = "PID", required_unless_present = "push", conflicts_with = "push")]
    pub(crate) pid: Option<u32>,

    /// Ask the process here: http://HOST:PORT, or pull+http://HOST:PORT as in its SONDAGE_PUSH. Its
    /// token is in the file that SONDAGE_TOKEN_FILE names
    #[arg(long, value_name = "URL")]
    pub(crate) push: Option<String>,

    /// Samples a second of CPU time, for each thread
    #[arg(long, value_name = "N", default_value_t = 100, conflicts_with = "push", value_parser = clap::value_parser!(u32).range(1..=MAX_HZ))]
    pub(crate) hz: u32,

    /// Time that one table is of
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    pub(crate) interval: Duration,

    /// End after this time
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) duration: Option<Duration>,

    /// Print one table, of --duration or else --interval, and end
    #[arg(long)]
    pub(crate) once: bool,

    /// Functions in the table
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) top: usize,
}

/// Loads the profiler into a running virtual machine for Java.
///
/// The machine is asked by HotSpot's own attach mechanism; nothing needs to be set at its start. It
/// must belong to the same user, unless root asks, and may be in a container. Its profiles go where
/// --push says, or where its own SONDAGE_* variables say; `sondage ctl` asks and changes the profiler
/// afterwards. Java 21 and later warn of an agent in the machine's error output, unless it was
/// started with -XX:+EnableDynamicAgentLoading.
#[derive(Debug, Parser)]
pub(crate) struct Inject {
    /// The process
    #[arg(value_name = "PID")]
    pub(crate) pid: u32,

    /// The agent [default: libsondage_jvm.so beside the command or in ../lib, or what
    /// SONDAGE_JVM_LIBRARY names]
    #[arg(long, value_name = "PATH")]
    pub(crate) agent: Option<PathBuf>,

    /// Name of the service
    #[arg(long, value_name = "NAME", value_parser = no_comma)]
    pub(crate) service: Option<String>,

    /// Where profiles go: a target as in SONDAGE_PUSH, such as pyroscope+http://HOST:PORT; may be
    /// given several times. The folder of file:DIR is the process' [default: ./sondage-profiles
    /// there]
    #[arg(long, value_name = "URL", value_parser = target)]
    pub(crate) push: Vec<String>,

    /// Samples a second of CPU time, for each thread
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MAX_HZ))]
    pub(crate) hz: Option<u32>,

    /// Record waiting time too
    #[arg(long)]
    pub(crate) wall: bool,

    /// Label of the whole process; may be given several times
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub(crate) labels: Vec<(String, String)>,

    /// Any other setting, called like its SONDAGE_* variable in lower case: interval=10s; may be
    /// given several times
    #[arg(long = "option", value_name = "NAME=VALUE", value_parser = setting)]
    pub(crate) options: Vec<(String, String)>,
}

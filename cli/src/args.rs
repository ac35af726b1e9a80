//! The command line.

mod selection;
mod view;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use sondage::config::Target;
use sondage::profile::diff::Gate;

pub(crate) use selection::{Period, Place, Selection};
pub(crate) use view::View;

/// Profiles programs and reads profiles.
#[derive(Debug, Parser)]
#[command(name = "sondage", version, about)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Record(Record),
    Dump(Dump),
    Top(Top),
    Inject(Inject),
    Report(Report),
    View(View),
    Diff(Diff),
    Convert(Convert),
    Push(Push),
    Ctl(Ctl),
    HostAgent(HostAgent),
    Doctor(Doctor),
}

/// Runs a program and writes one profile of it and its children, or one of a running process.
///
/// Nothing needs to be rebuilt: libsondage.so is preloaded into every dynamically linked process
/// that lives for 20 ms. Statically linked and set-user-id programs cannot be recorded this way.
/// The exit code is the program's, or 128 and the signal's number. Ctrl-C is left to the program,
/// and what was recorded is written; a second Ctrl-C quits.
///
/// With --pid nothing is loaded into the process: a thread that has used the CPU time of a sample is
/// stopped for the time of a walk, some 50 µs, until Ctrl-C, --duration, or the end of the process.
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
/// Each thread is stopped for the time of a walk, some 50 µs; nothing is loaded into the process. It
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

/// Prints the heaviest functions of profiles.
///
/// Of a directory, each service has a list of its own, with how many profiles of which time it is of.
#[derive(Debug, Parser)]
pub(crate) struct Report {
    /// Profiles (pprof or folded), directories of them, and URLs of running processes; several are
    /// added up
    ///
    /// Of a directory, profiles of memory and of locks are read only if --type asks for them; what
    /// cannot be read is named and left out. A URL is http://HOST:PORT, or pull+http://HOST:PORT as in
    /// the process' SONDAGE_PUSH; its token is in the file that SONDAGE_TOKEN_FILE names.
    #[arg(required = true, value_name = "FILE|DIR|URL")]
    pub(crate) places: Vec<Place>,

    #[command(flatten)]
    pub(crate) selection: Selection,

    /// Functions in each list
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub(crate) top: usize,

    /// List callers and callees of the functions whose name matches this regular expression
    #[arg(long, value_name = "RE")]
    pub(crate) peek: Option<String>,

    /// List the functions of each value of this label
    #[arg(long, value_name = "LABEL")]
    pub(crate) by: Option<String>,

    /// The quantity to report, such as cpu, samples, wall or inuse_space [default: the profile's own]
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) kind: Option<String>,

    /// Print JSON, every function
    #[arg(long, conflicts_with = "md")]
    pub(crate) json: bool,

    /// Print Markdown
    #[arg(long)]
    pub(crate) md: bool,
}

/// Tells what changed from one profile to another, and fails a build where it must not.
///
/// Listed are functions whose share of the whole changed by more than chance, given how many samples
/// there are, and by half a point or more. The exit code is 3 if a condition of --fail-if holds.
///
/// Conditions: total>5% (the whole weighs over 5 % more), rate>5% (for each second covered), self>2%
/// (the own share of any function grew by over 2 points of the whole), self(REGEX)>2% (of one whose
/// name matches), total(REGEX)>2% (its share with what it calls).
#[derive(Debug, Parser)]
pub(crate) struct Diff {
    /// What was before: a profile (pprof or folded), a directory of them, which are added up, or the
    /// URL of a running process
    #[arg(value_name = "BEFORE")]
    pub(crate) before: Place,

    /// What is now [default: BEFORE, of which the --before-* options choose another part]
    #[arg(value_name = "AFTER", required_unless_present_any = ["before_since", "before_until", "before_labels"])]
    pub(crate) after: Option<Place>,

    #[command(flatten)]
    pub(crate) selection: Selection,

    /// As --since, of BEFORE
    #[arg(long, value_name = "AGO", value_parser = selection::ago)]
    pub(crate) before_since: Option<Duration>,

    /// As --until, of BEFORE [default: where --since begins, if BEFORE is AFTER]
    #[arg(long, value_name = "AGO", value_parser = selection::ago)]
    pub(crate) before_until: Option<Duration>,

    /// As --label, of BEFORE; may be given several times
    #[arg(long = "before-label", value_name = "KEY=VALUE", value_parser = label)]
    pub(crate) before_labels: Vec<(String, String)>,

    /// Compare the functions of each value of this label too
    #[arg(long, value_name = "LABEL")]
    pub(crate) by: Option<String>,

    /// The quantity to compare, such as cpu, samples or wall [default: the later profile's own]
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) kind: Option<String>,

    /// End with code 3 if this holds; may be given several times
    #[arg(long, value_name = "CONDITION")]
    pub(crate) fail_if: Vec<Gate>,

    /// Functions in each list
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub(crate) top: usize,

    /// List changes that may be chance too
    #[arg(long)]
    pub(crate) all: bool,

    /// Print JSON, every function
    #[arg(long, conflicts_with = "md")]
    pub(crate) json: bool,

    /// Print Markdown, for a pull request
    #[arg(long)]
    pub(crate) md: bool,

    /// Write the page that compares the two
    #[arg(short, long, value_name = "FILE.html")]
    pub(crate) output: Option<PathBuf>,
}

/// Writes a profile, or the sum of several, in another format.
///
/// The ends of the names say the formats: .pb.gz, .pb or .folded to read; these,
/// .speedscope.json or .html to write.
#[derive(Debug, Parser)]
pub(crate) struct Convert {
    /// Profiles to read, directories of them, and URLs as for report; several are added up
    #[arg(required = true, value_name = "IN")]
    pub(crate) places: Vec<Place>,

    /// File to write
    #[arg(value_name = "OUT")]
    pub(crate) output: PathBuf,

    /// The quantity of a .folded file, such as cpu, samples or wall [default: the profile's own]
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) kind: Option<String>,

    #[command(flatten)]
    pub(crate) selection: Selection,
}

/// Sends profiles from files to servers.
///
/// Credentials come from SONDAGE_TOKEN_FILE, SONDAGE_BASIC_AUTH_FILE, SONDAGE_TENANT,
/// SONDAGE_OTLP_HEADERS_FILE and SONDAGE_DATADOG_KEY_FILE.
#[derive(Debug, Parser)]
pub(crate) struct Push {
    /// Profiles (pprof or folded), each sent for itself
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// Where to: a target as in SONDAGE_PUSH, such as pyroscope+http://HOST:PORT; may be given
    /// several times
    #[arg(long, required = true, value_name = "URL")]
    pub(crate) to: Vec<Target>,

    /// Name of the service [default: the profile's own, or the file's name]
    #[arg(long, value_name = "NAME")]
    pub(crate) service: Option<String>,

    /// Label of the whole profile; may be given several times
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub(crate) labels: Vec<(String, String)>,

    /// Send it as if it had ended now: servers refuse profiles older than an hour
    #[arg(long)]
    pub(crate) now: bool,
}

/// Profiles every process of the machine by eBPF, from outside, until it is ended.
///
/// Needs CAP_BPF and CAP_PERFMON; CAP_SYS_PTRACE, CAP_CHECKPOINT_RESTORE and CAP_DAC_READ_SEARCH for
/// processes and files of other users, and CAP_SYSLOG for names of the kernel's functions. Every other
/// right is given up once the programs are loaded. Settings come from --config, SONDAGE_* variables and
/// --set, where the later wins; deploy/host-agent.yaml has them all. Without a target, profiles are
/// written to ./sondage-profiles.
#[derive(Debug, Parser)]
pub(crate) struct HostAgent {
    /// Settings, in YAML
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Send profiles there: a target as in SONDAGE_PUSH, such as pyroscope+http://HOST:PORT; may be
    /// given several times
    #[arg(long, value_name = "URL", value_parser = target)]
    pub(crate) push: Vec<String>,

    /// Any setting of the file that is one text: hz=49, off_cpu=on; may be given several times
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = label)]
    pub(crate) settings: Vec<(String, String)>,

    /// Stop after this time
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) duration: Option<Duration>,

    /// Write the profile of the whole time to this file too; its end says the format
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Check the settings, and whether this machine allows it, and end
    #[arg(long)]
    pub(crate) check: bool,
}

/// Asks and changes the agent of a running process.
///
/// The process must belong to the same user, unless root asks, and its program must have started
/// an agent; one with SONDAGE_CONTROL=off does not answer.
#[derive(Debug, Parser)]
pub(crate) struct Ctl {
    #[command(subcommand)]
    pub(crate) what: CtlCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CtlCommand {
    Status(CtlStatus),
    Set(CtlSet),
    Burst(CtlBurst),
}

/// Tells what is set, what runs and what was lost.
#[derive(Debug, Parser)]
pub(crate) struct CtlStatus {
    /// The process
    #[arg(value_name = "PID")]
    pub(crate) pid: u32,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Changes settings until the process ends.
#[derive(Debug, Parser)]
#[command(group = clap::ArgGroup::new("setting").required(true).multiple(true))]
pub(crate) struct CtlSet {
    /// The process
    #[arg(value_name = "PID")]
    pub(crate) pid: u32,

    /// Samples a second of CPU time, for each thread
    #[arg(long, value_name = "N", group = "setting", value_parser = clap::value_parser!(u32).range(1..=MAX_HZ))]
    pub(crate) hz: Option<u32>,

    /// Whether waiting time is recorded too
    #[arg(long, value_name = "on|off", group = "setting", value_parser = switch, action = clap::ArgAction::Set)]
    pub(crate) wall: Option<bool>,

    /// Label of the whole process, instead of all that it has; may be given several times
    #[arg(long = "label", value_name = "KEY=VALUE", group = "setting", value_parser = label)]
    pub(crate) labels: Vec<(String, String)>,

    /// Turn profiling off
    #[arg(long, group = "setting", conflicts_with = "on")]
    pub(crate) off: bool,

    /// Turn profiling on
    #[arg(long, group = "setting")]
    pub(crate) on: bool,
}

/// Samples at another rate for a while; then the settings return by themselves.
///
/// The burst's profiles carry the label sondage_burst and go where the process sends its others.
#[derive(Debug, Parser)]
pub(crate) struct CtlBurst {
    /// The process
    #[arg(value_name = "PID")]
    pub(crate) pid: u32,

    /// Samples a second of CPU time, for each thread
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MAX_HZ))]
    pub(crate) hz: u32,

    /// How long, up to 300 seconds
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) duration: Duration,

    /// Wait for the end and write the burst's profile; the end of the name says the format, as
    /// for record
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Tells which engine works here and why, and what to do where none does.
///
/// Profiles itself for a fifth of a second. The exit code is 1 when no engine works.
#[derive(Debug, Parser)]
pub(crate) struct Doctor {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// Send a profile of one sample to each of these targets, or to those of SONDAGE_PUSH, and tell
    /// whether it was taken. It appears there under the service `sondage-doctor`
    #[arg(long, value_name = "URL", num_args = 0..)]
    pub(crate) push: Option<Vec<Target>>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let valid = seconds.filter(|seconds| !seconds.is_zero() && seconds.as_secs() <= MAX_SECONDS);
    valid.ok_or_else(|| format!("allowed: seconds, up to {MAX_SECONDS}"))
}

/// As `clap` wants it.
const MAX_HZ: i64 = sondage::Config::MAX_HZ as i64;

/// A year.
const MAX_SECONDS: u64 = 365 * 24 * 3600;

fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("allowed: on or off".to_owned()),
    }
}

/// A target as it was written: what it prints as hides what may be secret.
fn target(text: &str) -> Result<String, String> {
    text.parse::<Target>().map_err(|error| error.to_string())?;
    no_comma(text)
}

/// A value that lists keep whole.
fn no_comma(text: &str) -> Result<String, String> {
    match text.contains(',') || text.chars().any(char::is_control) {
        true => Err("allowed: no commas and no control characters".to_owned()),
        false => Ok(text.to_owned()),
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("allowed: NAME=VALUE")?;
    let plain = |byte: u8| byte == b'_' || byte.is_ascii_lowercase();
    if name.is_empty() || !name.bytes().all(plain) || value.chars().any(char::is_control) {
        return Err("allowed: NAME=VALUE, with a name of a-z and _".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}

fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("allowed: KEY=VALUE")?;
    if key.is_empty() || text.chars().any(char::is_control) {
        return Err("allowed: KEY=VALUE without control characters".to_owned());
    }
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_of_the_command_line_is_consistent() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

    #[test]
    fn durations_and_labels_that_make_no_sense_are_refused() {
        assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1500)));
        for wrong in ["0", "-1", "nan", "1e99", "soon", ""] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
        assert_eq!(label("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(label("a").is_err());
        assert!(label("=b").is_err());
    }
}

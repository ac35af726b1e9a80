//! The arguments of commands about agents: of this machine, of a process, and whether one works.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use sondage::config::Target;

use super::values::{MAX_HZ, label, seconds, switch, target};

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

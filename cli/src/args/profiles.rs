//! The arguments of commands that read profiles.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use sondage::config::Target;
use sondage::profile::diff::Gate;

use super::selection::{Place, Selection, ago};
use super::values::label;

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
    #[arg(long, value_name = "AGO", value_parser = ago)]
    pub(crate) before_since: Option<Duration>,

    /// As --until, of BEFORE [default: where --since begins, if BEFORE is AFTER]
    #[arg(long, value_name = "AGO", value_parser = ago)]
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

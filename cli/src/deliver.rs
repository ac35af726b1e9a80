//! Sending a profile to where the user wants it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sondage::Config;
use sondage::config::Target;
use sondage::export::{self, ExportStats, Exporter, Options, Sink};
use sondage::profile::Profile;

use crate::error::Error;

/// The longest that the end of the command waits for servers.
const PATIENCE: Duration = Duration::from_secs(30);

/// Somebody waits: pauses are shorter than an agent's.
const BACKOFF_BASE: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(3);

/// Where to send to.
pub(crate) struct Push {
    sinks: Vec<Box<dyn Sink>>,
}

impl Push {
    /// Checks targets, given by `option`, and the settings of the environment that concern them.
    /// Nobody is contacted.
    pub(crate) fn to(targets: &[Target], option: &str) -> Result<Self, Error> {
        if targets.is_empty() {
            return Ok(Self { sinks: Vec::new() });
        }
        let config = Config::builder().process_environment().targets(targets.iter().cloned());
        let sinks = config.build().and_then(|config| export::sinks(&config));
        Ok(Self { sinks: sinks.map_err(|error| Error::usage(format!("{option}: {error}")))? })
    }

    /// Sends the profile and tells what became of it. Tries again while servers are busy, for half
    /// a minute at most.
    pub(crate) fn send(self, profile: &Profile) -> Result<Sent, Error> {
        if self.sinks.is_empty() {
            return Ok(Sent::default());
        }
        let options =
            Options { backoff_base: BACKOFF_BASE, backoff_max: BACKOFF_MAX, ..Options::default() };
        let exporter = Exporter::start(self.sinks, &options, |builder, body| builder.spawn(body));
        let exporter = exporter.map_err(|error| Error::new(error.to_string()))?;
        exporter.submit(&Arc::new(profile.clone()));
        let deadline = Instant::now() + PATIENCE;
        exporter.drain(deadline);
        let stats = exporter.stop(deadline);
        let (sent, failed): (Vec<_>, Vec<_>) =
            stats.iter().partition(|stats| stats.lost() == 0 && stats.waiting == 0);
        let failures: Vec<_> = failed.into_iter().map(failure).collect();
        Ok(Sent {
            lines: sent.into_iter().map(success).collect(),
            failure: (!failures.is_empty()).then(|| Error::new(failures.join("\n"))),
        })
    }
}

/// What became of a profile.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// A line for each target that has it or needs nothing.
    pub(crate) lines: Vec<String>,
    /// Why others have not.
    pub(crate) failure: Option<Error>,
}

fn success(stats: &ExportStats) -> String {
    match stats.pushed {
        // Some servers have no use for a profile without samples.
        0 => format!("nothing to send to {}: the profile has no samples", stats.sink),
        _ => format!("sent to {}", stats.sink),
    }
}

fn failure(stats: &ExportStats) -> String {
    let reason = stats.last_error.as_deref().unwrap_or("no answer in time");
    format!("not sent to {}: {reason}", stats.sink)
}

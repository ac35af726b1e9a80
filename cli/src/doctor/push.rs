//! Whether the targets take a profile.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sondage::Config;
use sondage::config::Target;
use sondage::export::{self, PushError, Sink};
use sondage::profile::{Profile, ValueType};

use super::check::Check;
use crate::error::Error;

/// The name of these checks.
pub(super) const NAME: &str = "push";

/// The longest that one target may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends a profile of one sample to each target, or to those of the environment if there is none.
pub(super) fn checks(targets: &[Target]) -> Result<Vec<Check>, Error> {
    let config = Config::builder().process_environment().service_name("sondage-doctor");
    let config = match targets {
        [] => config,
        targets => config.targets(targets.iter().cloned()),
    };
    let config = config.build().map_err(|error| Error::usage(error.to_string()))?;
    let sinks = export::sinks(&config).map_err(|error| Error::usage(error.to_string()))?;
    let profile = profile(&config);
    Ok(sinks.into_iter().map(|sink| check(sink, &profile)).collect())
}

fn profile(config: &Config) -> Profile {
    let mut profile = Profile::new(vec![ValueType::new("cpu", "nanoseconds")]);
    let start = SystemTime::now() - Duration::from_secs(1);
    let start = start.duration_since(UNIX_EPOCH).unwrap_or_default();
    profile.meta.start_unix_nanos = u64::try_from(start.as_nanos()).ok();
    profile.meta.duration = Duration::from_secs(1);
    profile.meta.period = Some((ValueType::new("cpu", "nanoseconds"), 10_000_000));
    profile.meta.labels = config.process_labels();
    let location = profile.named_location("sondage doctor --push");
    let stack = profile.stack(&[location]);
    let labels = profile.label_set([]);
    profile.add(stack, labels, &[10_000_000]);
    profile
}

fn check(mut sink: Box<dyn Sink>, profile: &Profile) -> Check {
    let name = sink.name();
    let begin = Instant::now();
    let outcome = sink.encode(profile).map_err(|error| PushError::rejected(error.to_string()));
    let outcome = outcome.and_then(|uploads| {
        uploads.iter().try_for_each(|upload| sink.push(upload, begin + PATIENCE))
    });
    let Err(error) = outcome else {
        let took = begin.elapsed().as_millis();
        return Check::ok(NAME, format!("{name} has taken a profile ({took} ms)"));
    };
    let remedy = match &error {
        PushError::Retry { .. } => "is the server up, and the address right?",
        PushError::Ambiguous { .. } => "is this the port for this protocol?",
        PushError::Rejected { .. } | PushError::TooLarge { .. } => {
            "see docs/backends.md for what this server needs"
        }
    };
    Check::fail(NAME, format!("{name}: {error}"), remedy)
}

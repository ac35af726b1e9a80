//! Many profiles of several services, each service added up: `report DIR`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use sondage::export::rfc3339;
use sondage::profile::Profile;

use crate::args;
use crate::error::Error;
use crate::inputs::{Input, Inputs, Keeper};
use crate::report;

/// The services by their names.
#[derive(Debug, Default)]
pub(crate) struct History {
    services: BTreeMap<String, Service>,
}

/// The sum of a service's profiles.
#[derive(Debug)]
struct Service {
    sum: Profile,
    profiles: usize,
    /// Start of the first and end of the last since the Unix epoch, of those that tell it.
    time: Option<(Duration, Duration)>,
}

#[derive(Serialize)]
struct Json<'a> {
    services: Vec<JsonService<'a>>,
}

#[derive(Serialize)]
struct JsonService<'a> {
    service: &'a str,
    profiles: usize,
    from: Option<String>,
    to: Option<String>,
    report: Value,
}

impl History {
    /// Adds up what is read, one profile after the other, so that only the sums are held.
    pub(crate) fn read(inputs: &Inputs) -> Result<Self, Error> {
        let mut history = Self::default();
        inputs.each(&mut history)?;
        Ok(history)
    }

    /// A table for each service, in the form that is asked for.
    pub(crate) fn to_text(&self, options: &args::Report) -> Result<String, Error> {
        if options.json {
            return self.to_json(options);
        }
        let mut parts = Vec::with_capacity(self.services.len());
        for (name, service) in &self.services {
            let report = report::of(&service.sum, options)?;
            let name = name.escape_debug().to_string();
            let head = match options.md {
                true => format!("## `{}`: {}\n", name.replace('`', "'"), facts(service)),
                false => format!("{name}: {}", facts(service)),
            };
            parts.push(format!("{head}\n{}", report::text(&report, options)));
        }
        Ok(parts.join("\n"))
    }

    fn to_json(&self, options: &args::Report) -> Result<String, Error> {
        let failed = |error: serde_json::Error| Error::new(error.to_string());
        let mut services = Vec::with_capacity(self.services.len());
        for (name, service) in &self.services {
            let report = report::of(&service.sum, options)?.to_json();
            services.push(JsonService {
                service: name,
                profiles: service.profiles,
                from: service.time.map(|(from, _)| second(from)),
                to: service.time.map(|(_, to)| second(to)),
                report: serde_json::from_str(&report).map_err(failed)?,
            });
        }
        Ok(serde_json::to_string(&Json { services }).map_err(failed)? + "\n")
    }
}

impl Keeper for History {
    fn take(&mut self, Input { service, profile }: Input) {
        let time = profile.meta.start_unix_nanos.map(|start| {
            let start = Duration::from_nanos(start);
            (start, start.saturating_add(profile.meta.duration))
        });
        match self.services.get_mut(&service) {
            Some(known) => {
                known.sum.merge(&profile);
                known.profiles += 1;
                known.time = match (known.time, time) {
                    (Some(ours), Some(theirs)) => {
                        Some((ours.0.min(theirs.0), ours.1.max(theirs.1)))
                    }
                    (ours, theirs) => ours.or(theirs),
                };
            }
            None => {
                self.services.insert(service, Service { sum: profile, profiles: 1, time });
            }
        }
    }

    fn held(&self) -> impl Iterator<Item = &Profile> {
        self.services.values().map(|service| &service.sum)
    }
}

/// `12 profiles, 2026-01-31T12:00:00Z to 2026-01-31T14:00:00Z`.
fn facts(service: &Service) -> String {
    let plural = if service.profiles == 1 { "" } else { "s" };
    let time = service.time.map(|(from, to)| format!(", {} to {}", second(from), second(to)));
    format!("{} profile{plural}{}", service.profiles, time.unwrap_or_default())
}

fn second(time: Duration) -> String {
    rfc3339(Duration::from_secs(time.as_secs())).replace(".000000000", "")
}

//! The one place that knows how an agent is configured.

use std::time::Duration;

use sondage::Config;

use crate::failure::{Failure, Status};
use crate::recording::Settings;

/// The configuration of a host program, from key and value pairs.
pub(crate) fn from_settings(pairs: &[(&str, &str)]) -> Result<Config, Failure> {
    let mut config = Config::default();
    for (key, value) in pairs {
        apply(&mut config, key, value).map_err(|allowed| {
            let message = format!("{key} is {value:?}; allowed: {allowed}");
            Failure::new(Status::Invalid, message)
        })?;
    }
    Ok(config)
}

fn apply(config: &mut Config, key: &str, value: &str) -> Result<(), &'static str> {
    let number = |range: std::ops::RangeInclusive<u32>, allowed: &'static str| {
        value.parse().ok().filter(|number| range.contains(number)).ok_or(allowed)
    };
    match key {
        "hz" => config.hz = number(1..=1000, "1 to 1000")?,
        "wall" => {
            config.wall = match value {
                "true" => true,
                "false" => false,
                _ => return Err("true or false"),
            }
        }
        "interval" => {
            let seconds = number(1..=3600, "whole seconds, 1 to 3600")?;
            config.interval = Duration::from_secs(seconds.into());
        }
        "labels" => {
            for pair in value.split(',').filter(|pair| !pair.is_empty()) {
                let (key, value) = pair.split_once('=').ok_or("key=value,key=value")?;
                config.labels.push((key.trim().to_owned(), value.trim().to_owned()));
            }
        }
        "max_threads" => config.max_threads = number(1..=65_536, "1 to 65536")?,
        "max_depth" => config.max_depth = number(1..=512, "1 to 512")?,
        _ => return Err("hz, wall, interval, labels, max_threads and max_depth as names"),
    }
    Ok(())
}

/// The configuration of a process under `sondage record`: the recorder flushes by itself, and
/// labels are given when its file is written.
pub(crate) fn of_recording(settings: &Settings) -> Config {
    Config {
        hz: settings.hz,
        wall: settings.wall,
        interval: Duration::from_secs(3600),
        ..Config::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_setting_is_named_with_its_value_and_what_is_allowed() {
        let failure = from_settings(&[("hz", "0")]).unwrap_err();
        assert_eq!(failure.message, "hz is \"0\"; allowed: 1 to 1000");
        assert_eq!(failure.status, Status::Invalid);
        assert!(from_settings(&[("rate", "1")]).is_err());
    }

    #[test]
    fn settings_reach_the_configuration() {
        let pairs = [("hz", "49"), ("wall", "true"), ("interval", "5"), ("labels", "a=1, b=2")];
        let config = from_settings(&pairs).unwrap();
        assert_eq!((config.hz, config.wall, config.interval.as_secs()), (49, true, 5));
        let labels = [("a", "1"), ("b", "2")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(config.labels, labels);
    }
}

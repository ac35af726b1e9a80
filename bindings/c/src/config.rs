//! The one place that knows how an agent is configured.

use std::collections::BTreeMap;
use std::ffi::OsString;

use sondage::Config;
use sondage::config;

use crate::failure::{Failure, Status};

/// The configuration of a host program: its environment, changed by key and value pairs, which are
/// the `SONDAGE_*` variables in lower case without their prefix (`hz`, `wall`, `push`, …). A
/// pair that means nothing is an error; a variable that means nothing is not.
pub(crate) fn from_settings(pairs: &[(&str, &str)]) -> Result<Config, Failure> {
    let variable = |key: &str| format!("SONDAGE_{}", key.to_ascii_uppercase());
    let environment = std::env::vars_os().filter(|_| config::environment_is_trusted());
    let given = pairs.iter().map(|(key, value)| (variable(key).into(), OsString::from(value)));
    // Later ones win.
    let variables: BTreeMap<OsString, OsString> = environment.chain(given).collect();
    let invalid = |message: String| Failure::new(Status::Invalid, message);
    let config = Config::builder().environment(variables).build();
    let config = config.map_err(|error| invalid(error.to_string()))?;
    let concerns_pair = |warning: &&String| {
        let name = warning.split(' ').next();
        pairs.iter().any(|(key, _)| name == Some(variable(key).as_str()))
    };
    match config.warnings.iter().find(concerns_pair) {
        Some(warning) => Err(invalid(warning.clone())),
        None => Ok(config),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_setting_is_named_with_its_value_and_what_is_allowed() {
        let failure = from_settings(&[("hz", "0")]).unwrap_err();
        assert!(failure.message.contains("SONDAGE_HZ") && failure.message.contains("5000"));
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

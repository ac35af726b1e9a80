use std::collections::HashMap;
use std::time::Duration;

/// A scenario's settings: `key=value` arguments.
#[derive(Debug, Default)]
pub struct Settings(HashMap<String, f64>);

impl Settings {
    /// Reads arguments; panics on what is not `key=number`.
    pub fn parse(arguments: impl Iterator<Item = String>) -> Self {
        let pair = |argument: String| {
            let (key, value) = argument.split_once('=').expect("key=value");
            (key.to_owned(), value.parse().expect("a number"))
        };
        Self(arguments.map(pair).collect())
    }

    /// A number.
    pub fn number(&self, key: &str, default: u32) -> u32 {
        self.0.get(key).map_or(default, |value| *value as u32)
    }

    /// A time in seconds.
    pub fn seconds(&self, key: &str, default: f64) -> Duration {
        Duration::from_secs_f64(self.0.get(key).copied().unwrap_or(default))
    }
}

//! What of a running agent can be changed.

use crate::config::{Config, SignalPolicy};
use crate::error::Error;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The settings of a running agent that can be changed, as they are now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Whether it profiles; see [`Agent::set_enabled`](crate::Agent::set_enabled).
    pub enabled: bool,
    /// Samples a second of CPU time, for each thread, as they were asked for.
    pub hz: u32,
    /// Whether waiting time is recorded too.
    pub wall: bool,
    /// Whether signals may be used.
    pub signals: SignalPolicy,
    /// Labels of the whole process, besides `service_name`.
    pub labels: Vec<(String, String)>,
}

/// A change of a running agent's settings: what is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Change {
    /// See [`Agent::set_enabled`](crate::Agent::set_enabled).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// See [`Agent::set_hz`](crate::Agent::set_hz).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hz: Option<u32>,
    /// See [`Agent::set_wall`](crate::Agent::set_wall).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall: Option<bool>,
    /// See [`Agent::set_signals`](crate::Agent::set_signals).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signals: Option<SignalPolicy>,
    /// See [`Agent::set_labels`](crate::Agent::set_labels).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<(String, String)>>,
}

impl Change {
    /// The change, if a configuration could be set to it. Of labels of the same name the last
    /// stays.
    pub(super) fn checked(mut self) -> Result<Self, Error> {
        let mut builder = Config::builder();
        if let Some(hz) = self.hz {
            builder = builder.hz(hz);
        }
        for (name, value) in self.labels.iter().flatten() {
            builder = builder.label(name, value);
        }
        let config = builder.build()?;
        self.labels = self.labels.map(|_| config.labels);
        Ok(self)
    }

    /// The settings after the change.
    pub(super) fn of(&self, settings: &Settings) -> Settings {
        Settings {
            enabled: self.enabled.unwrap_or(settings.enabled),
            hz: self.hz.unwrap_or(settings.hz),
            wall: self.wall.unwrap_or(settings.wall),
            signals: self.signals.unwrap_or(settings.signals),
            labels: self.labels.clone().unwrap_or_else(|| settings.labels.clone()),
        }
    }

    /// Makes the same change in a configuration.
    pub(super) fn configure(&self, config: &mut Config) {
        config.enabled = self.enabled.unwrap_or(config.enabled);
        config.hz = self.hz.unwrap_or(config.hz);
        config.wall = self.wall.unwrap_or(config.wall);
        config.signals = self.signals.unwrap_or(config.signals);
        if let Some(labels) = &self.labels {
            config.labels.clone_from(labels);
        }
    }
}

/// The CPU time between two samples at a rate.
pub(super) fn interval_of(hz: u32) -> Duration {
    Duration::from_secs(1) / hz.max(1)
}

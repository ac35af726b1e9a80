//! What a running agent does now, for people and for the command.

use super::settings::Settings;
use crate::stats::Stats;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What an agent does now.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The process.
    pub pid: u32,
    /// The version of this crate in it.
    pub version: String,
    /// The service's name.
    pub service_name: String,
    /// What is set.
    pub settings: Settings,
    /// Whether samples are taken now: [`Settings::enabled`], or a burst.
    pub sampling: bool,
    /// Samples a second of CPU time now: after rounding to the kernel's tick, bursts and the
    /// governor.
    pub current_hz: f64,
    /// Whether the governor holds the rate below what is set, to keep the cost within its budget.
    pub lowered: bool,
    /// The burst that runs now.
    pub burst: Option<BurstStatus>,
    /// Whether this process was chosen to profile, where only a share of them does; see
    /// [`Stats::participation`].
    pub participates: bool,
    /// Where profiles can be fetched: the addresses of the `pull+http` targets.
    pub listening: Vec<SocketAddr>,
    /// What it has done and lost so far, as of the last flush.
    pub stats: Stats,
}

/// A burst that runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BurstStatus {
    /// The rate that was asked for.
    pub hz: u32,
    /// Milliseconds to its end.
    pub remaining_ms: u64,
}

/// Where the agent thread writes its status for others to read. Nobody waits for a flush.
#[derive(Debug, Default)]
pub(super) struct Board {
    posted: Mutex<Posted>,
}

#[derive(Debug, Default)]
pub(super) struct Posted {
    pub(super) status: Status,
    pub(super) burst_until: Option<Instant>,
}

impl Board {
    pub(super) fn new(status: Status) -> Self {
        Self { posted: Mutex::new(Posted { status, burst_until: None }) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Posted> {
        self.posted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn status(&self) -> Status {
        let posted = self.lock();
        let mut status = posted.status.clone();
        if let (Some(burst), Some(until)) = (&mut status.burst, posted.burst_until) {
            let remaining = until.saturating_duration_since(Instant::now());
            burst.remaining_ms = u64::try_from(remaining.as_millis()).unwrap_or(u64::MAX);
        }
        status
    }
}

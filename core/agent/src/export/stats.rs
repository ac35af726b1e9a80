//! What became of the uploads of one sink.

use serde::{Deserialize, Serialize};

/// Counters of one sink since the exporter started. A profile is one upload unless its
/// destination needs it split (Pyroscope: CPU and waiting time apart, large profiles in pieces).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExportStats {
    /// The target, without secrets.
    pub sink: String,
    /// Uploads that the destination has taken.
    pub pushed: u64,
    /// Tries beyond the first.
    pub retried: u64,
    /// Uploads split because the server found them too large.
    pub split: u64,
    /// Profiles dropped, oldest first, because the queue was full.
    pub dropped_queue: u64,
    /// Uploads that the destination refused, and profiles that could not be encoded.
    pub dropped_rejected: u64,
    /// Uploads given up: tried as often as allowed, older than the server takes, or still waiting
    /// when the exporter stopped. Profiles that wait then count here too.
    pub dropped_expired: u64,
    /// Uploads sent without an answer. They may be stored, and are not sent again.
    pub ambiguous: u64,
    /// Panics caught in a sink: defects. The upload is dropped.
    pub panicked: u64,
    /// The last failure, for people.
    pub last_error: Option<String>,
    /// What the last upload that could not carry everything left out, for people.
    pub note: Option<String>,
}

impl ExportStats {
    /// Everything that did not arrive for certain.
    pub fn lost(&self) -> u64 {
        let dropped = self.dropped_queue + self.dropped_rejected + self.dropped_expired;
        dropped + self.ambiguous + self.panicked
    }
}

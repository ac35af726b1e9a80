//! What became of the uploads of one sink.

use serde::{Deserialize, Serialize};

/// Counters of one sink since the exporter started. A profile is one upload unless its
/// destination needs it split (Pyroscope: CPU and waiting time apart, large profiles in pieces).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExportStats {
    /// The target, without secrets.
    pub sink: String,
    /// Profiles that wait in memory or are being delivered now.
    pub waiting: u64,
    /// Uploads that the destination has taken.
    pub pushed: u64,
    /// Failed tries after which the upload was to be tried again.
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
    /// Uploads sent without an answer, also by a process that has ended. They may be stored, and
    /// are not sent again.
    pub ambiguous: u64,
    /// Uploads dropped, oldest first, because the spool was full.
    pub dropped_spool: u64,
    /// Records, and ends of files, of the spool that could not be read.
    pub damaged: u64,
    /// Uploads that wait in the spool, those taken over from ended processes among them. When the
    /// exporter has stopped they stay there for the next process, and are not lost.
    pub spooled: u64,
    /// Uploads that were taken over from processes that have ended, with those of them that were
    /// ambiguous, damaged or dropped.
    pub replayed: u64,
    /// Times that the spool began to fail. Uploads go on without it meanwhile, from memory.
    pub spool_errors: u64,
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
        dropped + self.dropped_spool + self.damaged + self.ambiguous + self.panicked
    }
}

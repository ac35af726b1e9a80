//! A profile of the whole machine, taken apart for servers that keep a series for each service.

use sondage::Error;
use sondage::export::{PushError, Sink, Upload};
use sondage::profile::Profile;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Names of labels that belong to a process and not to a sample. Shared: they are found while
/// profiles are made and used where these are sent.
#[derive(Clone, Debug, Default)]
pub struct SeriesKeys(Arc<Mutex<BTreeSet<String>>>);

impl SeriesKeys {
    pub(crate) fn add(&self, labels: &[(String, String)]) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, _) in labels {
            if !keys.contains(key) {
                keys.insert(key.clone());
            }
        }
    }

    fn all(&self) -> BTreeSet<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A sink that gets one profile for each set of a process' labels, with those as labels of the whole
/// profile: a series of its own on servers that have such.
pub struct BySeries {
    sink: Box<dyn Sink>,
    keys: SeriesKeys,
}

impl BySeries {
    /// Takes profiles apart before `sink`.
    pub fn new(sink: Box<dyn Sink>, keys: SeriesKeys) -> Self {
        Self { sink, keys }
    }
}

impl std::fmt::Debug for BySeries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BySeries").field("sink", &self.sink.name()).finish_non_exhaustive()
    }
}

impl Sink for BySeries {
    fn name(&self) -> String {
        self.sink.name()
    }

    fn encode(&mut self, profile: &Profile) -> Result<Vec<Upload>, Error> {
        let keys = self.keys.all();
        let mut uploads = Vec::new();
        for part in profile.split_by(|key| keys.contains(key)) {
            uploads.extend(self.sink.encode(&part)?);
        }
        Ok(uploads)
    }

    fn push(&mut self, upload: &Upload, deadline: Instant) -> Result<(), PushError> {
        self.sink.push(upload, deadline)
    }

    fn split(&mut self, upload: &Upload) -> Vec<Upload> {
        self.sink.split(upload)
    }

    fn deduplicates(&self) -> bool {
        self.sink.deduplicates()
    }

    fn is_local(&self) -> bool {
        self.sink.is_local()
    }

    fn max_age(&self) -> Option<Duration> {
        self.sink.max_age()
    }
}

//! The thread that keeps what is known of pods up to date.

use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::Status;
use super::api::{Api, Failure, MAX_CHANGE, MAX_LIST};
use super::pods::{Pod, Table};
use super::wire::{Change, PodList, WirePod};

/// The longest wait after the first failure, and after many.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LAST_WAIT: Duration = Duration::from_secs(60);

/// After a refusal: whoever may grant the right must do it first.
const REFUSED_WAIT: Duration = Duration::from_secs(300);

/// Failures in a row after which the pods are listed anew.
const PATIENCE: u32 = 5;

/// A watch that ends sooner, and brought nothing, counts as a failure.
const SHORT: Duration = Duration::from_secs(5);

/// What the thread and its handle share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    table: RwLock<Table>,
    state: Mutex<State>,
    stopping: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stop: bool,
    listed: bool,
    failures: u32,
    error: String,
}

impl Shared {
    pub(super) fn read<T>(&self, look: impl FnOnce(&Table) -> T) -> T {
        look(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn write(&self, change: impl FnOnce(&mut Table)) {
        change(&mut self.table.write().unwrap_or_else(PoisonError::into_inner));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn status(&self) -> Status {
        let pods = self.read(Table::len);
        let state = self.state();
        let (listed, failures, error) = (state.listed, state.failures, state.error.clone());
        Status { listed, pods, failures, error }
    }

    pub(super) fn stop(&self) {
        self.state().stop = true;
        self.stopping.notify_all();
    }

    fn is_stopping(&self) -> bool {
        self.state().stop
    }

    fn succeeded(&self) {
        let mut state = self.state();
        (state.failures, state.error) = (0, String::new());
    }

    /// Waits after a failure, unless it is time to stop.
    fn failed(&self, failure: Failure) {
        let (message, wait, most) = match failure {
            Failure::Gone => return,
            Failure::Forbidden(message) => (message, Some(REFUSED_WAIT), REFUSED_WAIT),
            Failure::Later(message, wait) => (message, wait, REFUSED_WAIT),
        };
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        state.error = message;
        let doubled = FIRST_WAIT.saturating_mul(1 << (state.failures - 1).min(16)).min(LAST_WAIT);
        let wait = wait.unwrap_or(doubled).min(most).mul_f64(fraction());
        let until = self.stopping.wait_timeout_while(state, wait, |state| !state.stop);
        drop(until.unwrap_or_else(PoisonError::into_inner));
    }
}

/// A quarter to all, at random: a whole cluster of agents sees the same server fail.
fn fraction() -> f64 {
    let bits = RandomState::new().hash_one(Instant::now());
    0.25 + 0.75 * (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// Lists, watches, and does both again.
#[derive(Debug)]
pub(super) struct Watcher {
    api: Api,
    shared: Arc<Shared>,
}

impl Watcher {
    pub(super) fn new(api: Api, shared: Arc<Shared>) -> Self {
        Self { api, shared }
    }

    pub(super) fn run(self) {
        while !self.shared.is_stopping() {
            let version = match self.list() {
                Ok(version) => version,
                Err(failure) => {
                    self.shared.failed(failure);
                    continue;
                }
            };
            self.shared.state().listed = true;
            self.shared.succeeded();
            self.follow(version);
        }
    }

    fn list(&self) -> Result<String, Failure> {
        let mut body = BufReader::new(self.api.list()?.take(MAX_LIST));
        let list: PodList = serde_json::from_reader(&mut body).map_err(|error| {
            let message = match body.get_ref().limit() {
                0 => format!("the list of pods has more than {} MiB", MAX_LIST >> 20),
                _ => format!("the list of pods cannot be read: {error}"),
            };
            Failure::Later(message, None)
        })?;
        let pods = list.items.0.into_iter().map(|pod| self.kept(pod));
        let pods = pods.collect();
        self.shared.write(|table| table.replace(pods));
        Ok(list.metadata.resource_version)
    }

    fn kept(&self, pod: WirePod) -> Pod {
        let settings = &self.api.settings;
        Pod::new(pod, &settings.pod_labels, &settings.pod_annotations)
    }

    /// Watches until the list is too old.
    fn follow(&self, mut version: String) {
        while !self.shared.is_stopping() {
            let start = Instant::now();
            let before = version.clone();
            let outcome = match self.watch(&mut version) {
                // The end of a watch is usual, but not soon and without a word.
                Ok(()) if version == before && start.elapsed() < SHORT => {
                    Err(Failure::Later("the watch ends as soon as it begins".to_owned(), None))
                }
                outcome => outcome,
            };
            match outcome {
                Ok(()) => self.shared.succeeded(),
                Err(Failure::Gone) => return,
                Err(_) if self.shared.status().failures >= PATIENCE => return,
                Err(failure) => self.shared.failed(failure),
            }
        }
    }

    fn watch(&self, version: &mut String) -> Result<(), Failure> {
        let mut lines = BufReader::new(self.api.watch(version)?);
        let mut line = Vec::new();
        while !self.shared.is_stopping() {
            line.clear();
            let read = (&mut lines).take(MAX_CHANGE).read_until(b'\n', &mut line);
            match read {
                Ok(0) => return Ok(()),
                Ok(_) if !line.ends_with(b"\n") && line.len() as u64 == MAX_CHANGE => {
                    let message = format!("a change has more than {} MiB", MAX_CHANGE >> 20);
                    return Err(Failure::Later(message, None));
                }
                Ok(_) => {}
                // Its time is over, or the connection broke: what came so far counts.
                Err(_) => return Ok(()),
            }
            let change = serde_json::from_slice(&line).map_err(|error| {
                Failure::Later(format!("a change cannot be read: {error}"), None)
            })?;
            self.apply(change, version)?;
            self.shared.succeeded();
        }
        Ok(())
    }

    fn apply(&self, change: Change, version: &mut String) -> Result<(), Failure> {
        match change {
            Change::Added(pod) | Change::Modified(pod) => {
                version.clone_from(&pod.metadata.resource_version);
                let pod = self.kept(*pod);
                self.shared.write(|table| table.insert(pod));
            }
            Change::Deleted(pod) => {
                version.clone_from(&pod.metadata.resource_version);
                self.shared.write(|table| table.remove(&pod.metadata.uid));
            }
            Change::Bookmark(mark) => *version = mark.metadata.resource_version,
            Change::Error(failure) if failure.code == 410 => return Err(Failure::Gone),
            Change::Error(failure) => return Err(Failure::Later(failure.message, None)),
        }
        Ok(())
    }
}

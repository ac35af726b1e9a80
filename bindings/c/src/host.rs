//! The agent that a host program starts through the C functions.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sondage::profile::{Profile, pprof};
use sondage::{Agent, Stats};

use crate::config;
use crate::failure::{Failure, Status};
use crate::fence;

/// Locked only to take or to put the handle, never while the agent is asked: a fork meanwhile
/// must not leave the child with a lock that nobody releases.
static AGENT: Mutex<Option<Arc<Agent>>> = Mutex::new(None);

fn slot() -> MutexGuard<'static, Option<Arc<Agent>>> {
    AGENT.lock().unwrap_or_else(PoisonError::into_inner)
}

fn running() -> Result<Arc<Agent>, Failure> {
    slot().clone().ok_or_else(|| Failure::new(Status::NotRunning, "no profiler was started"))
}

/// Starts the profiler.
pub(crate) fn start(settings: &[(&str, &str)]) -> Result<(), Failure> {
    fence::silence();
    if sondage_sampler::runs_with_raised_rights() {
        let message = "this program runs with more rights than its user (set-user-id)";
        return Err(Failure::new(Status::Unsupported, message));
    }
    let config = config::from_settings(settings)?;
    let agent = Agent::start(config)?;
    *slot() = Some(Arc::new(agent));
    Ok(())
}

/// Stops the profiler; its last profile goes to `path`, if given.
pub(crate) fn stop(path: Option<&Path>) -> Result<(), Failure> {
    let agent = slot().take().ok_or_else(|| Failure::new(Status::NotRunning, NOT_STARTED))?;
    match Arc::into_inner(agent) {
        Some(agent) => deliver(&*agent.stop()?, path),
        // Another thread is flushing: the agent stops when that ends.
        None => Ok(()),
    }
}

const NOT_STARTED: &str = "no profiler was started";

/// Finishes the profile of the time since the last flush and writes it to `path`, if given.
pub(crate) fn flush(path: Option<&Path>) -> Result<(), Failure> {
    let profile = running()?.flush()?;
    deliver(&profile, path)
}

/// The counters; all zero while no profiler runs.
pub(crate) fn stats() -> Option<Stats> {
    Some(running().ok()?.stats())
}

/// Lets go of the agent without waiting for it, after a defect.
pub(crate) fn abandon() {
    if let Some(agent) = slot().take() {
        let _ = std::thread::Builder::new().spawn(|| drop(agent));
    }
}

fn deliver(profile: &Profile, path: Option<&Path>) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    sondage_recorder::write(path, &pprof::encode_gz(profile)).map_err(|error| {
        Failure::new(Status::Io, format!("cannot write {}: {error}", path.display()))
    })
}

//! The profiler of this process.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sondage::profile::pprof;
use sondage::{Agent, Config, Error};

use crate::{doors, fallback, record};

static AGENT: Mutex<Option<Arc<Agent>>> = Mutex::new(None);

fn slot() -> MutexGuard<'static, Option<Arc<Agent>>> {
    AGENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the profiler, unless one runs or settings say that none is to. Returns what is wrong with
/// the environment. Under `sondage record` the process is recorded instead.
pub(crate) fn start(mut config: Config) -> Result<Vec<String>, Error> {
    // No variable but the one that says where: `sondage record` has its own options.
    if record::begin() {
        return Ok(Vec::new());
    }
    let mut slot = slot();
    let mut begun = None;
    let warnings = std::mem::take(&mut config.warnings);
    if slot.is_none() && config.enabled {
        let (memory, locks) = (config.heap, config.locks.is_some());
        config.engine = fallback::engine().unwrap_or(config.engine);
        *slot = Some(Arc::new(Agent::start(config.clone())?));
        doors::watch(memory, locks);
        begun = Some(config);
    }
    drop(slot);
    if let Some(config) = begun {
        fallback::started(config);
    }
    Ok(warnings)
}

/// Asks the profiler of this process, be it the program's or that of `sondage record`.
pub(crate) fn ask<T>(ask: impl FnOnce(&Agent) -> T) -> Option<T> {
    match running() {
        Some(agent) => Some(ask(&agent)),
        None => sondage_recorder::with_agent(ask),
    }
}

/// Whether a profiler runs that was started here.
pub(crate) fn runs() -> bool {
    slot().is_some()
}

fn running() -> Option<Arc<Agent>> {
    slot().clone()
}

/// Stops the profiler; its last profile goes to the targets.
pub(crate) fn stop() -> Result<(), Error> {
    let Some(mut agent) = slot().take() else { return Ok(()) };
    doors::watch(None, false);
    fallback::stopped();
    // Who starts a profiler after a stop must not meet the old one, of which somebody may be asking
    // for a profile.
    let agent = loop {
        match Arc::try_unwrap(agent) {
            Ok(agent) => break agent,
            Err(shared) => agent = shared,
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    agent.stop().map(drop)
}

/// Finishes the profile of the time since the last flush: a gzipped pprof message.
pub(crate) fn flush() -> Option<Result<Vec<u8>, Error>> {
    Some(running()?.flush().map(|profile| pprof::encode_gz(&profile)))
}

/// The counters as JSON.
pub(crate) fn stats() -> Option<String> {
    serde_json::to_string(&running()?.stats()).ok()
}

/// Whether this process is profiled.
pub(crate) fn is_running() -> bool {
    let Some(agent) = running() else { return sondage_recorder::is_ready() };
    let status = agent.status();
    status.settings.enabled && status.stats.failure.is_none()
}

/// Delivers the last profile: the virtual machine ends.
pub(crate) fn finish() {
    record::finish();
    sondage::deliver_last();
}

/// Lets go of the profiler without waiting for it, after a defect.
pub(crate) fn abandon() {
    if let Some(agent) = slot().take() {
        let _ = std::thread::Builder::new().spawn(|| drop(agent));
    }
}

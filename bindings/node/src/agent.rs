//! The profiler of this process, as the package's functions see it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use napi::bindgen_prelude::{AsyncTask, Buffer};
use napi::{Env, Status, Task};
use napi_derive::napi;
use sondage::config::EnginePolicy;
use sondage::profile::pprof;
use sondage::{Agent, Config, Error, ErrorKind};
use sondage_recorder::{Options, PATIENCE};

use crate::fence::{fenced, guarded, silence};
use crate::{foreign, preloaded};

/// The running profiler, and who started it.
struct Host {
    agent: Arc<Agent>,
    /// Whether it was started for the program and not by it: then the program's own start wins.
    by_door: bool,
    plan: Plan,
}

/// What of the configuration the isolates need to know.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Plan {
    /// Bytes between two samples of memory, if it is profiled.
    pub(crate) memory: Option<u64>,
    /// Time between two profiles.
    pub(crate) interval: Duration,
}

/// The plan of the profiler that the program has; nothing where none runs.
pub(crate) fn plan() -> Plan {
    slot().as_ref().map(|host| host.plan).unwrap_or_default()
}

static HOST: Mutex<Option<Host>> = Mutex::new(None);

/// Whether `sondage record` has this process: then a start by the program does nothing.
static RECORDED: AtomicBool = AtomicBool::new(false);

fn slot() -> MutexGuard<'static, Option<Host>> {
    HOST.lock().unwrap_or_else(PoisonError::into_inner)
}

fn running() -> Option<Arc<Agent>> {
    slot().as_ref().map(|host| host.agent.clone())
}

/// Asks the profiler of this process, be it the program's or that of `sondage record`.
pub(crate) fn ask<T>(ask: impl FnOnce(&Agent) -> Result<T, Error>) -> Option<T> {
    match running() {
        Some(agent) => ask(&agent).ok(),
        None => sondage_recorder::with_agent(ask)?.ok(),
    }
}

fn exception(error: &Error) -> napi::Error {
    let status = match error.kind() {
        ErrorKind::InvalidInput => Status::InvalidArg,
        _ => Status::GenericFailure,
    };
    napi::Error::new(status, error.to_string())
}

/// What a start has to say.
#[napi(object)]
#[derive(Debug, Default)]
pub struct Started {
    /// Whether it did: not where one runs, or where settings say so.
    pub started: bool,
    /// Settings of the environment that are wrong.
    pub warnings: Vec<String>,
}

/// Starts the profiler with `settings`: the variable, the name of the option and its text, again
/// and again. `degraded` says why stacks must be handed over by [`crate::foreign::add_stacks`].
#[napi]
pub fn start(
    settings: Vec<String>,
    program: Option<String>,
    by_door: bool,
    degraded: Option<String>,
) -> napi::Result<Started> {
    fenced(Started::default(), || {
        silence();
        let mut config = config(&settings, program).map_err(|error| exception(&error))?;
        let warnings = std::mem::take(&mut config.warnings);
        let replaced = slot().take_if(|host| host.by_door && !by_door);
        if slot().is_some() || RECORDED.load(Ordering::Relaxed) {
            return Ok(Started::default());
        }
        drop(replaced);
        if !config.enabled {
            return Ok(Started { started: false, warnings });
        }
        config.engine = policy(degraded).unwrap_or(config.engine);
        let plan = Plan { memory: config.heap, interval: config.interval };
        sondage::heap::announce_handed();
        // Node.js' own resets the terminal and raises the signal again.
        sondage::one_shot_sigterm_ends_process();
        let agent = Agent::start(config).map_err(|error| exception(&error))?;
        *slot() = Some(Host { agent: Arc::new(agent), by_door, plan });
        Ok(Started { started: true, warnings })
    })
}

/// The configuration that the environment and `settings` make. Where nobody names the service, it
/// is called like `program`.
fn config(settings: &[String], program: Option<String>) -> Result<Config, Error> {
    let mut builder = Config::builder().process_environment();
    let (settings, _) = settings.as_chunks::<3>();
    for [variable, name, text] in settings {
        builder = builder.argument(variable, name, text);
    }
    let mut config = builder.build()?;
    if let Some(program) = program
        && config.service_name == Config::default().service_name
    {
        config.service_name = program;
    }
    Ok(config)
}

/// What takes the samples, where V8's frames cannot be read for this reason.
fn policy(degraded: Option<String>) -> Option<EnginePolicy> {
    static REASON: OnceLock<String> = OnceLock::new();
    let reason = degraded?;
    Some(EnginePolicy::Handed { source: foreign::SOURCE, reason: REASON.get_or_init(|| reason) })
}

/// Records this process for `sondage record`, if it runs under it; whether it does.
#[napi]
pub fn record(degraded: Option<String>) -> napi::Result<bool> {
    fenced(false, || {
        silence();
        // No variable but the one that says where: `sondage record` has its own options.
        if std::env::var_os("SONDAGE_RECORD_DIR").is_none() {
            return Ok(false);
        }
        let engine = policy(degraded).unwrap_or_default();
        preloaded::stand_down_others();
        let options = Options { patience: PATIENCE, stop_at_end: true, engine };
        let begun = RECORDED.load(Ordering::Relaxed) || sondage_recorder::take_over(options);
        if begun && !RECORDED.swap(true, Ordering::Relaxed) {
            sondage_sampler::at_exit(recorder_ends);
        }
        Ok(begun)
    })
}

extern "C" fn recorder_ends() {
    guarded(sondage_recorder::end);
}

/// Work of libuv's pool, so that the event loop goes on.
#[derive(Debug)]
pub struct Stopping(Option<Arc<Agent>>);

impl Task for Stopping {
    type Output = bool;
    type JsValue = bool;

    fn compute(&mut self) -> napi::Result<bool> {
        let agent = self.0.take();
        fenced(true, || {
            if let Some(agent) = agent {
                alone(agent).stop().map_err(|error| exception(&error))?;
            }
            Ok(!RECORDED.load(Ordering::Relaxed))
        })
    }

    fn resolve(&mut self, _: Env, stopped: bool) -> napi::Result<bool> {
        Ok(stopped)
    }
}

/// The agent, when nobody else uses it any more: flushes that were asked for before, which the pool
/// has begun before. Who starts a profiler after a stop must not meet the old one.
fn alone(mut agent: Arc<Agent>) -> Agent {
    loop {
        match Arc::try_unwrap(agent) {
            Ok(agent) => return agent,
            Err(shared) => agent = shared,
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Stops the profiler; its last profile goes to the targets. Whether none runs then: what
/// `sondage record` records goes on to the end.
#[napi]
#[must_use]
pub fn stop() -> AsyncTask<Stopping> {
    AsyncTask::new(Stopping(slot().take().map(|host| host.agent)))
}

/// As [`Stopping`].
#[derive(Debug)]
pub struct Flushing(Option<Arc<Agent>>);

impl Task for Flushing {
    type Output = Option<Vec<u8>>;
    type JsValue = Option<Buffer>;

    fn compute(&mut self) -> napi::Result<Self::Output> {
        let agent = self.0.take();
        fenced(None, || {
            let Some(agent) = agent else { return Ok(None) };
            let profile = agent.flush().map_err(|error| exception(&error))?;
            Ok(Some(pprof::encode_gz(&profile)))
        })
    }

    fn resolve(&mut self, _: Env, profile: Self::Output) -> napi::Result<Self::JsValue> {
        Ok(profile.map(Buffer::from))
    }
}

/// Finishes the profile of the time since the last flush: a gzipped pprof message; null where no
/// profiler runs.
#[napi]
#[must_use]
pub fn flush() -> AsyncTask<Flushing> {
    AsyncTask::new(Flushing(running()))
}

/// The counters as JSON; null where no profiler runs.
#[napi]
pub fn stats() -> napi::Result<Option<String>> {
    fenced(None, || {
        let Some(agent) = running() else { return Ok(None) };
        Ok(serde_json::to_string(&agent.stats()).ok())
    })
}

/// Whether this process is profiled.
#[napi]
pub fn is_running() -> napi::Result<bool> {
    fenced(false, || {
        let Some(agent) = running() else { return Ok(sondage_recorder::is_ready()) };
        let status = agent.status();
        Ok(status.settings.enabled && status.stats.failure.is_none())
    })
}

/// The process is about to end: the last profile is delivered, and nothing is sampled any more.
#[napi]
pub fn finish() -> napi::Result<()> {
    fenced((), || {
        sondage_recorder::end();
        sondage::deliver_last();
        // An agent that has failed is off already.
        running().map(|agent| agent.set_enabled(false));
        Ok(())
    })
}

/// Lets go of the profiler without waiting for it, after a defect.
pub(crate) fn abandon() {
    if let Some(host) = slot().take() {
        let _ = std::thread::Builder::new().spawn(|| drop(host));
    }
}

//! The profiler of this process, as Python's functions see it.
//!
//! The lock is taken only while the interpreter's own lock is held, and never kept across a wait:
//! so no other thread can hold it at the moment of a fork.

use std::ffi::CString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use sondage::config::EnginePolicy;
use sondage::profile::pprof;
use sondage::{Agent, Error, ErrorKind};
use sondage_recorder::{Options, PATIENCE};

use crate::fence::{fenced, guarded, silence, warn};
use crate::{interpreter, memory, selftest, settings, stacks};

/// The running profiler, and who started it.
struct Host {
    agent: Arc<Agent>,
    /// Whether it was started for the program and not by it: then the program's own start wins.
    by_door: bool,
}

static HOST: Mutex<Option<Host>> = Mutex::new(None);

fn slot() -> MutexGuard<'static, Option<Host>> {
    HOST.lock().unwrap_or_else(PoisonError::into_inner)
}

fn running() -> Option<Arc<Agent>> {
    slot().as_ref().map(|host| host.agent.clone())
}

/// Asks the profiler of this process, be it the program's or that of `sondage record`.
pub(crate) fn ask<T>(ask: impl FnOnce(&Agent) -> T) -> Option<T> {
    match running() {
        Some(agent) => Some(ask(&agent)),
        None => sondage_recorder::with_agent(ask),
    }
}

fn exception(error: Error) -> PyErr {
    match error.kind() {
        ErrorKind::InvalidInput => PyValueError::new_err(error.to_string()),
        ErrorKind::Io => PyOSError::new_err(error.to_string()),
        _ => PyRuntimeError::new_err(error.to_string()),
    }
}

/// Starts the profiler; whether it did: not where one runs, or where settings say so.
#[pyfunction]
pub(crate) fn start(
    py: Python<'_>,
    arguments: &Bound<'_, PyDict>,
    program: Option<String>,
    by_door: bool,
) -> PyResult<bool> {
    fenced(py, false, || {
        silence();
        let mut config = settings::config(arguments, program)?;
        let replaced = slot().take_if(|host| host.by_door && !by_door);
        if slot().is_some() || RECORDED.load(Ordering::Relaxed) {
            return Ok(false);
        }
        if let Some(host) = replaced {
            py.detach(|| drop(host));
        }
        for warning in &config.warnings {
            let text = CString::new(warning.replace('\0', " ")).unwrap_or_default();
            warn(py, &text);
        }
        if !config.enabled {
            return Ok(false);
        }
        config.engine = attach(py).unwrap_or(config.engine);
        memory::announce();
        let profiles_memory = config.heap.is_some();
        let agent = py.detach(|| Agent::start(config)).map_err(exception)?;
        *slot() = Some(Host { agent: Arc::new(agent), by_door });
        if !profiles_memory {
            memory::uninstall(py);
        } else if !memory::install(py) {
            warn(py, c"memory is not profiled: Python's allocators cannot be had");
        }
        Ok(true)
    })
}

/// Has the core read this interpreter's frames. Where it can't, says so, and what takes the stacks
/// instead.
fn attach(py: Python<'_>) -> Option<EnginePolicy> {
    static REASON: OnceLock<String> = OnceLock::new();
    let reason = selftest::attach(py).err()?;
    let source = stacks::SOURCE;
    let text = format!(
        "Sondage reads stacks from a thread of its own ({source}), without native frames and \
         without the labels of threads and tasks: {reason}"
    );
    warn(py, &CString::new(text.replace('\0', " ")).unwrap_or_default());
    Some(EnginePolicy::Handed { source, reason: REASON.get_or_init(|| reason) })
}

/// Whether stacks must be taken by a thread of Python, as nothing else can.
#[pyfunction]
pub(crate) fn needs_stacks() -> bool {
    sondage::python::announced().is_none()
}

/// Records this process for `sondage record`, if it runs under it; whether it does.
#[pyfunction]
pub(crate) fn record(py: Python<'_>) -> PyResult<bool> {
    fenced(py, false, || {
        silence();
        // No variable but the one that says where: `sondage record` has its own options.
        if std::env::var_os("SONDAGE_RECORD_DIR").is_none() {
            return Ok(false);
        }
        let engine = attach(py).unwrap_or_default();
        py.detach(interpreter::stand_down_preloaded);
        let begun = RECORDED.load(Ordering::Relaxed)
            || sondage_recorder::begin(Options { patience: PATIENCE, stop_at_end: true, engine });
        if begun && !RECORDED.swap(true, Ordering::Relaxed) {
            sondage_sampler::on_fork_in_child(recorder_forked);
            sondage_sampler::at_exit(recorder_ends);
        }
        Ok(begun)
    })
}

extern "C" fn recorder_forked() {
    guarded(sondage_recorder::begin_in_child);
}

extern "C" fn recorder_ends() {
    guarded(sondage_recorder::end);
}

/// Whether `sondage record` has this process: then a start by the program does nothing.
static RECORDED: AtomicBool = AtomicBool::new(false);

/// Lets the core know of the calling thread, unless that would start a profiler beside the
/// recorder's, in a forked child.
pub(crate) fn register_thread() {
    if !RECORDED.load(Ordering::Relaxed) || sondage_recorder::is_ready() {
        sondage::register_thread();
    }
}

/// Delivers what is to be delivered before the process ends.
pub(crate) fn deliver_last() {
    sondage_recorder::end();
    sondage::deliver_last();
}

/// Stops the profiler; its last profile goes to the targets. Whether none runs now: what
/// `sondage record` records goes on to the end.
#[pyfunction]
pub(crate) fn stop(py: Python<'_>) -> PyResult<bool> {
    fenced(py, true, || {
        // Not in the expression below, which would keep the lock while the agent is waited for.
        let host = slot().take();
        let stopped = match host.and_then(|host| Arc::into_inner(host.agent)) {
            Some(agent) => py.detach(|| agent.stop()).map(drop).map_err(exception),
            // Where another thread is flushing, the agent stops when that ends.
            None => Ok(()),
        };
        memory::uninstall(py);
        stopped?;
        Ok(!RECORDED.load(Ordering::Relaxed))
    })
}

/// Finishes the profile of the time since the last flush: a gzipped pprof message; `None` where no
/// profiler runs.
#[pyfunction]
pub(crate) fn flush(py: Python<'_>) -> PyResult<Option<Py<PyBytes>>> {
    fenced(py, None, || {
        let Some(agent) = running() else { return Ok(None) };
        let bytes = py.detach(|| agent.flush().map(|profile| pprof::encode_gz(&profile)));
        let bytes = bytes.map_err(exception)?;
        Ok(Some(PyBytes::new(py, &bytes).unbind()))
    })
}

/// The counters as JSON; `None` where no profiler runs.
#[pyfunction]
pub(crate) fn stats(py: Python<'_>) -> PyResult<Option<String>> {
    fenced(py, None, || {
        let Some(agent) = running() else { return Ok(None) };
        let stats = py.detach(|| agent.stats());
        Ok(serde_json::to_string(&stats).ok())
    })
}

/// Whether this process is profiled.
#[pyfunction]
pub(crate) fn is_running(py: Python<'_>) -> PyResult<bool> {
    fenced(py, false, || {
        let Some(agent) = running() else { return Ok(sondage_recorder::is_ready()) };
        let status = py.detach(|| agent.status());
        Ok(status.settings.enabled && status.stats.failure.is_none())
    })
}

/// The interpreter is about to go: the last profile is delivered, and nothing is sampled any more.
#[pyfunction]
pub(crate) fn finish(py: Python<'_>) -> PyResult<()> {
    fenced(py, (), || {
        let agent = running();
        py.detach(|| {
            deliver_last();
            // An agent that has failed is off already.
            agent.map(|agent| agent.set_enabled(false))
        });
        Ok(())
    })
}

/// In a forked child: starts its profiler.
#[pyfunction]
pub(crate) fn process_forked(py: Python<'_>) -> PyResult<()> {
    fenced(py, (), || {
        register_thread();
        Ok(())
    })
}

/// Lets go of the profiler without waiting for it, after a defect.
pub(crate) fn abandon() {
    if let Some(host) = slot().take() {
        let _ = std::thread::Builder::new().spawn(|| drop(host));
    }
}

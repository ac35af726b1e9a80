//! Stacks as Python itself tells them, for interpreters whose frames no signal handler can read.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use sondage::{ForeignFrame, ForeignStack, OwnThread};
use sondage_sampler::{Clock, current_tid};

use crate::agent;
use crate::fence::fenced;
use crate::interpreter::this_thread;

/// How these stacks are taken, in profiles and in messages.
pub(crate) const SOURCE: &str = "python-thread";

/// Whoever takes the stacks uses at most this part of a core: it sleeps as many times longer than
/// it has worked.
const SHARE_OF_CORE: u32 = 100;

/// Time between two looks at whether stacks are wanted, while none are.
const UNTIL_WANTED: Duration = Duration::from_millis(50);

/// Waiting time is handed over in portions of this, at least.
const PORTION: Duration = Duration::from_millis(200);

/// Frames of one stack: one more than the core ever shows, which it tells as a cut.
const MAX_FRAMES: usize = 513;

/// Threads that are remembered after they were last seen.
const MAX_THREADS: usize = 4_096;

/// Takes the stacks of all other threads, from the thread that has made it, which counts as the
/// profiler's own.
#[pyclass(module = "sondage")]
pub(crate) struct Stacks {
    threads: HashMap<u64, Seen>,
    /// When the last stacks were taken, unless nobody has wanted any since.
    last: Option<Instant>,
    /// This thread's own clock at the end of the last time: waking up and getting the interpreter's
    /// lock costs more than the rest.
    clock: Duration,
    _own: OwnThread,
}

/// A thread as it was last seen.
#[derive(Default)]
struct Seen {
    cpu: Duration,
    /// Its stack while its clock stands still, with the time that is still to be handed over.
    waits_in: Option<ForeignStack>,
    /// Whether it is there now.
    present: bool,
}

/// A thread as it is now.
struct Present<'py> {
    identity: u64,
    frame: Bound<'py, PyAny>,
    cpu: Duration,
}

#[pymethods]
impl Stacks {
    #[new]
    fn new() -> Self {
        // The name tells this thread from the program's. Without it only a warning changes.
        let _ = std::fs::write("/proc/thread-self/comm", "sondage-stacks");
        let own = sondage::exclude_this_thread();
        Self { threads: HashMap::new(), last: None, clock: own_clock(), _own: own }
    }

    /// Hands over the stacks of the threads that have run since the last time, with the CPU time
    /// that they have used, and those of waiting ones where waiting is recorded. Returns the seconds
    /// until the next time.
    fn take(&mut self, py: Python<'_>) -> PyResult<f64> {
        fenced(py, UNTIL_WANTED.as_secs_f64(), || {
            let status = agent::ask(sondage::Agent::status).filter(|status| status.sampling);
            let Some(status) = status else {
                self.threads.clear();
                self.last = None;
                // What these looks cost is not made up for later, when stacks are wanted again.
                self.clock = own_clock();
                return Ok(UNTIL_WANTED.as_secs_f64());
            };
            let first = self.last.is_none();
            // Out of memory, for example: there will be another time.
            let taken = self.round(py, status.settings.wall).unwrap_or_default();
            agent::ask(|agent| agent.add_foreign(taken));
            if first {
                // It touches everything for the first time; half a second of rest would hide what a
                // short program does.
                self.clock = own_clock();
            }
            let worked = own_clock().saturating_sub(self.clock);
            self.clock += worked;
            let rest = (worked * (SHARE_OF_CORE - 1)).as_secs_f64();
            Ok(rest.max(1.0 / status.current_hz.max(1.0)))
        })
    }
}

impl Stacks {
    fn round(&mut self, py: Python<'_>, wall: bool) -> PyResult<Vec<ForeignStack>> {
        let present = threads(py)?;
        let now = Instant::now();
        let elapsed = self.last.replace(now).map(|last| now.duration_since(last));
        self.threads.values_mut().for_each(|seen| seen.present = false);
        let names = names(py);
        let mut taken = Vec::new();
        for thread in present {
            let name = || name(&names, thread.identity);
            let stack = || Ok::<_, PyErr>(stack(frames(&thread.frame)?, name()));
            let known = self.threads.contains_key(&thread.identity);
            let seen = self.threads.entry(thread.identity).or_default();
            seen.present = true;
            let used = seen.used(thread.cpu, elapsed);
            let waits = wall && known;
            let waited = elapsed.filter(|_| waits).unwrap_or_default().saturating_sub(used);
            if !used.is_zero() {
                taken.extend(seen.waits_in.take().filter(|stack| !stack.waited.is_zero()));
                taken.push(ForeignStack { cpu: used, waited, ..stack()? });
            } else if !waited.is_zero() {
                let waiting = match &mut seen.waits_in {
                    Some(waiting) => waiting,
                    none => none.insert(stack()?),
                };
                waiting.waited += waited;
                if waiting.waited >= PORTION {
                    taken.push(waiting.clone());
                    waiting.waited = Duration::ZERO;
                }
            }
        }
        if self.threads.len() > MAX_THREADS {
            self.threads.retain(|_, seen| seen.present);
        }
        Ok(taken)
    }
}

impl Seen {
    /// The CPU time since the thread was last seen, given its clock now.
    ///
    /// What it used before stacks were taken is not told. A thread that comes from native code, or
    /// bears the number of one that has ended, cannot have used more than the time since everyone
    /// was last looked at: what is beyond that stays untold, and nothing is told twice.
    fn used(&mut self, cpu: Duration, elapsed: Option<Duration>) -> Duration {
        let before = std::mem::replace(&mut self.cpu, cpu);
        let used = cpu.checked_sub(before).unwrap_or(cpu);
        used.min(elapsed.unwrap_or_default())
    }
}

/// Every other thread that `threading` knows, with its leaf frame and its clock. What a thread of
/// native code left in the interpreter's list when it ended has no clock.
fn threads(py: Python<'_>) -> PyResult<Vec<Present<'_>>> {
    let frames = current_frames(py)?.cast_into::<PyDict>()?;
    let threading = py.import(intern!(py, "threading"))?;
    let known = threading.getattr(intern!(py, "_active"))?;
    let main = threading.getattr(intern!(py, "_main_thread"))?;
    let clock = |identity: u64| {
        let thread = known.get_item(identity).ok()?;
        let tid: i32 = thread.getattr(intern!(py, "native_id")).ok()?.extract().ok()?;
        // In a forked child the main thread still has its number in the parent, which is none here.
        let forked = || thread.is(&main).then_some(Clock::Thread(std::process::id() as i32));
        Clock::Thread(tid).now().ok().or_else(|| forked()?.now().ok())
    };
    let others = frames.iter().filter_map(|(identity, frame)| {
        let identity: u64 = identity.extract().ok()?;
        let cpu = (identity != this_thread()).then(|| clock(identity))??;
        Some(Present { identity, frame, cpu })
    });
    Ok(others.collect())
}

/// The interpreter's list of leaf frames.
///
/// 3.11 before 3.11.5 may collect garbage while it makes the list, with its lock for the list of
/// threads held: a finalizer that waits for a thread then waits for ever (gh-106883).
fn current_frames(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let list = || py.import(intern!(py, "sys"))?.call_method0(intern!(py, "_current_frames"));
    if py.version_info().minor != 11 {
        return list();
    }
    let gc = py.import(intern!(py, "gc"))?;
    if !gc.call_method0("isenabled")?.is_truthy()? {
        return list();
    }
    gc.call_method0("disable")?;
    let frames = list();
    gc.call_method0("enable")?;
    frames
}

/// The frames of a stack, leaf first.
fn frames(leaf: &Bound<'_, PyAny>) -> PyResult<Vec<ForeignFrame>> {
    let mut frames = Vec::new();
    let mut next = leaf.clone();
    while !next.is_none() && frames.len() < MAX_FRAMES {
        frames.push(described(&next)?);
        next = next.getattr(intern!(next.py(), "f_back"))?;
    }
    Ok(frames)
}

fn described(frame: &Bound<'_, PyAny>) -> PyResult<ForeignFrame> {
    let py = frame.py();
    let code = frame.getattr(intern!(py, "f_code"))?;
    // Since 3.11.
    let name = code.getattr(intern!(py, "co_qualname"));
    let name = name.or_else(|_| code.getattr(intern!(py, "co_name")))?;
    let number = |value: Bound<'_, PyAny>| value.extract().unwrap_or(0);
    Ok(ForeignFrame {
        name: text(&name),
        file: text(&code.getattr(intern!(py, "co_filename"))?),
        // None where the instruction has no line.
        line: number(frame.getattr(intern!(py, "f_lineno"))?),
        start_line: number(code.getattr(intern!(py, "co_firstlineno"))?),
    })
}

fn stack(frames: Vec<ForeignFrame>, thread: Arc<str>) -> ForeignStack {
    ForeignStack { source: SOURCE, frames, thread, ..ForeignStack::default() }
}

/// The threads that `threading` knows. Its own attributes, as its functions are written in Python:
/// while they ran, other threads could.
fn names(py: Python<'_>) -> Option<Bound<'_, PyDict>> {
    let modules = py.import(intern!(py, "sys")).ok()?.getattr(intern!(py, "modules")).ok()?;
    let threading = modules.cast::<PyDict>().ok()?.get_item(intern!(py, "threading")).ok()??;
    threading.getattr(intern!(py, "_active")).ok()?.cast_into().ok()
}

fn name(names: &Option<Bound<'_, PyDict>>, identity: u64) -> Arc<str> {
    let thread = names.as_ref().and_then(|names| names.get_item(identity).ok()?);
    let name = thread.and_then(|thread| thread.getattr(intern!(thread.py(), "_name")).ok());
    name.map_or_else(|| Arc::from(""), |name| text(&name))
}

fn text(value: &Bound<'_, PyAny>) -> Arc<str> {
    value.cast::<PyString>().map_or_else(|_| Arc::from(""), |text| text.to_string_lossy().into())
}

fn own_clock() -> Duration {
    Clock::Thread(current_tid()).now().unwrap_or_default()
}

//! The thread that records a process under `sondage record`.
//!
//! It waits until the process has lived for a while, so that the many short processes of a script
//! cost no more than a thread; then it starts an agent and writes the profile so far about once a
//! second, so that a process that is killed loses at most that. At the end of the process it
//! writes the rest.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sondage::config::EnginePolicy;
use sondage::profile::{Profile, pprof};
use sondage::{Agent, Config};

use crate::file::write;
use crate::phase;
use crate::recording::{Settings, configuration, directory};

/// How long a process must live to be recorded, unless there is a reason to wait longer.
pub const PATIENCE: Duration = Duration::from_millis(20);

/// Time between two writings, at least.
const PAUSE: Duration = Duration::from_secs(1);

/// Time between two writings, in times of what the last one took: writing uses at most 2 % of a
/// core.
const PAUSE_FACTOR: u32 = 50;
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Samples in one file; beyond, the next file begins.
const MAX_SAMPLES: usize = 16_384;

/// Merging and encoding need little; the memory is touched only when they do.
const STACK_BYTES: usize = 1 << 20;

/// How this process is recorded.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// A process that ends sooner is not recorded.
    pub patience: Duration,
    /// Whether sampling ends with the recording also where the process ends, instead of going on
    /// to the very last instruction.
    pub stop_at_end: bool,
    /// What takes the samples.
    pub engine: EnginePolicy,
}

/// The directory of the recording, for children too.
static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();

/// How this process is recorded, at first and by who has taken over.
static FIRST: OnceLock<Options> = OnceLock::new();
static LATER: OnceLock<Options> = OnceLock::new();

fn options() -> Option<Options> {
    LATER.get().or(FIRST.get()).copied()
}

/// Set while an agent records.
static READY: AtomicBool = AtomicBool::new(false);

/// Starts the waiting thread if this process is to be recorded. Returns whether it is.
pub fn begin(options: Options) -> bool {
    if sondage_sampler::runs_with_raised_rights() {
        return false;
    }
    let Some(directory) = directory() else { return false };
    FIRST.get_or_init(|| options);
    spawn(DIRECTORY.get_or_init(|| directory))
}

/// As [`begin`], where the same library may have begun already, knowing less of the process: then
/// these options count from now on.
pub fn take_over(options: Options) -> bool {
    let Some(directory) = DIRECTORY.get() else { return begin(options) };
    LATER.get_or_init(|| options);
    if phase::hurry() {
        return true;
    }
    phase::leave();
    spawn(directory)
}

/// Starts the waiting thread of a forked child.
pub fn begin_in_child() {
    READY.store(false, Ordering::Relaxed);
    if let Some(directory) = DIRECTORY.get()
        && !phase::stood_down()
    {
        spawn(directory);
    }
}

/// Whether this process has an agent that records. In a forked child, nobody may call the core
/// before: it would start an agent of its own, like the parent's.
pub fn is_ready() -> bool {
    READY.load(Ordering::Acquire)
}

/// The agent that records, for who hands stacks over.
static AGENT: Mutex<Weak<Agent>> = Mutex::new(Weak::new());

/// Asks the agent that records; `None` where none does. Waits for nobody.
pub fn with_agent<T>(ask: impl FnOnce(&Agent) -> T) -> Option<T> {
    // What a forked child finds before is its parent's.
    if !is_ready() {
        return None;
    }
    let agent = AGENT.try_lock().ok()?.upgrade()?;
    Some(ask(&agent))
}

fn spawn(directory: &'static Path) -> bool {
    phase::wait();
    let builder = std::thread::Builder::new().name("sondage-record".into());
    let body = move || {
        let _ = catch_unwind(AssertUnwindSafe(|| run(directory)));
        READY.store(false, Ordering::Relaxed);
        phase::idle();
    };
    let spawned =
        sondage_sampler::with_signals_blocked(|| builder.stack_size(STACK_BYTES).spawn(body));
    match &spawned {
        Ok(thread) => phase::wake_at_end(thread.thread().clone()),
        Err(_) => phase::idle(),
    }
    spawned.is_ok()
}

fn run(directory: &Path) {
    let begun = Instant::now();
    while phase::is_waiting()
        && let Some(left) = options().and_then(|it| it.patience.checked_sub(begun.elapsed()))
    {
        std::thread::park_timeout(left);
    }
    if !phase::record() {
        return;
    }
    let Some(options) = options() else { return };
    let Some(settings) = Settings::read(directory) else { return };
    if settings.left() == Some(Duration::ZERO) {
        return;
    }
    let _own = sondage::exclude_this_thread();
    let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let stem = directory.join(format!("{}-{}", std::process::id(), start.as_nanos()));
    let open = stem.with_extension("open");
    let _ = File::create(&open);
    let configuration = Config { engine: options.engine, ..configuration(&settings) };
    match Agent::start(configuration) {
        Ok(agent) => {
            let agent = Arc::new(agent);
            // In a forked child the lock may have been left taken: then nobody asks.
            if let Ok(mut known) = AGENT.try_lock() {
                *known = Arc::downgrade(&agent);
            }
            READY.store(true, Ordering::Release);
            let total = Profile::new(Vec::new());
            let recorder = Recorder { agent, stem, options, total, part: 0, told: Duration::ZERO };
            // What cannot be written (the recording is over, the disk is full) is given up.
            let _ = recorder.run(&settings);
        }
        Err(error) => {
            let line = format!("{} (pid {}): {error}\n", command(), std::process::id());
            let _ = write(&stem.with_extension("failed"), line.as_bytes());
        }
    }
    let _ = std::fs::remove_file(open);
}

/// A running recording.
struct Recorder {
    agent: Arc<Agent>,
    /// Path of the files without part and extension.
    stem: PathBuf,
    options: Options,
    /// What the file that is being written holds.
    total: Profile,
    part: u32,
    /// What the files before it tell of the profiler's own CPU time.
    told: Duration,
}

impl Recorder {
    fn run(mut self, settings: &Settings) -> std::io::Result<()> {
        // Early, for the sake of programs that crash in their first second.
        let mut pause = PAUSE / 4;
        loop {
            std::thread::park_timeout(settings.left().map_or(pause, |left| left.min(pause)));
            let ending = phase::is_ending();
            let last = ending || phase::is_leaving() || settings.left() == Some(Duration::ZERO);
            let before = Instant::now();
            let fresh = self.agent.flush().map_err(std::io::Error::other)?;
            self.add(&fresh)?;
            if ending && !self.options.stop_at_end {
                // The process is about to go, with everything an orderly stop would take down.
                std::mem::forget(self);
                return Ok(());
            }
            if last {
                return Ok(());
            }
            pause = (before.elapsed() * PAUSE_FACTOR).clamp(PAUSE, LONGEST_PAUSE);
        }
    }

    /// Adds a profile to the file.
    fn add(&mut self, fresh: &Profile) -> std::io::Result<()> {
        self.total.merge(fresh);
        let shared = std::mem::replace(&mut self.total.meta.labels, identity());
        // With the start of the agent, which the profiles' own costs leave out.
        let cost = sondage::own_cpu();
        self.total.meta.cost = Some(cost.saturating_sub(self.told));
        let bytes = pprof::encode_gz(&self.total);
        self.total.meta.labels = shared;
        let mut path = self.stem.clone().into_os_string();
        path.push(format!("-{}.pb.gz", self.part));
        write(Path::new(&path), &bytes)?;
        if self.total.samples().len() > MAX_SAMPLES {
            self.total = Profile::new(Vec::new());
            self.part += 1;
            self.told = cost;
        }
        Ok(())
    }
}

/// The labels that tell this process from others.
fn identity() -> Vec<(String, String)> {
    let pid = std::process::id().to_string();
    vec![("command".to_owned(), command()), ("pid".to_owned(), pid)]
}

/// The name of the process as the kernel knows it.
fn command() -> String {
    let name = std::fs::read("/proc/self/comm").unwrap_or_default();
    String::from_utf8_lossy(&name).trim_end().to_owned()
}

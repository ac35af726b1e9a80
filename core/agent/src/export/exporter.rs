//! Hands every profile to every sink, each of which has a thread and a queue of its own: a slow
//! server delays no other.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::lane::Lane;
use super::shared::Shared;
use super::sink::Sink;
use super::stats::ExportStats;
use crate::error::{Error, ErrorKind};
use crate::profile::Profile;

/// TLS needs some; the memory is touched only when it does.
const STACK_BYTES: usize = 1 << 20;

/// Starts a thread from its settings and its body. An agent blocks signals in it, and leaves it
/// out of the profile.
pub type Spawn = fn(std::thread::Builder, Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>>;

/// Sizes and times of an [`Exporter`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Profiles that wait for one sink, besides the one in delivery; 8.
    pub max_profiles: usize,
    /// Bytes of memory that those may hold, about; 16 MiB. The newest profile is always kept.
    pub max_bytes: usize,
    /// The longest that one try may take, connecting included; 10 s.
    pub push_timeout: Duration,
    /// The longest wait after a first failure; it doubles with every further one. The shortest is
    /// a quarter of it. Where second tries have lately helped, waits are a twentieth. 20 s.
    pub backoff_base: Duration,
    /// The longest wait at all; 60 s.
    pub backoff_max: Duration,
    /// Where uploads wait that are not local, so that they outlive the process; nowhere.
    pub spool: Option<SpoolOptions>,
}

/// Where uploads wait on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolOptions {
    /// A directory, which is made when need be. Each service and sink has a folder in it.
    pub dir: PathBuf,
    /// Bytes that such a folder may hold, whichever processes write to it. A living process keeps
    /// its newest file in any case, of a sixteenth of this or 4 MiB.
    pub max_bytes: u64,
    /// Whose uploads they are: processes of the same service take over from each other.
    pub service: String,
}

impl Options {
    /// Waits that suit profiles of this interval: in an outage a server gets less than it usually
    /// does. The first wait is 1 s to 2 min at most.
    pub fn with_interval(self, interval: Duration) -> Self {
        let range = Duration::from_secs(1)..=Duration::from_secs(120);
        let backoff_base = (interval * 2).clamp(*range.start(), *range.end());
        let backoff_max = self.backoff_max.max(backoff_base);
        Self { backoff_base, backoff_max, ..self }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_profiles: 8,
            max_bytes: 16 << 20,
            push_timeout: Duration::from_secs(10),
            backoff_base: Duration::from_secs(20),
            backoff_max: Duration::from_secs(60),
            spool: None,
        }
    }
}

/// Delivers profiles in the background. Nothing it does blocks or panics into its caller.
///
/// Order is kept within a sink. An upload is tried at most 8 times, after waits that grow and are
/// spread at random, or after what the server asks for in `Retry-After` (at most an hour). When a
/// queue is full the oldest profile goes. Whatever does not arrive is counted in [`ExportStats`].
///
/// With a spool, uploads are written to disk before they are sent; those of a profile that comes
/// while another upload is being sent, after that one's try. They wait there until the
/// server takes them or they get too old for it, also for the next process of the service when
/// this one ends, however it ends. Disk trouble is counted, and uploads go on without.
///
/// Dropping an exporter gives up what waits; [`Exporter::stop`] tries to deliver it first. What a
/// spool has stays there in both cases.
/// After `fork` the child's copy does nothing: its threads are the parent's.
#[derive(Debug)]
pub struct Exporter {
    lanes: Vec<Handle>,
    pid: u32,
}

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    /// `None` once joined.
    thread: Option<JoinHandle<()>>,
}

impl Exporter {
    /// Starts one thread for each sink, named `sondage-push`.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when a thread cannot be started; those started before end again.
    pub fn start(
        sinks: Vec<Box<dyn Sink>>,
        options: &Options,
        spawn: Spawn,
    ) -> Result<Self, Error> {
        let mut exporter = Self { lanes: Vec::new(), pid: std::process::id() };
        for sink in sinks {
            let shared = Arc::new(Shared::new(sink.name(), options));
            let lane = Lane::new(sink, shared.clone(), options);
            let builder =
                std::thread::Builder::new().name("sondage-push".into()).stack_size(STACK_BYTES);
            let thread = spawn(builder, Box::new(move || lane.run())).map_err(|error| {
                Error::new(ErrorKind::Io, format!("no thread for uploads: {error}"))
                    .with_source(error)
            })?;
            exporter.lanes.push(Handle { shared, thread: Some(thread) });
        }
        Ok(exporter)
    }

    /// Queues a profile for every sink. Costs a lock and, when a queue is full, the memory of the
    /// oldest profile.
    pub fn submit(&self, profile: &Arc<Profile>) {
        if self.is_ours() {
            self.lanes.iter().for_each(|lane| lane.shared.submit(profile.clone()));
        }
    }

    /// What became of the uploads so far, for each sink in the order they were given.
    pub fn stats(&self) -> Vec<ExportStats> {
        // In a forked child the locks may be held for ever by threads that do not exist.
        if !self.is_ours() {
            return Vec::new();
        }
        self.lanes.iter().map(|lane| lane.shared.stats()).collect()
    }

    /// Waits until everything queued so far is delivered or given up; `false` when `deadline`
    /// came first.
    pub fn drain(&self, deadline: Instant) -> bool {
        !self.is_ours() || self.lanes.iter().all(|lane| lane.shared.wait_idle(deadline))
    }

    /// Tries everything queued so far without pauses, until `deadline` or a first failure, and
    /// waits for that; whether it came before `deadline`. The exporter goes on.
    pub fn hurry(&self, deadline: Instant) -> bool {
        if !self.is_ours() {
            return true;
        }
        self.lanes.iter().for_each(|lane| lane.shared.request_hurry(deadline));
        self.lanes.iter().all(|lane| lane.shared.wait_hurried(deadline))
    }

    /// Whether there is anywhere to deliver to.
    pub fn has_sinks(&self) -> bool {
        !self.lanes.is_empty()
    }

    /// Stops: every upload that waits is tried once more, without further pauses, until
    /// `deadline`. Then the rest is dropped and counted. With a spool the first failure ends that,
    /// and the rest stays on disk.
    ///
    /// Returns at `deadline` at the latest. A thread that is then still in an upload ends by
    /// itself, within [`Options::push_timeout`].
    pub fn stop(mut self, deadline: Instant) -> Vec<ExportStats> {
        self.end(deadline);
        self.stats()
    }

    fn end(&mut self, deadline: Instant) {
        if !self.is_ours() {
            // Detaching a thread that does not exist here would touch memory that it has freed.
            self.lanes.drain(..).for_each(std::mem::forget);
            return;
        }
        for lane in &self.lanes {
            lane.shared.request_stop(deadline);
        }
        for lane in &mut self.lanes {
            if let Some(thread) = lane.thread.take()
                && lane.shared.wait_done(deadline)
            {
                let _ = thread.join();
            }
        }
    }

    fn is_ours(&self) -> bool {
        self.pid == std::process::id()
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.end(Instant::now());
    }
}

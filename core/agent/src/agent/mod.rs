//! The agent: one thread that collects, and the handle to it.

mod burst;
mod doors;
mod ending;
mod farewell;
pub(crate) mod fork;
mod participation;
mod running;
mod settings;
mod status;
mod window;
mod work;

pub use ending::deliver_last;
pub use settings::Change;
pub use settings::Settings;
pub use status::BurstStatus;
pub use status::Status;

pub(crate) use burst::Burst;
pub(crate) use burst::Taken;
pub(crate) use running::Handle;
#[cfg(feature = "pull")]
pub(crate) use window::Window;

use crate::config::{Config, SignalPolicy};
use crate::error::{Error, ErrorKind};
use crate::pipeline::{ForeignHeap, ForeignStack, exclude_this_thread};
use crate::profile::Profile;
use crate::stats::Stats;
use running::{Command, Running};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Starts a thread of Sondage: it runs no signal handler of the host, and is not sampled.
fn spawn_own(
    builder: std::thread::Builder,
    body: Box<dyn FnOnce() + Send>,
) -> std::io::Result<JoinHandle<()>> {
    sondage_sampler::with_signals_blocked(|| {
        builder.spawn(move || {
            let _own = exclude_this_thread();
            body();
        })
    })
}

/// A running profiler. There is one in a process; dropping the handle stops it and leaves
/// nothing behind: no thread, no timer, no signal handler, no mapping.
///
/// A forked child starts a profiler of its own, with the same configuration and its own process
/// id, at the first change of labels, [`register_thread`](crate::register_thread) or call of a
/// method of this handle; before, it runs as if there were none.
#[derive(Debug)]
pub struct Agent {
    /// `None` once stopped.
    running: Option<Running>,
}

impl Agent {
    /// Starts profiling this process. With a configuration that is not
    /// [`enabled`](Config::enabled) nothing is started, and the handle does nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] when an agent runs already, [`ErrorKind::Unsupported`] when this
    /// process, kernel or build does not allow it, [`ErrorKind::Io`] when a thread or a file
    /// cannot be had.
    pub fn start(config: Config) -> Result<Self, Error> {
        if !config.enabled {
            return Ok(Self { running: None });
        }
        fork::take_over();
        let (running, started) = Running::spawn(&config)?;
        match started.recv() {
            Ok(outcome) => outcome?,
            Err(_) => return Err(Error::new(ErrorKind::Internal, "the agent thread failed")),
        }
        fork::remember(config);
        Ok(Self { running: Some(running) })
    }

    /// Finishes the profile of the time since the last flush, sends it to the configured targets
    /// and returns it. Waits for the agent thread: milliseconds, more when symbols of large
    /// binaries are read for the first time.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when the agent thread has failed or does not answer.
    pub fn flush(&self) -> Result<Arc<Profile>, Error> {
        self.with(|running| running.handle().ask(Command::Flush))
    }

    /// Stops profiling and returns the last profile, which is also sent to the targets.
    ///
    /// # Errors
    /// As for [`Agent::flush`]; profiling is off in any case.
    pub fn stop(mut self) -> Result<Arc<Profile>, Error> {
        let last = self.with(Running::stop);
        self.end();
        last
    }

    /// What the agent has done and lost so far, as of the last flush.
    pub fn stats(&self) -> Stats {
        self.status().stats
    }

    /// What is set, what runs and what was done. Waits for nobody, also not for a flush that is
    /// under way.
    pub fn status(&self) -> Status {
        self.with(|running| Ok(running.handle().status())).unwrap_or_default()
    }

    /// Changes the rate, in samples a second of CPU time for each thread; 1 to 5000. What was
    /// sampled before keeps its weight. The governor may hold the rate lower and returns to this
    /// one; a burst that runs goes on, and this rate comes after it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a rate out of range, [`ErrorKind::Internal`] where no agent
    /// runs or answers.
    pub fn set_hz(&self, hz: u32) -> Result<(), Error> {
        self.change(Change { hz: Some(hz), ..Change::default() })
    }

    /// Changes whether waiting time is recorded too, by beginning a new profile.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] where no agent runs or answers.
    pub fn set_wall(&self, wall: bool) -> Result<(), Error> {
        self.change(Change { wall: Some(wall), ..Change::default() })
    }

    /// Forbids or allows signals. Where they are forbidden, eBPF takes the samples, if it can be had,
    /// and otherwise nothing does; where they are allowed again, they are used again within the next
    /// three profiles.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] where no agent runs or answers.
    pub fn set_signals(&self, policy: SignalPolicy) -> Result<(), Error> {
        self.change(Change { signals: Some(policy), ..Change::default() })
    }

    /// Replaces the labels of the whole process, by beginning a new profile: what was sampled
    /// before stays under the labels that it had. `service_name` stays.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for what [`Builder::label`](crate::config::Builder::label)
    /// refuses, [`ErrorKind::Internal`] where no agent runs or answers.
    pub fn set_labels<K: Into<String>, V: Into<String>>(
        &self,
        labels: impl IntoIterator<Item = (K, V)>,
    ) -> Result<(), Error> {
        let labels = labels.into_iter().map(|(name, value)| (name.into(), value.into()));
        self.change(Change { labels: Some(labels.collect()), ..Change::default() })
    }

    /// Turns profiling off and on again. Off, there is no timer, no signal handler, no mapping
    /// and no upload, and the agent thread sleeps; what was sampled until then is handed out
    /// first. The time in which it was off is in no profile and counts as no loss.
    ///
    /// # Errors
    /// As [`Agent::start`] when it cannot be turned on, [`ErrorKind::Internal`] where no agent
    /// runs or answers.
    pub fn set_enabled(&self, enabled: bool) -> Result<(), Error> {
        self.change(Change { enabled: Some(enabled), ..Change::default() })
    }

    /// Changes several settings together: all of them, or none where one is wrong.
    ///
    /// # Errors
    /// As the methods for each.
    pub fn change(&self, change: Change) -> Result<(), Error> {
        self.with(|running| running.handle().change(change))
    }

    /// Samples at another rate for a while (100 ms to 5 minutes), also where profiling is off;
    /// then the settings return by themselves. Its profiles are its own: they begin and end with
    /// it and carry the label `sondage_burst` with its rate. Returns at once.
    ///
    /// ```no_run
    /// # let agent = sondage::Agent::start(sondage::Config::default())?;
    /// agent.burst(250, std::time::Duration::from_secs(10))?;
    /// # Ok::<(), sondage::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a rate or duration out of range, [`ErrorKind::Busy`] while
    /// a burst runs, otherwise as [`Agent::set_enabled`].
    pub fn burst(&self, hz: u32, duration: Duration) -> Result<(), Error> {
        let burst = Burst { hz, duration, keep: false };
        self.with(|running| running.handle().burst(burst)).map(drop)
    }

    /// Adds stacks that were not taken by the sampler, and returns how many of them found room in
    /// the queue to the agent thread, which holds 4,096; the others are counted, with their time as
    /// `dropped`. For bindings to runtimes in which no signal can be used. Waits for nobody.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] where no agent runs.
    pub fn add_foreign(
        &self,
        stacks: impl IntoIterator<Item = ForeignStack>,
    ) -> Result<usize, Error> {
        self.with(|running| Ok(running.handle().add_foreign(stacks)))
    }

    /// Puts a snapshot of memory in the place of the last one of the same source and part; each
    /// flush shows them as they are then, as a profile of the type `inuse_space`. Returns whether
    /// there was room, which is for 1,024 parts. Waits for nobody. For bindings that have
    /// [announced](crate::heap::announce_handed) it.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] where no agent runs.
    pub fn replace_foreign_heap(&self, heap: ForeignHeap) -> Result<bool, Error> {
        self.with(|running| Ok(running.handle().replace_foreign_heap(heap)))
    }

    /// Forgets the snapshot of a part that is gone. Waits for nobody.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] where no agent runs.
    pub fn remove_foreign_heap(&self, source: &'static str, part: u64) -> Result<(), Error> {
        self.with(|running| {
            running.handle().remove_foreign_heap(source, part);
            Ok(())
        })
    }

    /// Asks the agent of this process: in a forked child its own.
    fn with<T>(&self, ask: impl FnOnce(&Running) -> Result<T, Error>) -> Result<T, Error> {
        match &self.running {
            Some(running) if running.is_here() => ask(running),
            _ => fork::with_child(ask)
                .unwrap_or_else(|| Err(Error::new(ErrorKind::Internal, "no agent runs here"))),
        }
    }

    fn end(&mut self) {
        if let Some(running) = self.running.take() {
            if running.is_here() {
                fork::forget_config();
                running.join();
            } else {
                // Its thread and the other ends of its channels are in the parent.
                std::mem::forget(running);
                fork::end_child();
            }
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if self.running.is_some() {
            let _ = self.with(Running::stop);
            self.end();
        }
    }
}

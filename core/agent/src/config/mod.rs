//! How the agent is set up.
use std::time::Duration;

/// How to profile. [`Default`] profiles CPU time at 100 Hz.
#[derive(Clone, Debug)]
pub struct Config {
    /// Samples a second of CPU time, for each thread; 1 to 1000. Clamped to the kernel's tick.
    pub hz: u32,
    /// Whether waiting time is recorded too.
    pub wall: bool,
    /// Time between two profiles.
    pub interval: Duration,
    /// Labels of the whole process.
    pub labels: Vec<(String, String)>,
    /// Threads sampled at once.
    pub max_threads: u32,
    /// Frames of one stack.
    pub max_depth: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hz: 100,
            wall: false,
            interval: Duration::from_secs(10),
            labels: Vec::new(),
            max_threads: 1024,
            max_depth: 128,
        }
    }
}

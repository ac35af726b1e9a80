//! What each isolate asks once a second: what is wanted of it now.

use napi_derive::napi;

use crate::agent;
use crate::fence::fenced;
use crate::foreign;

/// What is wanted of an isolate.
#[napi(object)]
#[derive(Debug, Default)]
pub struct Pulse {
    /// Samples a second, where stacks are to be handed over; 0 where they are not.
    pub handed_hz: f64,
    /// Whether waiting time is recorded.
    pub wall: bool,
    /// Whether a profiler runs and is not turned off.
    pub on: bool,
    /// Finished profiles.
    pub flushes: f64,
    /// Bytes between two samples of memory; 0 where it is not profiled.
    pub memory: f64,
    /// Seconds between two profiles.
    pub interval: f64,
}

/// Asks the profiler, without waiting for anybody.
#[napi]
pub fn pulse() -> napi::Result<Pulse> {
    fenced(Pulse::default(), || {
        let status = agent::ask(|agent| Ok(agent.status()));
        let Some(status) = status.filter(|status| status.sampling) else {
            return Ok(Pulse::default());
        };
        let handed = status.stats.engine == foreign::SOURCE;
        let plan = agent::plan();
        Ok(Pulse {
            handed_hz: if handed { status.current_hz } else { 0.0 },
            wall: status.settings.wall,
            on: true,
            flushes: status.stats.flushes as f64,
            memory: plan.memory.map_or(0.0, |rate| rate as f64),
            interval: plan.interval.as_secs_f64(),
        })
    })
}

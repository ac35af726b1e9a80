//! What can take samples besides CPU timers.

use sondage::Agent;
use sondage::config::{Config, EnginePolicy};
use std::fs;
use std::time::Duration;

use super::check::Check;

/// Perf events, which CPU timers do without.
pub(super) fn perf_events() -> Check {
    const PATH: &str = "/proc/sys/kernel/perf_event_paranoid";
    let level = fs::read_to_string(PATH).unwrap_or_default();
    let level = match level.trim() {
        "" => "the kernel has none".to_owned(),
        level => format!("perf_event_paranoid is {}", level.escape_debug()),
    };
    let found = tried(EnginePolicy::Perf, "perf", "SONDAGE_ENGINE=perf");
    Check::ok("perf events", format!("{found}; {level}"))
}

/// One timer for the process.
pub(super) fn process_timer() -> Check {
    let found = tried(EnginePolicy::Process, "process-timer", "SONDAGE_ENGINE=process");
    Check::ok("process timer", found)
}

/// Starts an agent with an engine and says what became of it. None is needed, so that none fails.
pub(super) fn tried(engine: EnginePolicy, name: &str, setting: &str) -> String {
    let config = Config {
        engine,
        interval: Duration::from_secs(3600),
        targets: Vec::new(),
        control: false,
        ..Config::default()
    };
    let agent = match Agent::start(config) {
        Ok(agent) => agent,
        Err(error) => return format!("not tried: {error}"),
    };
    let stats = agent.status().stats;
    let reason = stats.engine_reason.unwrap_or_default();
    match stats.engine == name {
        true => format!("{setting} works: {reason}"),
        false => format!("not to be had, and not needed by CPU timers: {reason}"),
    }
}

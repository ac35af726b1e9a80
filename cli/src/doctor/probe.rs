//! The real thing: an agent that samples this process while it computes.

use std::hint::black_box;
use std::time::{Duration, Instant};

use sondage::{Agent, Config, ErrorKind, Stats};
use sondage_sampler::Clock;

use super::check::Check;

const NAME: &str = "sampling";

/// CPU time to use up under the agent.
const BURN: Duration = Duration::from_millis(200);

/// How long that may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);

/// Samples a second.
const HZ: u32 = 100;

/// Starts an agent, computes for a fifth of a second, and counts the samples. The engine, which is
/// the one that the environment asks for or what can be had instead, comes along.
pub(super) fn sampling() -> (Check, Option<String>) {
    let environment = Config::from_env().unwrap_or_default();
    let config = Config {
        hz: HZ,
        engine: environment.engine,
        signals: environment.signals,
        interval: Duration::from_secs(3600),
        targets: Vec::new(),
        ..Config::default()
    };
    match Agent::start(config) {
        Ok(agent) => {
            let used = burn();
            let flushed = agent.flush();
            let stats = agent.stats();
            drop(agent);
            let check = match flushed {
                Ok(_) => judge(used, &stats),
                Err(error) => Check::fail(NAME, error.to_string(), "report this as a defect"),
            };
            (check, Some(stats.engine))
        }
        Err(error) => (Check::fail(NAME, error.to_string(), remedy(error.kind())), None),
    }
}

fn judge(used: Duration, stats: &Stats) -> Check {
    if stats.engine == "none" {
        let why = stats.engine_reason.clone().unwrap_or_default();
        return Check::fail(
            NAME,
            format!("nothing takes samples: {why}"),
            remedy(ErrorKind::Unsupported),
        );
    }
    let covered = Duration::from_nanos(stats.sampled_cpu);
    let expected = used.as_secs_f64() / stats.interval.as_secs_f64().max(1e-9);
    let reason = stats.engine_reason.as_deref();
    let found = format!(
        "{} samples in {} ms of CPU time, {expected:.0} expected; each cost {:.1} µs{}",
        stats.samples,
        used.as_millis(),
        stats.handler_p50 as f64 / 1000.0,
        reason.map_or(String::new(), |reason| format!("; {reason}"))
    );
    if stats.samples == 0 {
        let remedy = "the kernel accepts CPU timers but does not deliver their signals here \
                      (a sandbox such as gVisor?): run on a plain Linux kernel";
        return Check::fail(NAME, found, remedy);
    }
    if covered < used / 2 {
        let remedy = "less than half of the CPU time was sampled; on a machine without spare time \
                      this passes, otherwise the kernel or hypervisor delivers timers late";
        return Check::warn(NAME, found, remedy);
    }
    Check::ok(NAME, found)
}

fn remedy(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Unsupported => {
            "allow timer_create and timer_settime in the seccomp profile (Docker's and \
             Kubernetes' RuntimeDefault do), and raise RLIMIT_SIGPENDING (ulimit -i) if it is low"
        }
        ErrorKind::Io => {
            "give the process 80 MiB more address space (ulimit -v) and one thread more"
        }
        _ => "report this as a defect",
    }
}

/// Uses up CPU time and returns how much.
fn burn() -> Duration {
    let cpu = || Clock::Process.now().unwrap_or_default();
    let (start, latest) = (cpu(), Instant::now() + PATIENCE);
    let mut state = 1u64;
    while cpu().saturating_sub(start) < BURN && Instant::now() < latest {
        for _ in 0..10_000 {
            state = black_box(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
    }
    cpu().saturating_sub(start)
}

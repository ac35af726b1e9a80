//! Which engine takes the samples: what is asked for, and what a probe shows to work.

use super::interval::possible;
use super::limits::status_of;
use crate::config::EnginePolicy;
use sondage_sampler::{Engine, Fallback, Landing, Sampler, Source};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Signals of perf events may cost this share of a thread's CPU time where nobody has asked for
/// them: half of the profiler's whole budget. At 100 Hz that is 50 µs a signal; measured are
/// 4 to 60 µs, by processor and hypervisor (`docs/decisions/0010-engines.md`).
const AFFORDABLE: f64 = 0.005;

/// The rate at which perf events are probed: 8 signals then take 2.4 ms, and one that cost 60 µs
/// would leave most of the time to the probe.
const PROBE_INTERVAL: Duration = Duration::from_micros(300);

/// CPU time that one probe may use.
const PROBE_LIMIT: Duration = Duration::from_millis(30);

/// The cost of a perf event's signal in nanoseconds, with time in the kernel counted, once it was
/// measured; 0 before. Forked children, which are on the same machine, need not measure it again.
static PERF_COST: AtomicU64 = AtomicU64::new(0);

/// The engine, and why.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    pub(crate) engine: Engine,
    /// The name in profiles and in messages.
    pub(crate) name: &'static str,
    pub(crate) reason: Option<String>,
}

impl Choice {
    fn timer() -> Self {
        Self { engine: Engine::Timer, name: Source::Timer.name(), reason: None }
    }

    fn because(engine: Engine, reason: impl Into<String>) -> Self {
        Self { engine, name: name(engine), reason: Some(reason.into()) }
    }
}

fn name(engine: Engine) -> &'static str {
    match engine {
        Engine::Timer => Source::Timer.name(),
        Engine::Perf => Source::Perf.name(),
        Engine::Process => Source::Process.name(),
        Engine::None => "none",
    }
}

/// A source in a set of them.
pub(super) fn source_bit(source: Source) -> u32 {
    1u32.checked_shl(source as u32).unwrap_or(0)
}

/// The names of a set of sources, or that of the engine for an empty one.
pub(super) fn sources(set: u32, chosen: &str) -> Vec<String> {
    let all = [Source::Timer, Source::Ebpf, Source::Perf, Source::Process];
    let used = all.into_iter().filter(|source| set & source_bit(*source) != 0);
    let mut names: Vec<_> = used.map(|source| source.name().to_owned()).collect();
    if names.is_empty() {
        names.push(chosen.to_owned());
    }
    names
}

/// Chooses, for samples every `interval` of CPU time. Perf events and the process' timer are tried
/// on the calling thread, which must be one of Sondage's own: up to 30 ms of CPU time.
pub(super) fn choose(policy: EnginePolicy, prefers_exact: bool, interval: Duration) -> Choice {
    match policy {
        EnginePolicy::Timer | EnginePolicy::Ebpf => Choice::timer(),
        EnginePolicy::Auto if !prefers_exact => Choice::timer(),
        EnginePolicy::Auto if is_filtered() => Choice::because(
            Engine::Timer,
            "a seccomp filter, which may end who asks for perf events",
        ),
        EnginePolicy::Auto => match perf_cost() {
            Ok(cost) => by_cost(cost, interval),
            Err(reason) => Choice::because(Engine::Timer, reason),
        },
        EnginePolicy::Perf => match probe(Engine::Perf, PROBE_INTERVAL) {
            Ok(probed) if probed.counts_kernel => Choice::because(Engine::Perf, probed.price()),
            Ok(probed) => {
                let reason = format!("{}; {USER_ONLY}", probed.price());
                Choice::because(Engine::Perf, reason)
            }
            Err(reason) => Choice::because(Engine::Timer, reason),
        },
        EnginePolicy::Process => {
            match probe(Engine::Process, possible(Duration::ZERO, Engine::Process)) {
                Ok(_) => Choice::because(Engine::Process, "its signals go to the thread that runs"),
                Err(reason) => Choice::because(Engine::Timer, reason),
            }
        }
        EnginePolicy::Handed { source, reason } => {
            Choice { engine: Engine::None, name: source, reason: Some(reason.to_owned()) }
        }
    }
}

const USER_ONLY: &str = "time in the kernel is not sampled (perf_event_paranoid)";

/// Whether system calls are filtered. A filter may kill for a call that it does not know, as that of
/// systemd's `@system-service` does for `perf_event_open`: nothing to be tried unasked.
fn is_filtered() -> bool {
    status_of("Seccomp:").is_some_and(|mode| mode != "0")
}

/// Perf events where they are cheap enough.
fn by_cost(cost: Duration, interval: Duration) -> Choice {
    let share = cost.as_secs_f64() / interval.as_secs_f64().max(1e-9);
    let micros = cost.as_secs_f64() * 1e6;
    let price = format!("a perf event's signal costs {micros:.0} µs: {:.2} % here", share * 100.0);
    let engine = if share <= AFFORDABLE { Engine::Perf } else { Engine::Timer };
    Choice::because(engine, price)
}

/// What a signal of a perf event costs, if such events count time in the kernel and arrive.
fn perf_cost() -> Result<Duration, String> {
    let known = PERF_COST.load(Ordering::Relaxed);
    if known != 0 {
        return Ok(Duration::from_nanos(known));
    }
    let probed = probe(Engine::Perf, PROBE_INTERVAL)?;
    if !probed.counts_kernel {
        return Err(format!("perf events: {USER_ONLY}"));
    }
    let nanos = u64::try_from(probed.cost.as_nanos()).unwrap_or(u64::MAX);
    PERF_COST.store(nanos.max(1), Ordering::Relaxed);
    Ok(probed.cost)
}

/// What a probe has shown.
#[derive(Clone, Copy, Debug)]
struct Probed {
    cost: Duration,
    counts_kernel: bool,
}

impl Probed {
    fn price(self) -> String {
        format!("a signal costs {:.1} µs", self.cost.as_secs_f64() * 1e6)
    }
}

/// Starts a sampler for the calling thread alone, and computes.
fn probe(engine: Engine, interval: Duration) -> Result<Probed, String> {
    let options = sondage_sampler::Options {
        interval,
        max_threads: 1,
        table_bytes: 0,
        max_depth: 16,
        weight_cap: u32::MAX,
        main_stack: 0..0,
        engine,
        avoided_signals: 0,
        python: None,
        v8: None,
        hotspot: None,
    };
    let name = name(engine);
    let sampler = Sampler::start(&options).map_err(|error| format!("{name}: {error:?}"))?;
    let landing = sampler.probe(PROBE_LIMIT);
    if let (_, Some(fallback)) = sampler.fallbacks() {
        return Err(Fallback::to_string(&fallback));
    }
    if !arrives(landing, interval) {
        let Landing { landed, cpu, .. } = landing;
        let millis = cpu.as_millis();
        return Err(format!(
            "{name}: signals arrived for {landed} periods in {millis} ms of CPU time"
        ));
    }
    Ok(Probed { cost: landing.cost, counts_kernel: sampler.perf_counts_kernel() })
}

/// Whether signals for at least a third of the CPU time arrived on the thread that used it: others of
/// the host may have run beside it.
fn arrives(landing: Landing, interval: Duration) -> bool {
    let expected = landing.cpu.as_nanos() / interval.as_nanos().max(1);
    landing.landed > 0 && u128::from(landing.landed) * 3 >= expected
}

#[cfg(test)]
mod tests {
    use super::*;

    const HZ_100: Duration = Duration::from_millis(10);

    #[test]
    fn nobody_is_probed_who_has_not_asked_and_has_no_interpreter() {
        for policy in [EnginePolicy::Auto, EnginePolicy::Timer] {
            let choice = choose(policy, policy == EnginePolicy::Timer, HZ_100);
            assert_eq!((choice.engine, choice.reason), (Engine::Timer, None));
        }
        assert_eq!(PERF_COST.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn perf_events_are_taken_up_to_half_a_percent_at_the_set_rate() {
        let choices = [(50, 10), (51, 10), (100, 20), (10, 1)].map(|(micros, millis)| {
            by_cost(Duration::from_micros(micros), Duration::from_millis(millis)).engine
        });
        assert_eq!(choices, [Engine::Perf, Engine::Timer, Engine::Perf, Engine::Timer]);
        let reason = by_cost(Duration::from_micros(80), HZ_100).reason.unwrap();
        assert!(reason.contains("80 µs") && reason.contains("0.80 %"), "{reason}");
    }

    #[test]
    fn signals_that_land_elsewhere_do_not_count_as_arrived() {
        let landing = |landed, millis| Landing {
            landed,
            cpu: Duration::from_millis(millis),
            ..Landing::default()
        };
        assert!(arrives(landing(3, 30), HZ_100));
        assert!(arrives(landing(1, 30), HZ_100));
        assert!(!arrives(landing(1, 40), HZ_100));
        assert!(!arrives(landing(0, 5), HZ_100));
    }

    #[test]
    fn the_sources_of_a_profile_are_those_of_its_samples() {
        assert_eq!(sources(0, "perf"), ["perf"]);
        assert_eq!(sources(0b0111, "perf"), ["timer", "ebpf", "perf"]);
        assert_eq!(sources(0b1000, "perf"), ["process-timer"]);
    }
}

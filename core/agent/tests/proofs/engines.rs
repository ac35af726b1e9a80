//! Perf events and the process' timer beside the timers of threads: what they see, and what they
//! leave behind.
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    reason = "fork and exec are called as a host would"
)]

use crate::child::{PATIENCE, isolated, size};
use crate::lifecycle::wait;
use crate::{sys, workload};
use sondage::config::EnginePolicy;
use sondage::profile::Profile;
use sondage::{Agent, Config, Stats};
use sondage_sampler::{Engine, Options, Sampler};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

fn start(engine: EnginePolicy, hz: u32) -> Agent {
    let config = Config {
        hz,
        engine,
        interval: Duration::from_secs(3600),
        targets: Vec::new(),
        control: false,
        ..Config::default()
    };
    Agent::start(config).expect("an agent starts")
}

/// Starts an agent with perf events; `None` where this machine's rights do not allow them, which
/// the agent must then have said.
fn start_perf(hz: u32) -> Option<Agent> {
    let agent = start(EnginePolicy::Perf, hz);
    let stats = agent.status().stats;
    if stats.engine == "perf" {
        return Some(agent);
    }
    let reason = stats.engine_reason.expect("a reason");
    println!("no perf events here: {reason}");
    assert!(reason.contains("perf"), "{reason}");
    None
}

fn flush(agent: &Agent) -> (std::sync::Arc<Profile>, Stats) {
    let profile = agent.flush().expect("the agent answers");
    let stats = agent.stats();
    assert_eq!(stats.failure, None);
    (profile, stats)
}

/// Samples that a profile has, by the value of a label.
fn by_label(profile: &Profile, key: &str) -> std::collections::BTreeMap<String, i64> {
    let mut totals = std::collections::BTreeMap::new();
    for sample in profile.samples() {
        let labels: Vec<_> = profile.labels(sample.labels).collect();
        let value = labels.iter().find(|(k, _)| *k == key).map_or("", |(_, value)| value);
        *totals.entry(value.to_owned()).or_insert(0) += sample.values[1];
    }
    totals
}

#[test]
fn every_engine_samples_a_busy_thread_at_the_set_rate() {
    isolated(PATIENCE, || {
        for (policy, name) in [
            (EnginePolicy::Timer, "timer"),
            (EnginePolicy::Perf, "perf"),
            (EnginePolicy::Process, "process-timer"),
        ] {
            let agent = start(policy, 100);
            // Found or announced, and past its first signal.
            sondage::register_thread();
            workload::burn(Duration::from_millis(30));
            agent.flush().unwrap();
            let before = agent.stats();
            let start = sys::thread_cpu();
            workload::burn(size(Duration::from_secs(2), Duration::from_secs(30)));
            let used = (sys::thread_cpu() - start).as_nanos() as f64;
            let (profile, stats) = flush(&agent);
            let sampled = (stats.sampled_cpu - before.sampled_cpu) as f64;
            let reason = stats.engine_reason.clone().unwrap_or_default();
            println!(
                "{name}: {:.2} % sampled; {} ({reason})",
                sampled / used * 100.0,
                stats.engine
            );
            let chosen = stats.engine == name;
            assert!(chosen || !reason.is_empty(), "{} instead of {name}", stats.engine);
            assert_eq!(profile.meta.sources, std::slice::from_ref(&stats.engine));
            assert!((0.95..1.05).contains(&(sampled / used)), "{name}: {sampled} of {used}");
            let told = sampled
                + (stats.unsampled_cpu - before.unsampled_cpu) as f64
                + (stats.dropped_cpu + stats.missed_cpu) as f64;
            let host = (stats.host_cpu - before.host_cpu) as f64;
            assert!(told >= host - 2e7, "{told} of {host} told");
        }
    });
}

/// Runs threads of five milliseconds one after the other, and returns their CPU time.
fn short_threads(threads: usize, announce: bool) -> Duration {
    let run = |_| {
        let short = std::thread::spawn(move || {
            if announce {
                sondage::register_thread();
            }
            workload::burn(Duration::from_millis(5));
            sys::thread_cpu()
        });
        short.join().unwrap()
    };
    (0..threads).map(run).sum()
}

/// CPU time of samples that lie in [`workload::burn`].
fn in_burn(profile: &Profile) -> Duration {
    let names = |location: usize| {
        let lines = profile.locations()[location].lines.iter();
        lines.map(|line| profile.text(profile.functions()[line.function.index()].name))
    };
    let samples = profile.samples().iter().filter(|sample| {
        let mut frames = profile.frames(sample.stack).iter();
        frames.any(|frame| names(frame.index()).any(|name| name.ends_with("burn")))
    });
    Duration::from_nanos(samples.map(|sample| sample.values[1].unsigned_abs()).sum())
}

fn covered(engine: EnginePolicy, hz: u32, threads: usize, announce: bool) -> f64 {
    let agent = start(engine, hz);
    let cpu = short_threads(threads, announce);
    let (profile, stats) = flush(&agent);
    let seen = in_burn(&profile).as_secs_f64() / cpu.as_secs_f64();
    println!("{}, {hz} Hz: {:.1} % of {threads} threads' CPU time", stats.engine, seen * 100.0);
    seen
}

#[test]
fn perf_events_see_threads_of_five_milliseconds_that_announce_themselves() {
    isolated(PATIENCE, || {
        let Some(agent) = start_perf(250) else { return };
        drop(agent);
        let threads = size(600, 6_000);
        let seen = covered(EnginePolicy::Perf, 250, threads, true);
        assert!((0.9..1.1).contains(&seen), "{seen}");
        // For comparison: what falls after the last tick is lost to timers.
        covered(EnginePolicy::Timer, 250, threads, true);
    });
}

#[test]
fn the_process_timer_sees_threads_of_five_milliseconds_that_nobody_announces() {
    isolated(PATIENCE, || {
        let agent = start(EnginePolicy::Process, 100);
        let stats = agent.status().stats;
        drop(agent);
        if stats.engine != "process-timer" {
            println!("{}: {:?}", stats.engine, stats.engine_reason);
            assert!(stats.engine_reason.is_some());
            return;
        }
        let seen = covered(EnginePolicy::Process, 100, size(600, 6_000), false);
        assert!((0.9..1.1).contains(&seen), "{seen}");
    });
}

#[test]
fn samples_of_the_process_timer_have_the_name_and_the_labels_of_their_thread() {
    isolated(PATIENCE, || {
        let agent = start(EnginePolicy::Process, 250);
        std::thread::scope(|scope| {
            for (name, part) in [("first", "a"), ("second", "b")] {
                let work = move || {
                    sondage::labels([("part", part)])
                        .scope(|| workload::burn(Duration::from_secs(1)));
                };
                std::thread::Builder::new().name(name.into()).spawn_scoped(scope, work).unwrap();
            }
        });
        let (profile, stats) = flush(&agent);
        let parts = by_label(&profile, "part");
        println!("{} {parts:?} {:?}", stats.engine, by_label(&profile, "thread"));
        for part in ["a", "b"] {
            let seen = parts.get(part).copied().unwrap_or(0) as f64 / 1e9;
            assert!((0.8..1.2).contains(&seen), "{part}: {seen} s of 1 s");
        }
        for sample in profile.samples() {
            let labels: Vec<_> = profile.labels(sample.labels).collect();
            let of = |key| labels.iter().find(|(k, _)| *k == key).map(|(_, value)| *value);
            match (of("thread"), of("part")) {
                (Some("first"), Some("a") | None) | (Some("second"), Some("b") | None) => (),
                (Some(name), Some(part)) => panic!("{name} is said to work on {part}"),
                _ => (),
            }
        }
    });
}

#[test]
fn a_host_that_closes_all_descriptors_keeps_its_files_and_goes_on_being_sampled() {
    isolated(PATIENCE, || {
        let Some(agent) = start_perf(250) else { return };
        sondage::register_thread();
        workload::burn(Duration::from_millis(100));
        let events = sys::perf_events();
        assert!(!events.is_empty());
        sys::close_all_descriptors();
        // The host's own files have the numbers now.
        events.iter().for_each(|event| sys::open_as(*event, c"/dev/null"));
        assert_eq!(sys::perf_events(), Vec::<i32>::new());
        let repaired = workload::work_until(Duration::from_secs(20), || {
            let reason = agent.status().stats.engine_reason.unwrap_or_default();
            agent.flush().unwrap();
            if reason.contains("closed") { Ok(reason) } else { Err(reason) }
        });
        println!("{repaired}");
        agent.flush().unwrap();
        let before = agent.stats();
        let start = sys::thread_cpu();
        workload::burn(Duration::from_secs(1));
        let used = (sys::thread_cpu() - start).as_nanos() as f64;
        let (profile, stats) = flush(&agent);
        let sampled = (stats.sampled_cpu - before.sampled_cpu) as f64;
        assert!((0.9..1.1).contains(&(sampled / used)), "{sampled} of {used}");
        assert_eq!(profile.meta.sources, ["timer"]);
        drop(agent);
        assert!(events.iter().all(|event| sys::is_open(*event)), "a file of the host was closed");
        assert_eq!(sys::timers(), []);
    });
}

#[test]
fn a_sandbox_that_refuses_perf_events_gets_timers_and_a_reason() {
    isolated(PATIENCE, || {
        sys::forbid(libc::SYS_perf_event_open);
        let agent = start(EnginePolicy::Perf, 100);
        workload::burn(Duration::from_millis(500));
        let (profile, stats) = flush(&agent);
        let reason = stats.engine_reason.unwrap_or_default();
        println!("{}: {reason}", stats.engine);
        assert_eq!(stats.engine, "timer");
        assert!(reason.contains("perf_event_open") && reason.contains("EPERM"), "{reason}");
        assert_eq!(profile.meta.sources, ["timer"]);
        assert!(stats.samples > 10, "{} samples", stats.samples);
    });
}

#[test]
fn perf_events_use_a_quarter_of_the_descriptors_and_other_threads_get_timers() {
    isolated(PATIENCE, || {
        sys::limit_descriptors(64);
        let Some(agent) = start_perf(250) else { return };
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..30 {
                scope.spawn(|| {
                    sondage::register_thread();
                    while !stop.load(Relaxed) {
                        workload::spin(10_000);
                    }
                });
            }
            workload::burn(Duration::from_millis(300));
            let (events, timers) = (sys::perf_events(), sys::timers().len());
            println!("{} events, {timers} timers", events.len());
            let reason = agent.status().stats.engine_reason;
            stop.store(true, Relaxed);
            agent.flush().unwrap();
            assert_eq!(events.len(), 16, "{reason:?}");
            assert!(events.iter().all(|event| *event >= 48), "{events:?}");
            assert!(timers >= 14, "{timers}");
        });
        let reason = agent.status().stats.engine_reason.unwrap_or_default();
        assert!(reason.contains("RLIMIT_NOFILE"), "{reason}");
    });
}

#[test]
fn neither_a_forked_child_nor_a_program_has_a_perf_event_of_its_parent() {
    isolated(PATIENCE, || {
        let Some(agent) = start_perf(250) else { return };
        sondage::register_thread();
        workload::burn(Duration::from_millis(50));
        assert!(!sys::perf_events().is_empty());
        for _ in 0..size(5, 100) {
            let pid = unsafe { libc::fork() };
            assert!(pid >= 0);
            if pid == 0 {
                let left = sys::perf_events().len();
                unsafe { libc::_exit(i32::try_from(left).unwrap()) };
            }
            assert_eq!(wait(pid), Ok(0), "events in the child");
        }
        let program = Command::new("/bin/ls").args(["-l", "/proc/self/fd"]).output().unwrap();
        let listing = String::from_utf8_lossy(&program.stdout);
        assert!(program.status.success() && !listing.contains("perf_event"), "{listing}");
        // The events of the parent have survived their copies.
        agent.flush().unwrap();
        let before = agent.stats().samples;
        workload::burn(Duration::from_millis(200));
        let (profile, stats) = flush(&agent);
        assert!(stats.samples - before > 20);
        assert_eq!(profile.meta.sources, ["perf"]);
    });
}

#[test]
fn an_event_whose_copy_a_child_keeps_is_silent_once_the_agent_has_stopped() {
    isolated(PATIENCE, || {
        let Some(agent) = start_perf(1000) else { return };
        sondage::register_thread();
        workload::burn(Duration::from_millis(20));
        // Not through the C library, whose child would close the descriptors.
        let clone = i64::from(libc::SIGCHLD);
        let pid = unsafe { libc::syscall(libc::SYS_clone, clone, 0usize, 0usize, 0usize, 0usize) };
        if pid == 0 {
            loop {
                unsafe { libc::pause() };
            }
        }
        let pid = i32::try_from(pid).unwrap();
        assert!(pid > 0);
        drop(agent);
        // Were it to send another signal, that would end this process.
        sys::install(libc::SIGURG, unexpected, 0);
        workload::burn(Duration::from_millis(300));
        unsafe { libc::kill(pid, libc::SIGKILL) };
        assert_eq!(wait(pid), Err(libc::SIGKILL));
        assert_eq!(sys::perf_events(), Vec::<i32>::new());
    });
}

unsafe extern "C" fn unexpected(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut std::ffi::c_void) {
    unsafe { libc::_exit(99) };
}

#[test]
fn threads_that_come_and_go_leave_no_perf_events() {
    isolated(PATIENCE, || {
        let Some(agent) = start_perf(1000) else { return };
        for _ in 0..size(20, 200) {
            std::thread::scope(|scope| {
                for i in 0..32 {
                    scope.spawn(move || {
                        if i % 2 == 0 {
                            sondage::register_thread();
                        }
                        workload::spin(50_000);
                    });
                }
            });
        }
        workload::work_until(Duration::from_secs(20), || {
            agent.flush().unwrap();
            let events = sys::perf_events().len();
            let threads = sys::threads().iter().filter(|name| !name.starts_with("sondage")).count();
            if events == threads { Ok(()) } else { Err(format!("{events} of {threads} threads")) }
        });
        assert_eq!(agent.stats().refused_threads, 0);
    });
}

#[test]
fn a_thousand_starts_and_stops_of_each_engine_leave_nothing() {
    isolated(PATIENCE, || {
        let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let before = (sys::dispositions(), descriptors());
        let busy = AtomicBool::new(true);
        std::thread::scope(|scope| {
            let threads: Vec<i32> = std::iter::repeat_with(|| {
                let (tell, told) = std::sync::mpsc::channel();
                let busy = &busy;
                scope.spawn(move || {
                    tell.send(sys::tid()).unwrap();
                    while busy.load(Relaxed) {
                        workload::spin(5_000);
                    }
                });
                told.recv().unwrap()
            })
            .take(3)
            .collect();
            for engine in [Engine::Timer, Engine::Perf, Engine::Process] {
                let mut samples = 0;
                for _ in 0..1_000 {
                    let sampler = Sampler::start(&options(engine)).expect("a sampler starts");
                    for tid in &threads {
                        sampler.add_thread(*tid).expect("a thread is added");
                    }
                    workload::spin(20_000);
                    samples += sampler.counters().samples;
                }
                println!("{engine:?}: {samples} samples");
                assert_eq!(sys::timers(), []);
                assert_eq!(sys::perf_events(), Vec::<i32>::new());
            }
            busy.store(false, Relaxed);
        });
        assert_eq!((sys::dispositions(), descriptors()), before);
    });
}

fn options(engine: Engine) -> Options {
    Options {
        interval: Duration::from_millis(1),
        max_threads: 16,
        table_bytes: 0,
        max_depth: 32,
        weight_cap: 100,
        main_stack: 0..0,
        engine,
        avoided_signals: 0,
        python: None,
    }
}

#[test]
fn a_probe_tells_whether_signals_arrive_and_what_one_costs() {
    isolated(PATIENCE, || {
        for engine in [Engine::Timer, Engine::Perf, Engine::Process] {
            let interval = if engine == Engine::Perf { 1 } else { 4 };
            let interval = Duration::from_millis(interval);
            let mut costs = Vec::new();
            let mut landed = 0;
            for _ in 0..size(5, 100) {
                let options = Options { interval, ..options(engine) };
                let sampler = Sampler::start(&options).expect("a sampler starts");
                let (start, ticks) = (std::time::Instant::now(), sondage_sampler::ticks());
                let landing = sampler.probe(Duration::from_millis(100));
                let ticks = (sondage_sampler::ticks() - ticks) as f64;
                let nanos = start.elapsed().as_nanos() as f64;
                costs.push(landing.cost_ticks as f64 * nanos / ticks / 1e3);
                landed += landing.landed;
            }
            costs.sort_by(f64::total_cmp);
            println!("{engine:?}: {landed} signals, {:.1} µs", costs[costs.len() / 2]);
            println!("{:?}", costs.iter().map(|cost| cost.round()).collect::<Vec<_>>());
            assert!(landed >= 16, "{landed} signals");
            assert!(costs[0] > 0.1 && costs[0] < 5e3, "{costs:?}");
        }
    });
}

#[test]
fn handlers_of_many_unknown_threads_find_a_shared_slot_each() {
    isolated(PATIENCE, || {
        let sampler = Sampler::start(&options(Engine::Process)).expect("a sampler starts");
        let end = sys::process_cpu() + size(Duration::from_secs(2), Duration::from_secs(60));
        std::thread::scope(|scope| {
            for _ in 0..32 {
                scope.spawn(|| {
                    while sys::process_cpu() < end {
                        workload::deeper(40, &mut || _ = workload::spin(20_000));
                    }
                });
            }
        });
        let mut words = Vec::new();
        let drained: usize =
            sampler.shared_slots().map(|slot| sampler.drain(slot, |word| words.push(word))).sum();
        let counters = sampler.counters();
        println!("{counters:?}");
        let (mut rest, mut threads) = (words.as_slice(), std::collections::BTreeSet::new());
        while let Some((sample, used)) = sondage_sampler::RawSample::read(rest) {
            assert_eq!(sample.source, sondage_sampler::Source::Process);
            threads.insert(sample.tid.expect("a shared ring does not tell the thread"));
            rest = &rest[used..];
        }
        println!("{} samples of {} threads", counters.samples, threads.len());
        assert!(rest.is_empty() && drained == words.len());
        assert!(threads.len() > 16, "{threads:?}");
        assert!(counters.samples > 100);
        assert_eq!(counters.foreign_signals, 0);
    });
}

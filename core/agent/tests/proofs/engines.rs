//! Perf events and the process' timer beside the timers of threads: what each sees, what it costs,
//! and what it leaves behind.

use crate::child::{PATIENCE, isolated, size};
use crate::handler::check_signal;
use crate::oracle::CodeMap;
use crate::shares::{attributed, rounds};
use crate::{sys, workload};
use sondage::config::EnginePolicy;
use sondage::profile::Profile;
use sondage::{Agent, Config, Stats};
use sondage_sampler::{Engine, Options, Sampler};
use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

pub fn start(engine: EnginePolicy, hz: u32) -> Agent {
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
pub fn start_perf(hz: u32) -> Option<Agent> {
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

pub fn flush(agent: &Agent) -> (std::sync::Arc<Profile>, Stats) {
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

/// The part of short threads' CPU time that an engine tells, and the engine that it became.
fn covered(engine: EnginePolicy, hz: u32, threads: usize, announce: bool) -> (f64, String) {
    let agent = start(engine, hz);
    let cpu = short_threads(threads, announce);
    let (profile, stats) = flush(&agent);
    let seen = attributed(&profile, "burn") as f64 / cpu.as_nanos() as f64;
    println!("{}, {hz} Hz: {:.1} % of {threads} threads' CPU time", stats.engine, seen * 100.0);
    (seen, stats.engine)
}

#[test]
fn perf_events_see_threads_of_five_milliseconds_that_announce_themselves() {
    isolated(PATIENCE, || {
        let Some(agent) = start_perf(250) else { return };
        drop(agent);
        let threads = size(600, 6_000);
        let (seen, _) = covered(EnginePolicy::Perf, 250, threads, true);
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
        // On a busy machine the kernel may seem to do without at times.
        for _ in 0..10 {
            let (seen, engine) = covered(EnginePolicy::Process, 100, size(600, 6_000), false);
            if engine == "process-timer" {
                assert!((0.9..1.1).contains(&seen), "{seen}");
                return;
            }
        }
        panic!("the process timer was chosen once, and never again");
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
        let seen = ["a", "b"].map(|part| parts.get(part).copied().unwrap_or(0) as f64 / 1e9);
        // How a tick falls on two threads that share a processor with others is not even.
        assert!((1.6..2.4).contains(&seen.iter().sum()), "{seen:?} s of 1 s each");
        assert!(seen.iter().all(|one| *one > 0.25), "{seen:?} s of 1 s each");
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
        v8: None,
        hotspot: None,
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
                let landing = sampler.probe(Duration::from_millis(100));
                costs.push(landing.cost.as_secs_f64() * 1e6);
                landed += landing.landed;
            }
            costs.sort_by(f64::total_cmp);
            println!("{engine:?}: {landed} periods, {:.1} µs a signal", costs[costs.len() / 2]);
            println!("{:?}", costs.iter().map(|cost| cost.round()).collect::<Vec<_>>());
            assert!(landed >= 16, "{landed} periods");
            assert!(costs[0] > 0.1 && costs[0] < 1e3, "{costs:?}");
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

#[test]
fn no_instruction_of_the_handler_lies_in_a_library_by_other_engines_either() {
    isolated(PATIENCE, || {
        let map = &CodeMap::of_this_process();
        if let Some(agent) = start_perf(100) {
            let events = sys::perf_events();
            let step = || {
                sondage::register_thread();
                let event = sys::perf_events().into_iter().find(|event| !events.contains(event));
                let info = sys::event_info(event.expect("an event of this thread"));
                let calls = [libc::SYS_rt_sigprocmask, libc::SYS_ioctl];
                check_signal(map, "a perf event", info, &calls);
                check_signal(map, "a stranger's descriptor", sys::event_info(7), &[]);
            };
            std::thread::scope(|scope| scope.spawn(step).join().unwrap());
            assert!(flush(&agent).1.samples >= 2);
        }
        let agent = start(EnginePolicy::Process, 100);
        let stats = agent.status().stats;
        println!("{}: {:?}", stats.engine, stats.engine_reason);
        if stats.engine == "process-timer" {
            let info = sys::timers().pop().expect("the process' timer").info();
            let calls = [libc::SYS_rt_sigprocmask, libc::SYS_gettid];
            for known in [false, true] {
                let step = || {
                    if known {
                        sondage::register_thread();
                    }
                    check_signal(map, "the process' timer", info, &calls);
                };
                std::thread::scope(|scope| scope.spawn(step).join().unwrap());
            }
            assert!(flush(&agent).1.samples >= 4);
        }
    });
}

#[inline(never)]
fn part_under_lock(n: u64) -> u64 {
    rounds(n, 0x5851_f42d_4c95_7f2d)
}

#[inline(never)]
fn part_without_lock(n: u64) -> u64 {
    rounds(n, 0x9e37_79b9_7f4a_7c15)
}

/// Eight threads that hand a lock to each other, as those of an interpreter do: the share of the
/// time without it, as sampled and as it was.
fn shares_under_a_lock(engine: EnginePolicy, time: Duration) -> (f64, f64, u64) {
    let agent = start(engine, 250);
    let (lock, done) = (Mutex::new(()), [AtomicU64::new(0), AtomicU64::new(0)]);
    let end = sys::process_cpu() + time;
    std::thread::scope(|scope| {
        for thread in 1..=8u64 {
            let (lock, done) = (&lock, &done);
            scope.spawn(move || {
                sondage::register_thread();
                let mut random = thread;
                while sys::process_cpu() < end {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let n = 200_000 + (random >> 40) % 400_000;
                    let held = lock.lock().unwrap();
                    black_box(part_under_lock(n));
                    drop(held);
                    black_box(part_without_lock(n / 2));
                    done[0].fetch_add(n, Relaxed);
                    done[1].fetch_add(n / 2, Relaxed);
                }
            });
        }
    });
    let (profile, stats) = flush(&agent);
    let [held, free] =
        ["part_under_lock", "part_without_lock"].map(|name| attributed(&profile, name) as f64);
    let [all_held, all_free] = done.map(|count| count.into_inner() as f64);
    println!("{} samples, {} %", stats.samples, free / (held + free) * 100.0);
    (free / (held + free), all_free / (all_held + all_free), stats.samples)
}

#[test]
fn perf_events_give_threads_that_hand_a_lock_to_each_other_their_shares() {
    isolated(PATIENCE, || {
        let Some(agent) = start_perf(250) else { return };
        drop(agent);
        let time = size(Duration::from_secs(4), Duration::from_secs(60));
        for engine in [EnginePolicy::Timer, EnginePolicy::Process, EnginePolicy::Perf] {
            let (found, truth, samples) = shares_under_a_lock(engine, time);
            let noise = 2.0 * (truth * (1.0 - truth) / samples as f64).sqrt();
            let [error, noise] = [found - truth, noise].map(|share| share * 100.0);
            println!("{engine:?}: {error:+.1} points of error, {noise:.1} of noise, {samples}");
            // Only of perf events it is promised: the others are here to compare.
            assert!(engine != EnginePolicy::Perf || error.abs() < 2.0 + noise, "{error} points");
        }
    });
}

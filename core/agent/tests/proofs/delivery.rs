//! Uploads are never in the host's way, whatever the backend does: seen in every system call of
//! the host's threads.

use crate::child::{self, PATIENCE, isolated, size};
use crate::host::RETURN_AT_ONCE;
use crate::tracer::{Calls, Mark, Origin, mark, trace};
use crate::workload::spin;
use sondage::{Agent, Config, LabelSet, Stats};
use sondage_collector::{Collector, Fault, Faults, Random};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

const HOST: &str = "host";
const TARGET: &str = "SONDAGE_PROOF_TARGET";

/// A port that nothing listens on.
const DEAD: &str = "127.0.0.1:1";

/// Calls with which a host starts and ends its threads.
const LIVES: [i64; 8] = [
    libc::SYS_clone3,
    libc::SYS_clone,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_sigaltstack,
    libc::SYS_sched_getaffinity,
    libc::SYS_prctl,
    libc::SYS_exit,
];

/// What a backend does with every upload.
#[derive(Clone, Debug)]
enum State {
    Up,
    Down,
    Fails(Fault),
}

fn states() -> Vec<(&'static str, &'static str, State)> {
    let slow_head = Fault::SlowHeader { interval_millis: 50 };
    let slow_body = Fault::SlowBody { interval_millis: 50 };
    let refusal = Fault::Status { status: 503, headers: Default::default(), body: String::new() };
    vec![
        ("up", "pyroscope+http", State::Up),
        ("down", "pyroscope+http", State::Down),
        ("slow-loris", "pyroscope+http", State::Fails(slow_head)),
        ("slow-loris in the body", "otlp+http", State::Fails(slow_body)),
        ("refusing", "pyroscope+http", State::Fails(refusal)),
        ("gRPC, up", "otlp+grpc", State::Up),
        ("gRPC, silent", "parca+http", State::Fails(Fault::Silence)),
    ]
}

#[test]
fn no_thread_of_the_host_makes_a_call_that_blocks_whatever_the_backend_does() {
    isolated(PATIENCE, || {
        if child::role().as_deref() == Some(HOST) {
            return host();
        }
        std::thread::scope(|scope| {
            for (name, kind, state) in states() {
                scope.spawn(move || check(name, kind, state));
            }
        });
    });
}

fn check(name: &str, kind: &str, state: State) {
    let collector = Collector::start().unwrap();
    if let State::Fails(fault) = &state {
        let random = Random { probability: 1.0, seed: 1, faults: vec![fault.clone().into()] };
        collector.plan(Faults { next: Vec::new(), random: Some(random) });
    }
    let address = match state {
        State::Down => DEAD.to_owned(),
        _ => collector.address().to_string(),
    };
    let mut command = child::again(HOST);
    let (calls, status) = trace(command.env(TARGET, format!("{kind}://{address}")));
    println!("{name}: {calls:?}");
    assert_eq!(status, 0, "{name}: the host's own checks");
    let (came, stored) = (collector.requests().len(), collector.profiles().len());
    println!("{name}: {came} uploads came, {stored} were stored");
    assert_eq!(came > 0, !matches!(state, State::Down), "{name}");
    assert_eq!(stored > 0, matches!(state, State::Up), "{name}");
    judge(name, &calls);
}

fn judge(name: &str, calls: &Calls) {
    let blocks = |&(&(mark, number, origin), _): &(&(Mark, i64, Origin), &u64)| {
        // The allocator's lock, and waiting for a thread's end: both are the C library's own.
        let of_c_library = number == libc::SYS_futex && origin == Origin::CLibrary;
        let of_lives = mark == Mark::Lives && LIVES.contains(&number);
        let at_once = number == libc::SYS_rt_sigreturn || RETURN_AT_ONCE.contains(&number);
        mark != Mark::Control && !(of_c_library || of_lives || at_once)
    };
    let blocking: Vec<_> = calls.iter().filter(blocks).collect();
    assert!(blocking.is_empty(), "{name}: {blocking:?}");
    let made =
        |mark: Mark, number: i64| calls.iter().any(|(call, _)| (call.0, call.1) == (mark, number));
    // The threads were sampled, and registered themselves, while they were seen.
    assert!(made(Mark::Work, libc::SYS_rt_sigreturn), "{name}: {calls:?}");
    assert!(made(Mark::Lives, libc::SYS_timer_create), "{name}: {calls:?}");
    // A call that does block is seen.
    let wait = (Mark::Control, libc::SYS_futex, Origin::SyscallFunction);
    assert!(calls.contains_key(&wait), "{name}: {calls:?}");
}

/// The traced process: threads that work, change labels, enter spans, and start threads that
/// register themselves, until enough profiles were due.
fn host() {
    let target = std::env::var(TARGET).unwrap();
    let is_down = target.ends_with(DEAD);
    let interval = Duration::from_millis(200);
    let config =
        Config { hz: 1000, interval, targets: vec![target.parse().unwrap()], ..Config::default() };
    let agent = Agent::start(config).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let run = |body: fn(&AtomicBool)| {
        let stop = stop.clone();
        std::thread::spawn(move || body(&stop))
    };
    let threads = [run(work), run(work), run(lives)];
    let stats = wait_for(&agent, size(5, 100), is_down);
    stop.store(true, Relaxed);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    println!("{:?}", stats.exports);
    mark(Mark::Control);
    agent.flush().unwrap();
    mark(Mark::None);
    // A backend that does not answer would be waited for when the agent stops.
    std::process::exit(0);
}

/// Waits for so many profiles, and until a backend that is down has been noticed.
fn wait_for(agent: &Agent, profiles: u64, is_down: bool) -> Stats {
    loop {
        std::thread::sleep(Duration::from_millis(50));
        let stats = agent.stats();
        assert_eq!(stats.failure, None);
        let noticed = stats.exports.iter().any(|sink| sink.last_error.is_some());
        if stats.flushes >= profiles && (noticed || !is_down) {
            return stats;
        }
    }
}

fn work(stop: &AtomicBool) {
    let routes: Vec<String> = (0..200).map(|number| format!("/orders/{number}")).collect();
    mark(Mark::Work);
    for (number, route) in (1u64..).zip(routes.iter().cycle()) {
        sondage::labels([("route", route.as_str())]).scope(|| {
            spin(20_000);
            let span = LabelSet::current().with_span(number, Some(u128::from(number) << 32 | 1));
            span.scope(|| spin(20_000));
        });
        if number % 64 == 0 {
            sondage::register_thread();
        }
        if stop.load(Relaxed) {
            break;
        }
    }
    mark(Mark::None);
}

fn lives(stop: &AtomicBool) {
    mark(Mark::Lives);
    while !stop.load(Relaxed) {
        let life = || {
            sondage::register_thread();
            sondage::labels([("route", "/short")]).scope(|| spin(50_000));
        };
        std::thread::spawn(life).join().unwrap();
    }
    mark(Mark::None);
}

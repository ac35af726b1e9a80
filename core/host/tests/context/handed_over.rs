//! A process with Sondage inside: one that may use neither timers nor eBPF is found under its own
//! name, and one that samples itself is left out.

use crate::gate;
use crate::watch::{Program, Watched, samples};
use sondage::{Agent, Config};
use std::process::Command;
use std::time::{Duration, Instant};

/// The process in question; run by the tests below.
#[test]
#[ignore = "a part of the other tests"]
fn a_process_with_sondage_inside() {
    let config = Config {
        service_name: "shop".to_owned(),
        labels: vec![("region".to_owned(), "eu".to_owned())],
        interval: Duration::from_secs(3600),
        targets: Vec::new(),
        control: false,
        ..Config::default()
    };
    let agent = Agent::start(config).unwrap();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(120) {
        let round = Instant::now();
        while round.elapsed() < Duration::from_secs(1) {
            std::hint::black_box(round.elapsed());
        }
        agent.flush().unwrap();
    }
}

/// Starts it, with this before.
fn start(prepare: &str) -> Program {
    let test = "handed_over::a_process_with_sondage_inside";
    let command = format!("{prepare} \"$0\" --exact {test} --ignored");
    let program = std::env::current_exe().unwrap();
    let child = Command::new("bash").arg("-c").arg(command).arg(program).spawn().unwrap();
    Program(child)
}

#[test]
fn one_that_can_take_no_samples_is_seen_under_its_name_until_it_can() {
    // One at a time: each of these counts such processes on the whole machine.
    let Some(_turn) = gate::enter("context: handed over") else { return };
    // Without queued signals there are no timers, and without rights no eBPF.
    let without = "setpriv --bounding-set=-bpf,-perfmon,-sys_admin";
    let program = start(&format!("ulimit -S -i 0; exec {without}"));
    let mut watched = Watched::start(program.0.id(), false);
    watched.period(Duration::from_secs(2));
    let (profile, stats) = watched.period(Duration::from_secs(2));
    let seen = samples(&profile);
    assert!(seen.iter().map(|sample| sample.count).sum::<i64>() > 20);
    for sample in &seen {
        assert_eq!((&*sample.labels["service_name"], &*sample.labels["region"]), ("shop", "eu"));
    }
    assert_eq!(stats.self_sampled, 0);
    // With timers again it samples itself, and is left out.
    let pid = format!("--pid={}", program.0.id());
    let allowed = Command::new("prlimit").args([&pid, "--sigpending=1000:"]).status().unwrap();
    assert!(allowed.success());
    let mut periods = 0;
    while watched.period(Duration::from_secs(1)).1.self_sampled == 0 {
        periods += 1;
        assert!(periods < 40, "it is still sampled");
    }
    let (profile, stats) = watched.period(Duration::from_secs(1));
    assert_eq!((samples(&profile).len(), stats.self_sampled), (0, 1));
}

#[test]
fn one_that_samples_itself_is_not_counted_twice() {
    let Some(_turn) = gate::enter("context: samples itself") else { return };
    let program = start("exec");
    std::thread::sleep(Duration::from_secs(1));
    let mut watched = Watched::start(program.0.id(), false);
    let (profile, stats) = watched.period(Duration::from_secs(2));
    assert_eq!((samples(&profile).len(), stats.self_sampled), (0, 1));
}

//! Threads of real processes, stopped and let go.
#![allow(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use sondage_remote::{ErrorKind, Process, Recorder, Tracer};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Names the process that the helper is to hold.
const HOLD: &str = "SONDAGE_TEST_HOLD";

/// A process, killed with the test.
struct Target(Child);

impl Target {
    /// A shell that computes.
    fn busy() -> Self {
        Self::shell("while :; do :; done")
    }

    fn shell(script: &str) -> Self {
        Self(Command::new("sh").args(["-c", script]).spawn().unwrap())
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn state(&self) -> char {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
    }

    fn wait_for(&self, state: char) {
        let until = Instant::now() + Duration::from_secs(10);
        while self.state() != state {
            assert!(Instant::now() < until, "{} and not {state}", self.state());
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// This test again in a process of its own, which holds a thread of another one stopped.
fn holder(target: &Target) -> Target {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "holds_a_thread_until_it_is_killed", "--nocapture"]);
    command.env(HOLD, target.pid().to_string()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let holder = Target(child);
    let holds = output.lines().map_while(Result::ok).any(|line| line.contains("holds"));
    assert!(holds, "the helper could not hold the thread");
    holder
}

/// The helper; without a process to hold it does nothing.
#[test]
fn holds_a_thread_until_it_is_killed() {
    let Ok(pid) = std::env::var(HOLD) else { return };
    let pid: u32 = pid.parse().unwrap();
    let mut tracer = Tracer::new();
    let stopped = tracer.stop(pid, pid as i32).unwrap().unwrap();
    println!("\nholds {}", stopped.tid());
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

#[test]
fn a_thread_goes_on_when_its_tracer_is_killed() {
    let target = Target::busy();
    let mut helper = holder(&target);
    target.wait_for('t');
    helper.0.kill().unwrap();
    helper.0.wait().unwrap();
    target.wait_for('R');
}

#[test]
fn a_process_that_a_debugger_has_is_refused_and_left_alone() {
    let target = Target::busy();
    let helper = holder(&target);
    let mut process = Process::open(target.pid()).unwrap();
    let refused = process.take(target.pid() as i32).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Traced, "{refused}");
    assert!(refused.to_string().contains(&helper.pid().to_string()), "{refused}");
    assert_eq!(target.state(), 't');
}

#[test]
fn a_thread_is_stopped_only_while_it_is_held() {
    let target = Target::busy();
    let mut tracer = Tracer::new();
    for _ in 0..200 {
        let stopped = tracer.stop(target.pid(), target.pid() as i32).unwrap().unwrap();
        assert_eq!(target.state(), 't');
        drop(stopped);
        assert_ne!(target.state(), 't');
    }
    // One that is killed while it is held has ended, and is no error.
    let stopped = tracer.stop(target.pid(), target.pid() as i32).unwrap().unwrap();
    Command::new("kill").args(["-9", &target.pid().to_string()]).status().unwrap();
    stopped.let_go();
    // It is a child of this process, whose end may have been told already.
    let stat = format!("/proc/{}/stat", target.pid());
    let has_ended = || std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
    let until = Instant::now() + Duration::from_secs(10);
    while !has_ended() {
        assert!(Instant::now() < until, "it lives");
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(tracer.stop(target.pid(), target.pid() as i32).unwrap().is_none());
}

#[test]
fn threads_that_end_while_they_are_sampled_are_no_error() {
    let script = "import threading\nfor i in range(4000):\n t = threading.Thread(target=lambda: \
                  sum(range(20000)))\n t.start()\n t.join()";
    let Ok(storm) = Command::new("python3").args(["-c", script]).spawn() else {
        println!("skipped: there is no Python");
        return;
    };
    let storm = Target(storm);
    while !std::fs::read_to_string(format!("/proc/{}/maps", storm.pid()))
        .unwrap()
        .contains("python3")
    {
        std::thread::sleep(Duration::from_millis(5));
    }
    let process = Process::open(storm.pid()).unwrap();
    let mut recorder = Recorder::new(process, 1000, false);
    let until = Instant::now() + Duration::from_secs(60);
    let goes_on = recorder.run(until, &|| false).unwrap();
    assert!(!goes_on, "it has ended by itself");
    let profile = recorder.finish();
    let samples = profile.column("samples").unwrap();
    assert!(profile.total(samples) > 10, "threads were sampled: {}", profile.total(samples));
}

#[test]
fn a_thread_of_the_kernel_and_no_process_are_told_apart() {
    let kind = |pid| Process::open(pid).unwrap_err().kind();
    assert_eq!(kind(u32::MAX >> 1), ErrorKind::Missing);
    if std::fs::read_to_string("/proc/2/comm").is_ok_and(|name| name.trim() == "kthreadd") {
        assert!([ErrorKind::Unsupported, ErrorKind::Denied].contains(&kind(2)));
    }
}

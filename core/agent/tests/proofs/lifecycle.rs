//! Forks, execs and exits of a sampled process.
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    reason = "fork, exec and wait are called as a host would"
)]

use crate::child::{PATIENCE, again, finish, isolated, role, size};
use crate::sys;
use crate::workload::{self, burn, spin};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// Waits for a child and returns how it ended: exit code or the signal it died of.
pub fn wait(pid: i32) -> Result<i32, i32> {
    let mut status = 0;
    let waited = loop {
        let result = unsafe { libc::waitpid(pid, &raw mut status, 0) };
        if result >= 0 || sys::errno() != libc::EINTR {
            break result;
        }
    };
    assert_eq!(waited, pid);
    if libc::WIFEXITED(status) {
        Ok(libc::WEXITSTATUS(status))
    } else {
        Err(libc::WTERMSIG(status))
    }
}

/// Works until so many threads of this process are sampled.
fn wait_until_sampled(threads: usize) {
    workload::work_until(Duration::from_secs(10), || {
        let sampled = sys::timers().len();
        if sampled >= threads { Ok(()) } else { Err(format!("{sampled} threads are sampled")) }
    });
}

/// Runs `work` on three threads while two others burn; it begins when all five are sampled.
fn among_busy_threads(work: impl Fn(u64) + Sync) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    workload::allocate(spin(1_000));
                }
            });
        }
        let working: Vec<_> = (0..3u64)
            .map(|i| {
                scope.spawn({
                    let work = &work;
                    move || {
                        wait_until_sampled(5);
                        work(i);
                    }
                })
            })
            .collect();
        working.into_iter().for_each(|thread| thread.join().unwrap());
        stop.store(true, Relaxed);
    });
}

#[test]
fn no_forked_child_dies_of_a_signal_and_the_parent_keeps_sampling() {
    isolated(PATIENCE, || {
        let agent = workload::start(1000);
        among_busy_threads(|_| {
            for round in 0..size(70, 1_000) {
                spin(30_000);
                let pid = unsafe { libc::fork() };
                assert!(pid >= 0);
                if pid == 0 {
                    // What a careless child does: work, memory, the label it was under, a signal.
                    sondage::labels([("in", "child")]).scope(|| workload::allocate(round));
                    spin(2_000_000);
                    unsafe { libc::_exit(7) };
                }
                assert_eq!(wait(pid), Ok(7));
            }
        });
        let stats = workload::still_sampling(&agent, size(50, 500));
        println!("{} samples in the parent", stats.samples);
    });
}

#[test]
fn no_program_started_from_a_sampled_thread_dies_of_a_stray_timer() {
    isolated(PATIENCE, || {
        let agent = workload::start(1000);
        among_busy_threads(|kind| {
            for _ in 0..size(25, 350) {
                spin(30_000);
                let mut command = Command::new("/bin/sh");
                command.args(["-c", "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done; exit 7"]);
                if kind == 0 {
                    // A closure makes the standard library fork instead of posix_spawn.
                    unsafe { command.pre_exec(|| Ok(())) };
                }
                let status = command.status().expect("a shell starts");
                assert_eq!(status.code(), Some(7), "signal {:?}", status.signal());
            }
        });
        let stats = workload::still_sampling(&agent, size(50, 500));
        println!("{} samples in the parent", stats.samples);
    });
}

/// Children that share the memory of the thread which they suspend: some end at once, others work a
/// little first, and others become a program.
const VFORKS: &str = r#"
#include <sys/wait.h>
#include <unistd.h>
long vforks(long rounds) {
    char *arguments[] = {"/bin/true", 0};
    for (long round = 0; round < rounds; round++) {
        volatile long sum = 0;
        int status = 0;
        int child = vfork();
        if (child == 0) {
            for (long i = 0; round % 2 && i < 100000; i++) sum += i;
            if (round % 3 == 0) execv(arguments[0], arguments);
            _exit(0);
        }
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0) return status + 1;
    }
    return 0;
}
"#;

#[test]
fn no_child_of_a_vfork_dies_of_a_signal_and_the_parent_keeps_sampling() {
    isolated(PATIENCE, || {
        let path = workload::compile("vforks", VFORKS, &["-O1"]);
        let library = workload::Library::open(&path);
        let vforks = library.function("vforks");
        let agent = workload::start(1000);
        among_busy_threads(|_| {
            let rounds = size(200, 3_000);
            assert_eq!(vforks(rounds), 0, "a child ended in another way");
        });
        let stats = workload::still_sampling(&agent, size(15, 500));
        println!("{} samples in the parent", stats.samples);
        let _ = std::fs::remove_file(path);
    });
}

#[test]
fn a_sampled_process_that_execs_becomes_a_program_without_timers() {
    isolated(PATIENCE, || {
        if role().is_some() {
            let _agent = workload::start(1000);
            let stop = AtomicBool::new(false);
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        while !stop.load(Relaxed) {
                            spin(10_000);
                        }
                    });
                }
                wait_until_sampled(3);
                burn(Duration::from_micros(u64::from(std::process::id()) % 5000));
                let script = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; exit 7";
                panic!("{}", Command::new("/bin/sh").args(["-c", script]).exec());
            });
        }
        for _ in 0..size(6, 200) {
            let (status, output) = finish(&mut again("exec"), Duration::from_secs(30));
            let status = status.expect("it ends");
            assert_eq!(status.code(), Some(7), "signal {:?}: {output}", status.signal());
        }
    });
}

#[test]
fn a_sampled_process_exits_with_its_own_code_however_it_exits() {
    isolated(PATIENCE, || {
        if let Some(role) = role() {
            let agent = workload::start(1000);
            for _ in 0..7 {
                std::thread::spawn(|| {
                    loop {
                        workload::allocate(spin(1_000));
                    }
                });
            }
            wait_until_sampled(5);
            match role.as_str() {
                "exit" => std::process::exit(3),
                "exit on a thread" => {
                    let _ = std::thread::spawn(|| std::process::exit(3)).join();
                }
                "exit at once" => unsafe { libc::_exit(3) },
                "stop, then exit" => {
                    agent.stop().unwrap();
                    std::process::exit(3);
                }
                "terminate" => sys::signal_self(libc::SIGTERM),
                _ => sys::signal_self(libc::SIGURG),
            }
            burn(Duration::from_millis(50));
            std::process::exit(3);
        }
        for role in
            ["exit", "exit on a thread", "exit at once", "stop, then exit", "terminate", "stray"]
        {
            for _ in 0..size(1, 40) {
                let (status, output) = finish(&mut again(role), Duration::from_secs(30));
                let status = status.unwrap_or_else(|| panic!("{role}: hangs: {output}"));
                let expected = if role == "terminate" { Err(libc::SIGTERM) } else { Ok(3) };
                let ended = status.code().ok_or_else(|| status.signal().unwrap_or(0));
                assert_eq!(ended, expected, "{role}: {output}");
            }
        }
    });
}

#[test]
fn a_forked_child_may_profile_itself() {
    isolated(PATIENCE, || {
        let agent = workload::start(1000);
        burn(Duration::from_millis(100));
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0);
        if pid == 0 {
            let profiled = std::panic::catch_unwind(|| {
                let own = workload::start(1000);
                workload::still_sampling(&own, 10);
            });
            unsafe { libc::_exit(if profiled.is_ok() { 7 } else { 1 }) };
        }
        assert_eq!(wait(pid), Ok(7));
        workload::still_sampling(&agent, 20);
    });
}

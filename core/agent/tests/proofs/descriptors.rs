//! The descriptors of perf events: what a host does to them, and what it inherits.
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    reason = "fork and exec are called as a host would"
)]

use crate::child::{PATIENCE, isolated, size};
use crate::engines::{flush, start, start_perf};
use crate::lifecycle::wait;
use crate::{sys, workload};
use sondage::config::EnginePolicy;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// Starts threads that register and compute until they are to stop.
fn spawn_busy<'scope>(
    scope: &'scope std::thread::Scope<'scope, '_>,
    count: usize,
    stop: &'scope AtomicBool,
) {
    for _ in 0..count {
        scope.spawn(|| {
            sondage::register_thread();
            while !stop.load(Relaxed) {
                workload::spin(10_000);
            }
        });
    }
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
        // On a busy machine the agent may find the thread somewhat later.
        workload::work_until(Duration::from_secs(60), || {
            let before = agent.stats();
            let start = sys::thread_cpu();
            workload::burn(Duration::from_secs(1));
            let used = (sys::thread_cpu() - start).as_nanos() as f64;
            let (profile, stats) = flush(&agent);
            let sampled = (stats.sampled_cpu - before.sampled_cpu) as f64;
            assert_eq!(profile.meta.sources, ["timer"]);
            let is_whole = (0.9..1.1).contains(&(sampled / used));
            if is_whole { Ok(()) } else { Err(format!("{sampled} of {used}")) }
        });
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
            spawn_busy(scope, 30, &stop);
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
fn a_host_that_needs_the_descriptors_gets_them_back() {
    isolated(PATIENCE, || {
        sys::limit_descriptors(64);
        let Some(agent) = start_perf(250) else { return };
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            spawn_busy(scope, 14, &stop);
            workload::burn(Duration::from_millis(300));
            let before = sys::perf_events().len();
            let open = || std::fs::File::open("/dev/null");
            let mut files: Vec<_> = std::iter::from_fn(|| open().ok()).collect();
            println!("{before} events, {} files of the host", files.len());
            let more = workload::work_until(Duration::from_secs(20), || {
                files.extend(std::iter::from_fn(|| open().ok()).take(before));
                // The listing needs one.
                files.pop();
                let left = sys::perf_events();
                if left.is_empty() { Ok(files.len()) } else { Err(format!("{left:?}")) }
            });
            println!("{more} files of the host in the end");
            assert!(sys::timers().len() >= 14, "everyone has a timer");
            stop.store(true, Relaxed);
        });
        agent.flush().unwrap();
        let reason = agent.status().stats.engine_reason.unwrap_or_default();
        assert!(reason.contains("gave their descriptors back"), "{reason}");
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

unsafe extern "C" fn nothing(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut std::ffi::c_void) {}

#[test]
fn a_host_that_takes_sigurg_is_sampled_by_timers_from_then_on() {
    isolated(PATIENCE, || {
        let Some(agent) = start_perf(250) else { return };
        sondage::register_thread();
        workload::burn(Duration::from_millis(50));
        assert!(!sys::perf_events().is_empty());
        sys::install(libc::SIGURG, nothing, 0);
        let taken = sys::disposition(libc::SIGURG);
        workload::work_until(Duration::from_secs(20), || {
            agent.flush().unwrap();
            let reason = agent.stats().engine_reason.unwrap_or_default();
            if reason.contains("SIGURG") { Ok(()) } else { Err(reason) }
        });
        assert_eq!(sys::perf_events(), Vec::<i32>::new());
        workload::burn(Duration::from_millis(300));
        let (profile, _) = flush(&agent);
        assert_eq!(profile.meta.sources, ["timer"]);
        assert_eq!(sys::disposition(libc::SIGURG), taken);
    });
}

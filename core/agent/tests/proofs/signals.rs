//! Signals: whose they are before us, beside us and after us, and threads that block them.
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    reason = "the scenarios are the host's own system calls"
)]

use crate::child::{PATIENCE, isolated, size};
use crate::sys;
use crate::workload::{self, burn, spin};
use sondage::Agent;
use sondage::profile::{LossCause, Profile};
use std::ffi::{c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

#[test]
fn dispositions_are_byte_for_byte_what_they_were_after_a_stop() {
    isolated(PATIENCE, || {
        // Whatever the host has installed is what must be there again, oddities included.
        sys::install(libc::SIGUSR2, count_signal, libc::SA_NODEFER | libc::SA_RESETHAND);
        let before = sys::dispositions();
        let agent = workload::start(1000);
        burn(Duration::from_millis(300));
        let changed: Vec<_> = differing(&before, &sys::dispositions());
        assert_eq!(changed, [libc::SIGURG], "one signal is ours while we run");
        workload::still_sampling(&agent, 3);
        agent.stop().unwrap();
        assert_eq!(differing(&before, &sys::dispositions()), Vec::<c_int>::new());
    });
}

fn differing(before: &[sys::Disposition], after: &[sys::Disposition]) -> Vec<c_int> {
    let pairs = sys::SIGNALS.zip(before.iter().zip(after));
    pairs.filter(|(_, (before, after))| before != after).map(|(signal, _)| signal).collect()
}

#[test]
fn a_signal_that_is_still_pending_at_the_stop_does_not_kill_the_process() {
    isolated(PATIENCE, || {
        let agent = workload::start(1000);
        let (send, receive) = std::sync::mpsc::channel();
        let (stopped, go_on) = std::sync::mpsc::channel::<()>();
        let deaf = std::thread::spawn(move || {
            sondage::register_thread();
            sys::block_all_signals(true);
            send.send(sys::tid()).unwrap();
            go_on.recv().unwrap();
            sys::block_all_signals(false);
            spin(100_000)
        });
        let timer = sys::timer_of(receive.recv().unwrap()).expect("registered threads have timers");
        burn(Duration::from_millis(300));
        workload::still_sampling(&agent, 2);
        assert!(timer.expire_now());
        agent.stop().unwrap();
        stopped.send(()).unwrap();
        deaf.join().unwrap();
    });
}

static COUNTED: AtomicU64 = AtomicU64::new(0);
static FROM_TIMERS: AtomicU64 = AtomicU64::new(0);

/// The host's own handler.
unsafe extern "C" fn count_signal(_: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    let from_timer = unsafe { (*info).si_code } == libc::SI_TIMER;
    FROM_TIMERS.fetch_add(u64::from(from_timer), Relaxed);
    COUNTED.fetch_add(1, Relaxed);
}

/// Signals this process as `kill` does and as others' profilers do; returns how many the host's
/// handler saw, and how many came from timers of ours.
fn signals_seen_by_the_host(signal: c_int) -> (u64, u64) {
    COUNTED.store(0, Relaxed);
    FROM_TIMERS.store(0, Relaxed);
    let every = libc::timeval { tv_sec: 0, tv_usec: 5_000 };
    let on = libc::itimerval { it_interval: every, it_value: every };
    let off = libc::itimerval {
        it_interval: libc::timeval { tv_sec: 0, tv_usec: 0 },
        it_value: libc::timeval { tv_sec: 0, tv_usec: 0 },
    };
    let set = |value: &libc::itimerval| unsafe {
        libc::syscall(libc::SYS_setitimer, libc::ITIMER_PROF, &raw const *value, 0usize)
    };
    let by_timer = signal == libc::SIGPROF;
    assert!(!by_timer || set(&on) == 0);
    for _ in 0..30 {
        sys::signal_self(signal);
        burn(Duration::from_millis(10));
    }
    assert!(!by_timer || set(&off) == 0);
    (COUNTED.load(Relaxed), FROM_TIMERS.load(Relaxed))
}

/// Those that the sampler would like best.
const WANTED: [c_int; 2] = [libc::SIGURG, libc::SIGPROF];

#[test]
fn a_host_that_handles_a_signal_before_us_keeps_it() {
    isolated(PATIENCE, || {
        for theirs in WANTED {
            sys::install(theirs, count_signal, libc::SA_RESTART);
            let before = sys::dispositions();
            let agent = workload::start(1000);
            let signals: Vec<c_int> = sys::timers().iter().map(|timer| timer.signal).collect();
            assert!(!signals.is_empty() && !signals.contains(&theirs), "{signals:?}");
            assert_eq!(sys::disposition(theirs), before[theirs as usize - 1]);
            let (seen, from_timers) = signals_seen_by_the_host(theirs);
            println!("the host's handler saw {seen} times signal {theirs}, we use {signals:?}");
            assert!(seen >= 30, "{seen}");
            assert_eq!(from_timers, 0);
            workload::still_sampling(&agent, 3);
            agent.stop().unwrap();
            assert_eq!(differing(&before, &sys::dispositions()), Vec::<c_int>::new());
        }
    });
}

/// Works until the agent has acted on what the host did to its signal.
fn until_noticed(acted: impl Fn() -> bool) {
    workload::work_until(Duration::from_secs(60), || {
        if acted() { Ok(()) } else { Err("the agent did not notice".to_owned()) }
    });
}

/// Waits until no timer sends `signal` any more.
fn wait_until_left(signal: c_int) -> Duration {
    let start = Instant::now();
    until_noticed(|| sys::timers().iter().all(|timer| timer.signal != signal));
    start.elapsed()
}

#[test]
fn a_host_that_handles_our_signal_after_us_gets_it_and_sampling_goes_on_with_another() {
    isolated(PATIENCE, || {
        let agent = workload::start(1000);
        // First from SIGURG to SIGPROF, then on to a real-time signal.
        for taken in WANTED {
            assert!(sys::timers().iter().all(|timer| timer.signal == taken));
            sys::install(taken, count_signal, libc::SA_RESTART);
            let theirs = sys::disposition(taken);
            let noticed = wait_until_left(taken);
            let strays = FROM_TIMERS.load(Relaxed);
            println!("noticed after {noticed:?}; the host's handler saw {strays} of our signals");
            assert_eq!(sys::disposition(taken), theirs);
            let before = workload::handled(&workload::flushed(&agent, 0));
            let (seen, from_timers) = signals_seen_by_the_host(taken);
            assert!(seen >= 30, "{seen}");
            assert_eq!(from_timers, 0, "no signal of ours reaches the host any more");
            workload::still_sampling(&agent, before + 10);
        }
        let theirs = WANTED.map(sys::disposition);
        agent.stop().unwrap();
        assert_eq!(WANTED.map(sys::disposition), theirs);
    });
}

#[test]
fn a_host_that_sets_every_signal_to_its_default_lives_and_is_sampled_again() {
    isolated(PATIENCE, || {
        let agent = workload::start(1000);
        burn(Duration::from_millis(100));
        let ours = sys::disposition(libc::SIGURG);
        for signal in sys::SIGNALS {
            // The C library refuses its own, and the kernel those that cannot be caught.
            _ = unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        assert_ne!(sys::disposition(libc::SIGURG), ours);
        until_noticed(|| sys::disposition(libc::SIGURG) == ours);
        let before = workload::handled(&workload::flushed(&agent, 0));
        workload::still_sampling(&agent, before + 5);
    });
}

#[test]
fn a_foreign_signal_changes_nothing_while_the_signal_is_ours() {
    isolated(PATIENCE, || {
        let agent = workload::start(1000);
        for _ in 0..100 {
            sys::signal_self(libc::SIGURG);
            sys::raise(libc::SIGURG);
        }
        burn(Duration::from_millis(200));
        let stats = workload::still_sampling(&agent, 3);
        println!("{} foreign signals, {} samples", stats.foreign_signals, stats.samples);
        assert!(stats.foreign_signals > 100, "those sent by raise cannot merge");
        assert!(stats.sampled_cpu <= stats.host_cpu + stats.host_cpu / 10, "none was a sample");
    });
}

#[test]
fn a_handler_of_sigsegv_is_untouched_before_and_after_us() {
    isolated(PATIENCE, || {
        sys::install(libc::SIGSEGV, count_signal, libc::SA_ONSTACK);
        let before = sys::disposition(libc::SIGSEGV);
        let agent = workload::start(1000);
        assert_eq!(sys::disposition(libc::SIGSEGV), before);
        sys::raise(libc::SIGSEGV);
        assert_eq!(COUNTED.load(Relaxed), 1);
        sys::install(libc::SIGSEGV, count_signal, libc::SA_ONSTACK | libc::SA_NODEFER);
        let after = sys::disposition(libc::SIGSEGV);
        burn(Duration::from_millis(200));
        sys::raise(libc::SIGSEGV);
        workload::still_sampling(&agent, 3);
        agent.stop().unwrap();
        assert_eq!(COUNTED.load(Relaxed), 2);
        assert_eq!(sys::disposition(libc::SIGSEGV), after);
    });
}

/// CPU time that a profile says was lost to a cause, and the largest of its stacks.
fn loss_and_largest(profile: &Profile, causes: &[LossCause]) -> (u64, u64) {
    let losses = profile.losses();
    let lost = losses.iter().filter(|loss| causes.contains(&loss.cause)).map(|loss| loss.value);
    let named = |sample: &&sondage::profile::Sample| {
        let frames = profile.frames(sample.stack);
        frames.iter().any(|frame| profile.locations()[frame.index()].address != 0)
    };
    let stacks = profile.samples().iter().filter(named).map(|sample| sample.values[1]);
    (lost.sum(), stacks.max().unwrap_or(0).unsigned_abs())
}

/// A thread that blocks every signal uses `blocked` of CPU time beside one that does not. Gives the
/// profile after it: of all the time, or of what came after a flush while it was deaf.
fn profile_of_a_deaf_thread(agent: &Agent, blocked: Duration, flush: bool) -> Arc<Profile> {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let deaf = scope.spawn(|| {
            sys::block_all_signals(true);
            std::thread::sleep(Duration::from_millis(300));
            burn(blocked);
            if flush {
                let profile = agent.flush().unwrap();
                let (lost, _) = loss_and_largest(&profile, &[LossCause::Unsampled]);
                assert!(Duration::from_nanos(lost) > blocked * 9 / 10, "{lost} ns unsampled");
            }
            // One signal is pending now; its overruns tell of all the time before.
            sys::block_all_signals(false);
            burn(Duration::from_millis(20));
            done.store(true, Relaxed);
        });
        scope.spawn(|| {
            while !done.load(Relaxed) {
                burn(Duration::from_millis(1));
            }
        });
        deaf.join().unwrap();
    });
    agent.flush().unwrap()
}

#[test]
fn the_time_of_a_thread_that_blocks_every_signal_is_lost_openly_once_and_not_put_on_one_stack() {
    isolated(PATIENCE, || {
        let agent = workload::start(1000);
        let blocked = Duration::from_millis(size(700, 3_000));
        for flush in [false, true] {
            let profile = profile_of_a_deaf_thread(&agent, blocked, flush);
            let (missed, largest) = loss_and_largest(&profile, &[LossCause::Missed]);
            let missed = Duration::from_nanos(missed);
            println!("flushed while deaf: {flush}; then {missed:?} missed");
            // Without a flush in between the other thread's stack is as large.
            assert!(!flush || Duration::from_nanos(largest) <= Duration::from_millis(150));
            assert_eq!(missed > blocked / 2, !flush, "told as unsampled before: {flush}");
        }
        let stats = workload::still_sampling(&agent, 20);
        let lost = Duration::from_nanos(stats.missed_cpu + stats.unsampled_cpu);
        println!("twice {blocked:?} deaf: {lost:?} lost");
        assert!(lost > blocked * 17 / 10 && lost < blocked * 25 / 10, "{lost:?}");
    });
}

//! The agent's life: start, stop, waiting time, forked children, code made at run time.

use crate::labels::{ONE_AGENT, burn, quiet, time_by_function};
use sondage::{Agent, Config, ErrorKind};
use std::hint::black_box;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

const MARKER: &str = "/memfd:sondage-agent:";

fn maps() -> String {
    std::fs::read_to_string("/proc/self/maps").unwrap()
}

#[test]
fn a_second_agent_is_refused_and_the_marker_goes_with_the_first() {
    let _alone = ONE_AGENT.lock().unwrap_or_else(PoisonError::into_inner);
    let agent = Agent::start(quiet()).unwrap();
    assert!(maps().contains(&format!("{MARKER}{}:", std::process::id())));
    assert_eq!(Agent::start(quiet()).unwrap_err().kind(), ErrorKind::Busy);
    drop(agent);
    assert!(!maps().contains(MARKER));
    Agent::start(quiet()).unwrap().stop().unwrap();
}

#[inline(never)]
fn works_then_waits() -> u64 {
    let value = burn(Duration::from_millis(60));
    std::thread::sleep(Duration::from_millis(240));
    black_box(value)
}

#[test]
fn waiting_time_stands_beside_cpu_time_in_a_wall_profile() {
    let _alone = ONE_AGENT.lock().unwrap_or_else(PoisonError::into_inner);
    let agent = Agent::start(Config { wall: true, ..quiet() }).unwrap();
    let begin = Instant::now();
    let waiter =
        std::thread::spawn(|| (0..5).map(|_| works_then_waits()).fold(0, u64::wrapping_add));
    waiter.join().unwrap();
    let passed = i64::try_from(begin.elapsed().as_nanos()).unwrap();
    let profile = agent.stop().unwrap();
    let column = |kind: &str| profile.column(kind).unwrap();
    let cpu = time_by_function(&profile, "works_then_waits", column("cpu"));
    let wall = time_by_function(&profile, "works_then_waits", column("wall"));
    // 1.5 s pass in the function, 0.3 s of them on a processor; more where others use that too.
    assert!((200_000_000..450_000_000).contains(&cpu), "cpu {cpu}");
    assert!((passed * 2 / 3..passed * 11 / 10).contains(&wall), "wall {wall} of {passed}");
    // The agent thread worked, and no more than a processor can.
    let cost = i64::try_from(profile.meta.cost.unwrap().as_nanos()).unwrap();
    assert!((1..passed * 2).contains(&cost), "cost {cost} of {passed}");
}

/// A child of this test process, made by fork, in which `work` runs; returns its exit status.
pub(crate) fn in_forked_child(work: impl FnOnce()) -> i32 {
    // SAFETY: the child runs `work` and ends by `_exit`, never returning into the test runner.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_ok();
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(i32::from(!worked)) };
    }
    let mut status = -1;
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    loop {
        // SAFETY: the pointer is to a local.
        let done = unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) };
        if done == pid {
            return status;
        }
        if std::time::Instant::now() > deadline {
            // SAFETY: kills the child that was forked above.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[inline(never)]
fn only_in_the_child() -> u64 {
    // Not a tail call: this frame must stay on the stack.
    burn(Duration::from_millis(400)).wrapping_add(1)
}

#[test]
fn a_forked_child_profiles_itself_and_the_parent_goes_on() {
    let _alone = ONE_AGENT.lock().unwrap_or_else(PoisonError::into_inner);
    let agent = Agent::start(Config { hz: 250, ..quiet() }).unwrap();
    let status = in_forked_child(|| {
        sondage::labels([("process", "child")]).scope(|| {
            // The change of labels has started an agent; this waits until it answers.
            agent.flush().unwrap();
            black_box(only_in_the_child());
        });
        let profile = agent.flush().unwrap();
        let time = time_by_function(&profile, "only_in_the_child", 1);
        assert!(time > 200_000_000, "{time}");
    });
    assert_eq!(status, 0, "the child failed or died");
    burn(Duration::from_millis(500));
    let profile = agent.stop().unwrap();
    assert_eq!(time_by_function(&profile, "only_in_the_child", 1), 0);
    assert!(time_by_function(&profile, "burn", 1) > 50_000_000);
}

#[test]
fn a_child_that_never_uses_the_crate_ends_undisturbed_whatever_it_does() {
    let _alone = ONE_AGENT.lock().unwrap_or_else(PoisonError::into_inner);
    let agent = Agent::start(Config { hz: 250, ..quiet() }).unwrap();
    for _ in 0..20 {
        burn(Duration::from_millis(2));
        let status = in_forked_child(|| {
            burn(Duration::from_millis(5));
        });
        assert_eq!(status, 0);
    }
    assert_eq!(in_forked_child(|| drop(agent)), 0, "dropping the parent's handle in the child");
}

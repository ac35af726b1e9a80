//! How a profiled process ends: with its own exit status, in time, and with its last profile told.
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    reason = "exit, fork and kill are called as a host would"
)]

use crate::child::{PATIENCE, again, finish, isolated, role, size};
use crate::received::{self, Received};
use crate::server::{Reply, Server};
use crate::sys;
use crate::workload::spin;
use sondage::{Agent, Config};
use std::ffi::{c_int, c_void};
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

const TARGET: &str = "SONDAGE_TEST_TARGET";
const LIMIT: &str = "SONDAGE_TEST_LIMIT_MS";

/// What a busy machine may add to a limit; what nothing ends takes for ever.
const A_STALL: Duration = Duration::from_secs(20);

/// Longer than any flush takes on a busy machine: what is proven is that it comes, not how fast.
pub const GENEROUS: Duration = Duration::from_secs(20);

/// The agent of a service that works on two threads, labelled with its process id.
pub fn start_service() -> Agent {
    let target = std::env::var(TARGET).unwrap().parse().unwrap();
    let limit = std::env::var(LIMIT).unwrap().parse().unwrap();
    let config = Config::builder()
        .service_name("shop")
        .label("instance", std::process::id().to_string())
        .interval(Duration::from_millis(300))
        .exit_timeout(Duration::from_millis(limit))
        .targets([target])
        .build()
        .unwrap();
    let agent = Agent::start(config).unwrap();
    for _ in 0..2 {
        std::thread::spawn(|| {
            loop {
                spin(100_000);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
    }
    agent
}

/// A child that plays `role`, after it has said that it is ready.
pub struct Service {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Service {
    pub fn start(role: &str, server: &Server, limit: Duration) -> Self {
        let mut command = again(role);
        command.env(TARGET, server.target()).env(LIMIT, limit.as_millis().to_string());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        received::wait_for_line(&mut output, "ready");
        Self { child, output }
    }

    pub fn terminate(&self) {
        let pid = i32::try_from(self.child.id()).unwrap();
        unsafe { libc::kill(pid, libc::SIGTERM) };
    }

    fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for the end; what it said about when it wanted to end, and its status.
    pub fn wait(mut self) -> (Option<u64>, ExitStatus) {
        let lines = self.output.lines().map_while(Result::ok);
        let ending = lines.filter_map(|line| line.strip_prefix("ending ")?.parse().ok()).last();
        (ending, self.child.wait().unwrap())
    }
}

pub fn ready() {
    println!("\nready");
}

fn ending() {
    println!("\nending {}", received::now());
}

/// Whether the server has a profile of that process that goes on until `end`.
fn has_last(server: &Server, pid: u32, end: u64) -> bool {
    let profiles = Received::all(server);
    profiles.iter().any(|it| it.instance == pid.to_string() && it.end >= end)
}

/// A wait of 0 to 600 ms, different each time.
pub fn random_phase() -> Duration {
    use std::hash::{BuildHasher, Hasher, RandomState};
    Duration::from_micros(RandomState::new().build_hasher().finish() % 600_000)
}

#[test]
fn at_sigterm_the_last_profile_is_delivered_and_the_process_dies_of_it() {
    isolated(PATIENCE, || {
        if role().is_some() {
            let _agent = start_service();
            ready();
            std::thread::sleep(Duration::from_secs(300));
        }
        let server = Server::start(vec![Reply::status(200)]);
        let kills = size(20, 200);
        let (mut delivered, mut longest) = (0, Duration::ZERO);
        for _ in 0..kills {
            let service = Service::start("service", &server, GENEROUS);
            std::thread::sleep(random_phase());
            let (pid, end, before) = (service.child.id(), received::now(), Instant::now());
            service.terminate();
            let (_, status) = service.wait();
            longest = longest.max(before.elapsed());
            assert_eq!(status.signal(), Some(libc::SIGTERM), "{status}");
            delivered += u32::from(has_last(&server, pid, end));
        }
        println!("{delivered} of {kills} last profiles, the longest end took {longest:?}");
        assert!(delivered * 100 >= kills * 99, "{delivered} of {kills}");
    });
}

#[test]
fn a_server_that_hangs_holds_the_end_up_no_longer_than_allowed() {
    isolated(PATIENCE, || {
        if role().is_some() {
            let agent = start_service();
            ready();
            if role().is_some_and(|role| role == "exit") {
                std::thread::sleep(Duration::from_millis(500));
                std::mem::forget(agent);
                ending();
                std::process::exit(3);
            }
            std::thread::sleep(Duration::from_secs(300));
        }
        let server = Server::start(vec![Reply::Silence]);
        let limit = Duration::from_millis(1500);
        for role in ["terminate", "exit"] {
            let service = Service::start(role, &server, limit);
            std::thread::sleep(Duration::from_millis(400));
            let mut begin = received::now();
            if role == "terminate" {
                service.terminate();
            }
            let (ending, status) = service.wait();
            begin = ending.unwrap_or(begin);
            let took = Duration::from_nanos(received::now() - begin);
            println!("{role}: {took:?}");
            assert!(took < limit + A_STALL, "{role}: {took:?}");
            let ended = status.code().ok_or_else(|| status.signal().unwrap_or(0));
            let expected = if role == "exit" { Ok(3) } else { Err(libc::SIGTERM) };
            assert_eq!(ended, expected, "{role}");
        }
        // A second SIGTERM does not wait. One that comes while the first is pending is no second.
        let mut service = Service::start("terminate", &server, Duration::from_secs(30));
        let before = Instant::now();
        while service.is_running() {
            service.terminate();
            std::thread::sleep(Duration::from_millis(300));
        }
        assert_eq!(service.wait().1.signal(), Some(libc::SIGTERM));
        assert!(before.elapsed() < Duration::from_secs(20), "{:?}", before.elapsed());
    });
}

/// Holds the loader's lock for ever, for which the agent waits then.
unsafe extern "C" fn hold(_: *mut libc::dl_phdr_info, _: usize, _: *mut c_void) -> c_int {
    loop {
        std::thread::sleep(Duration::from_secs(300));
    }
}

#[test]
fn an_agent_that_hangs_holds_the_end_up_no_longer_than_allowed() {
    isolated(PATIENCE, || {
        if role().is_some() {
            let _agent = start_service();
            std::thread::spawn(|| unsafe { libc::dl_iterate_phdr(Some(hold), null_mut()) });
            std::thread::sleep(Duration::from_secs(1));
            ready();
            std::thread::sleep(Duration::from_secs(300));
        }
        let server = Server::start(vec![Reply::status(200)]);
        let limit = Duration::from_millis(1500);
        let service = Service::start("stuck", &server, limit);
        let before = Instant::now();
        service.terminate();
        assert_eq!(service.wait().1.signal(), Some(libc::SIGTERM));
        let took = before.elapsed();
        println!("{took:?}");
        assert!((limit..limit + A_STALL).contains(&took), "{took:?}");
    });
}

static TERMINATED: AtomicBool = AtomicBool::new(false);

unsafe extern "C" fn note(_: c_int, _: *mut libc::siginfo_t, _: *mut c_void) {
    TERMINATED.store(true, Relaxed);
}

unsafe extern "C" fn leave(_: c_int, _: *mut libc::siginfo_t, _: *mut c_void) {
    unsafe { libc::exit(7) };
}

/// What a host does about SIGTERM, by role.
fn host_with_a_handler(role: &str) {
    let handler: sys::Handler = if role.contains("leaves") { leave } else { note };
    let mut agent = None;
    if role.contains("after") {
        agent = Some(start_service());
    }
    sys::install(libc::SIGTERM, handler, 0);
    let agent = agent.unwrap_or_else(start_service);
    ready();
    while !TERMINATED.load(Relaxed) {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::mem::forget(agent);
    std::process::exit(7);
}

#[test]
fn a_handler_of_the_host_and_its_exit_code_are_left_alone() {
    isolated(PATIENCE, || {
        if let Some(role) = role() {
            return host_with_a_handler(&role);
        }
        let server = Server::start(vec![Reply::status(200)]);
        for role in ["before", "after", "before, leaves", "after, leaves"] {
            for _ in 0..size(1, 25) {
                let service = Service::start(role, &server, GENEROUS);
                std::thread::sleep(random_phase());
                let (pid, end) = (service.child.id(), received::now());
                service.terminate();
                let (_, status) = service.wait();
                assert_eq!(status.code(), Some(7), "{role}: {status}");
                assert!(has_last(&server, pid, end), "{role}: {:?}", Received::all(&server));
            }
        }
    });
}

/// Where hosts keep their agent.
static KEPT: OnceLock<Agent> = OnceLock::new();

#[test]
fn at_exit_the_last_profile_is_delivered_wherever_the_handle_is() {
    isolated(PATIENCE, || {
        if let Some(role) = role() {
            let agent = start_service();
            ready();
            match role.as_str() {
                "kept" => drop(KEPT.set(agent)),
                _ => std::mem::forget(agent),
            }
            std::thread::sleep(Duration::from_millis(200));
            ending();
            match role.as_str() {
                "returned" => return,
                "on a thread" => drop(std::thread::spawn(|| std::process::exit(3)).join()),
                _ => std::process::exit(3),
            }
        }
        let server = Server::start(vec![Reply::status(200)]);
        for (role, code) in [("kept", 3), ("forgotten", 3), ("on a thread", 3), ("returned", 0)] {
            for _ in 0..size(1, 25) {
                let service = Service::start(role, &server, GENEROUS);
                let pid = service.child.id();
                let (ending, status) = service.wait();
                assert_eq!(status.code(), Some(code), "{role}: {status}");
                let end = ending.expect("it said when");
                assert!(has_last(&server, pid, end), "{role}: {:?}", Received::all(&server));
            }
        }
    });
}

/// An agent that is stopped late.
static LATE: Mutex<Option<Agent>> = Mutex::new(None);

/// Ends the process with 5 if the agent still answers.
extern "C" fn stop_late() {
    let agent = LATE.lock().unwrap().take();
    let stopped = agent.is_some_and(|agent| agent.stop().is_ok());
    unsafe { libc::_exit(if stopped { 5 } else { 1 }) };
}

#[test]
fn a_host_that_stops_its_agent_in_a_function_of_atexit_gets_an_answer() {
    isolated(PATIENCE, || {
        if role().is_some() {
            // Given before ours, and so called after it, as destructors are.
            unsafe { libc::atexit(stop_late) };
            *LATE.lock().unwrap() = Some(start_service());
            ready();
            std::thread::sleep(Duration::from_millis(200));
            std::process::exit(3);
        }
        let server = Server::start(vec![Reply::status(200)]);
        let service = Service::start("late", &server, GENEROUS);
        assert_eq!(service.wait().1.code(), Some(5));
    });
}

#[test]
fn the_first_process_of_a_container_goes_on_after_a_sigterm() {
    isolated(PATIENCE, || {
        if role().is_some() {
            assert_eq!(std::process::id(), 1);
            let agent = start_service();
            std::thread::sleep(Duration::from_millis(200));
            ending();
            for _ in 0..3 {
                sys::signal_self(libc::SIGTERM);
                std::thread::sleep(Duration::from_millis(500));
            }
            agent.flush().expect("the agent goes on as well");
            std::process::exit(7);
        }
        let server = Server::start(vec![Reply::status(200)]);
        let inner = again("first");
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--pid", "--fork"]).arg(inner.get_program());
        command.args(inner.get_args()).envs(inner.get_envs().filter_map(|(k, v)| Some((k, v?))));
        command.env(TARGET, server.target()).env(LIMIT, "1000");
        let (status, output) = finish(&mut command, PATIENCE);
        if output.contains("unshare failed") {
            return println!("not checked here: {output}");
        }
        assert_eq!(status.and_then(|status| status.code()), Some(7), "{output}");
        let end = output.lines().find_map(|line| line.strip_prefix("ending ")?.parse().ok());
        assert!(has_last(&server, 1, end.expect("it said when")), "{output}");
    });
}

/// Waits for a forked child and returns how it ended: exit code or signal, and how long it took.
fn wait(pid: i32) -> (Result<i32, i32>, Duration) {
    let (mut status, before) = (0, Instant::now());
    while unsafe { libc::waitpid(pid, &raw mut status, 0) } < 0 {}
    let ended = match libc::WIFEXITED(status) {
        true => Ok(libc::WEXITSTATUS(status)),
        false => Err(libc::WTERMSIG(status)),
    };
    (ended, before.elapsed())
}

#[test]
fn a_forked_child_ends_as_if_its_parent_were_not_profiled() {
    isolated(PATIENCE, || {
        let server = Server::start(vec![Reply::Silence]);
        unsafe {
            std::env::set_var(TARGET, server.target());
            std::env::set_var(LIMIT, "30000");
        }
        let default = sys::disposition(libc::SIGTERM);
        let agent = start_service();
        assert_ne!(sys::disposition(libc::SIGTERM), default, "ours");
        for ending in ["exit", "terminate", "own agent"] {
            let pid = unsafe { libc::fork() };
            if pid == 0 {
                let as_before = sys::disposition(libc::SIGTERM)[0] == default[0];
                match ending {
                    _ if !as_before => unsafe { libc::_exit(1) },
                    "exit" => unsafe { libc::exit(5) },
                    "terminate" => sys::signal_self(libc::SIGTERM),
                    // An agent that has not been started leaves the end alone as well.
                    _ => sondage::labels([("in", "child")]).scope(|| unsafe { libc::_exit(5) }),
                }
                unsafe { libc::_exit(2) };
            }
            let (ended, took) = wait(pid);
            let expected = if ending == "terminate" { Err(libc::SIGTERM) } else { Ok(5) };
            assert_eq!(ended, expected, "{ending}");
            assert!(took < Duration::from_secs(10), "{ending}: {took:?}");
        }
        assert_ne!(sys::disposition(libc::SIGTERM), default, "still ours in the parent");
        drop(agent);
        assert_eq!(sys::disposition(libc::SIGTERM)[0], default[0], "given back");
        assert_eq!(sys::timers(), Vec::new());
    });
}

//! Scenarios in processes of their own: what one does to signals, threads and memory, and how it
//! dies, concerns no other, and a watchdog ends it.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What a test binary ends with if its tests fail.
const FAILED_ASSERTION: i32 = 101;

const SCENARIO: &str = "SONDAGE_SCENARIO";
const ROLE: &str = "SONDAGE_ROLE";

/// What a scenario gets before its watchdog ends it: many times what it takes, since a busy
/// machine is no failure and a hang is one however late it is seen.
pub const PATIENCE: Duration = Duration::from_secs(590);

/// Whether the published sizes are asked for.
pub fn full() -> bool {
    std::env::var("SONDAGE_STORM").is_ok_and(|size| size == "full")
}

/// One of two sizes.
pub fn size<T>(small: T, published: T) -> T {
    if full() { published } else { small }
}

/// Runs `scenario`, the body of the calling test, in a new process that has `limit` to finish.
///
/// The process is this test binary again, told to run that one test; there this function just
/// runs the body.
///
/// At the small sizes few samples are taken, and a machine that stands still for a second can spoil
/// any figure. So a figure that is wrong is measured once more, which is told on standard error. A
/// process that crashes or hangs fails at once.
pub fn isolated<F: FnOnce()>(limit: Duration, scenario: F) {
    let name = test_name::<F>();
    if std::env::var(SCENARIO).is_ok_and(|asked| asked == name) {
        crate::sys::die_with_parent();
        return scenario();
    }
    let run = || finish(of_this_binary(&name).env_remove(ROLE), limit);
    let (mut status, mut output) = run();
    if !full() && status.is_some_and(|status| status.code() == Some(FAILED_ASSERTION)) {
        let _ = writeln!(std::io::stderr(), "*** ONCE MORE: {name}, which failed with:\n{output}");
        (status, output) = run();
    }
    if output.contains("*** SKIPPED") {
        // Not `println`: what was not proven is said past any capture, as the gate does.
        let _ = std::io::stderr().write_all(output.as_bytes());
    } else {
        println!("{output}");
    }
    let status = status.unwrap_or_else(|| panic!("{name}: not finished after {limit:?}"));
    assert!(status.success(), "{name}: {status}");
    assert!(output.contains("1 passed"), "{name}: the process ran another number of tests");
}

/// In a scenario: this scenario once more in another process, in which [`role`] is `role`.
pub fn again(role: &str) -> Command {
    let name = std::env::var(SCENARIO).expect("inside a scenario");
    let mut command = of_this_binary(&name);
    command.env(ROLE, role);
    command
}

/// The part that this process plays in a scenario of several.
pub fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// Runs a command to its end or to `limit`, whichever comes first; `None` means it was ended.
/// Returns what it wrote as well.
pub fn finish(command: &mut Command, limit: Duration) -> (Option<ExitStatus>, String) {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().expect("the process starts");
    let output = Arc::new(Mutex::new(Vec::new()));
    let readers = [collect(child.stdout.take(), &output), collect(child.stderr.take(), &output)];
    let deadline = Instant::now() + limit;
    let mut status = child.try_wait().expect("a child can be waited for");
    while status.is_none() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
        status = child.try_wait().expect("a child can be waited for");
    }
    if status.is_none() {
        let _ = writeln!(output.lock().unwrap(), "{}", describe_threads(&child));
        crate::sys::end_group(child.id());
        let _ = child.wait();
    }
    for reader in readers {
        let _ = reader.join();
    }
    let output = String::from_utf8_lossy(&output.lock().unwrap()).into_owned();
    (status, output)
}

fn collect(from: Option<impl Read + Send + 'static>, into: &Arc<Mutex<Vec<u8>>>) -> JoinHandle<()> {
    let (mut from, into) = (from.expect("a pipe was asked for"), into.clone());
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            into.lock().unwrap().extend_from_slice(&buffer[..count]);
        }
    })
}

/// What each thread of a hanging process is doing: name, state, where in the kernel.
fn describe_threads(child: &Child) -> String {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", child.id()));
    let mut text = String::from("threads at the end:\n");
    for task in tasks.into_iter().flatten().flatten() {
        let read = |file| std::fs::read_to_string(task.path().join(file)).unwrap_or_default();
        let stat = read("stat");
        let state = stat.rsplit(')').next().and_then(|rest| rest.chars().nth(1)).unwrap_or('?');
        text += &format!("  {} {state} {}\n", read("comm").trim_end(), read("wchan"));
    }
    text
}

fn of_this_binary(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the test binary has a path"));
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(SCENARIO, name);
    command
}

/// The path of the test in which a closure was written: `it::host::a_test::{{closure}}` is in
/// `host::a_test`. Were the compiler to spell it otherwise, no test would run and that is noticed.
fn test_name<F>() -> String {
    let path = std::any::type_name::<F>();
    let path = path.split("::{{closure}}").next().unwrap_or(path);
    path.split_once("::").map_or(path, |(_, name)| name).to_owned()
}

#[test]
fn a_scenario_that_hangs_is_ended_by_its_watchdog() {
    let mut command = Command::new("sleep");
    let start = Instant::now();
    let (status, output) = finish(command.arg("60"), Duration::from_millis(300));
    assert_eq!(status, None);
    assert!(start.elapsed() < Duration::from_secs(30));
    assert!(output.contains("sleep"), "the report names its threads: {output}");
}

#[test]
fn a_scenario_that_dies_of_a_signal_is_a_failed_test() {
    let outcome = std::panic::catch_unwind(|| {
        isolated(Duration::from_secs(20), || crate::sys::raise(libc::SIGKILL));
    });
    // In the process of its own this line is not reached.
    assert!(outcome.is_err());
}

#[test]
fn a_figure_that_stays_wrong_is_a_failed_test() {
    let outcome = std::panic::catch_unwind(|| {
        isolated(Duration::from_secs(20), || std::process::exit(FAILED_ASSERTION));
    });
    // In the process of its own this line is not reached.
    assert!(outcome.is_err());
}

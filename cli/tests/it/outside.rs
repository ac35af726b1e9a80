//! `dump`, `top` and `record -p`: running processes, looked at from outside.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::built;
use crate::read::{report, said, total};
use crate::record::wait_for;
use crate::scratch::Scratch;

/// The command; it needs no library for this.
fn sondage() -> Command {
    Command::new(env!("CARGO_BIN_EXE_sondage"))
}

/// A program that has printed `started`, killed with the test.
struct Target {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Target {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "started\n");
        Self { child, output }
    }

    /// The C program, with neither frame pointers nor a symbol of its interpreter.
    fn c(scratch: &Scratch, arguments: &[&str]) -> Self {
        let flags = ["-fomit-frame-pointer", "-pthread"];
        Self::start(Command::new(built::program(scratch, "outside.c", &flags)).args(arguments))
    }

    fn pid(&self) -> String {
        self.child.id().to_string()
    }

    fn state(&self) -> char {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
    }

    fn wait_until_it_is(&self, state: char) {
        wait_for(&format!("state {state}"), || self.state() == state);
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args(["-s", name, &self.pid()]).status().unwrap().success());
    }

    fn dump(&self) -> Value {
        let output = sondage().args(["dump", "--json", &self.pid()]).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// A dump in which some thread is in `function`, and that frame. A single stack may be caught where
    /// the virtual machine is between two frames, or replaces code.
    fn dump_within(&self, function: &str) -> (Value, Value) {
        let found = (0..20).find_map(|_| {
            let dump = self.dump();
            let threads = dump["threads"].as_array().unwrap().iter();
            let mut frames = threads.flat_map(|thread| thread["frames"].as_array().unwrap());
            let frame = frames.find(|frame| frame["function"] == function)?.clone();
            Some((dump, frame))
        });
        found.unwrap_or_else(|| panic!("no thread is in {function}: {}", self.dump()))
    }

    /// What `record -p` writes, as `report --json` reads it.
    fn record(&self, scratch: &Scratch, seconds: &str) -> (Value, String) {
        let file = scratch.path("recorded.pb.gz");
        let mut command = sondage();
        command.args(["record", "-p", &self.pid(), "-d", seconds, "-o"]).arg(&file);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        (report(&file), said(&output))
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The functions of a thread's frames, leaf first.
fn functions(thread: &Value) -> Vec<&str> {
    let frames = thread["frames"].as_array().unwrap();
    frames.iter().map(|frame| frame["function"].as_str().unwrap()).collect()
}

/// The shares of `heavy` and `light` are 3 to 1, within 5 points and what chance adds to that, and
/// almost nothing else is there.
fn assert_shares(json: &Value, [heavy, light]: [&str; 2]) {
    let unsampled = json["lost"]["unsampled"].as_f64().unwrap_or(0.0) / 1e9;
    let whole = json["total"].as_f64().unwrap() / 1e9 - unsampled;
    let (heavy, light) = (total(json, heavy), total(json, light));
    assert!(heavy + light > 0.9 * whole, "{heavy} and {light} of {whole}: {json}");
    let share = heavy / (heavy + light);
    let samples = json["samples"].as_f64().unwrap();
    let error = 0.05 + 3.0 * (0.75 * 0.25 / samples).sqrt();
    assert!((share - 0.75).abs() < error, "{share}: {json}");
}

fn programs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(name)
}

pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

#[test]
fn a_dump_has_every_thread_with_its_whole_stack() {
    let scratch = Scratch::new("dump");
    let target = Target::c(&scratch, &[]);
    let dump = target.dump();
    assert_eq!(dump["program"], "outside");
    let threads = dump["threads"].as_array().unwrap();
    assert_eq!(threads.len(), 2, "{dump}");
    let main = functions(&threads[0]);
    assert!(main.contains(&"main"), "{dump}");
    assert!(main.iter().any(|name| ["heavy", "light"].contains(name)), "{dump}");
    assert_eq!(threads[0]["state"], "running");
    let waiter = functions(&threads[1]);
    assert_eq!((&threads[1]["name"], &threads[1]["state"]), (&"waiter".into(), &"waiting".into()));
    assert!(waiter.contains(&"waiter"), "{dump}");
    let frame = &threads[1]["frames"][waiter.iter().position(|it| *it == "waiter").unwrap()];
    assert!(frame["file"].as_str().unwrap().ends_with("outside.c"), "{dump}");
    assert!(frame["line"].as_u64().unwrap() > 0, "{dump}");

    let output = sondage().args(["dump", &target.pid()]).output().unwrap();
    assert!(said(&output).contains("\"waiter\", waiting"), "{}", said(&output));
    assert!(said(&output).contains("outside.c:"), "{}", said(&output));
}

#[test]
fn shares_of_a_program_without_frame_pointers_are_right_and_stops_are_told() {
    let scratch = Scratch::new("outside-shares");
    let target = Target::c(&scratch, &[]);
    let (json, said) = target.record(&scratch, "2");
    assert_shares(&json, ["heavy", "light"]);
    let calls = total(&json, "heavy") + total(&json, "light");
    assert!(total(&json, "main") > calls - 0.001, "{json}");
    assert!(said.contains("a thread was stopped for"), "{said}");
    assert_eq!(total(&json, "waiter"), 0.0, "a thread that waits is left alone: {json}");
}

#[test]
fn code_that_a_runtime_made_has_names_and_lines_by_its_jitdump_and_names_by_its_perf_map() {
    let scratch = Scratch::new("outside-jit");
    let program = built::program(&scratch, "jit.c", &["-fomit-frame-pointer"]);
    let mut target = Target::start(Command::new(program).arg(scratch.path("")));
    let map = format!("/tmp/perf-{}.map", target.pid());
    for (name, line) in [("jitted", 11), ("jitted_again", 21)] {
        let (json, _) = target.record(&scratch, "2");
        assert_shares(&json, [name, "mapped_only"]);
        let jitted = total(&json, name) + total(&json, "mapped_only");
        assert!(total(&json, "main") > 0.99 * jitted, "{json}");
        let dump = loop {
            let dump = target.dump();
            if functions(&dump["threads"][0]).contains(&name) {
                break dump;
            }
        };
        let frame = &dump["threads"][0]["frames"][0];
        assert_eq!((&frame["file"], &frame["line"]), (&"made.src".into(), &line.into()), "{dump}");
        assert_eq!(frame["module"], "[anonymous]", "{dump}");
        let top = sondage().args(["top", "--once", "-d", "0.5", &target.pid()]).output().unwrap();
        assert!(said(&top).contains(name), "{}", said(&top));
        target.signal("USR1");
        let mut told = String::new();
        target.output.read_line(&mut told).unwrap();
        assert_eq!(told, "told\n");
    }
    std::fs::remove_file(map).unwrap();
}

#[test]
fn python_is_read_from_outside_with_names_and_lines() {
    let pythons = ["python3", "python3.9", "python3.10", "python3.11", "python3.12", "python3.13"];
    let mut seen = 0;
    for python in pythons {
        let runs = Command::new(python).args(["-c", ""]).output();
        if !runs.is_ok_and(|output| output.status.success()) {
            continue;
        }
        seen += 1;
        let scratch = Scratch::new("outside-python");
        let target = Target::start(Command::new(python).arg(programs("shares.py")));
        let dump = target.dump();
        let names = functions(&dump["threads"][0]);
        assert_eq!(names.last(), Some(&"<module>"), "{python}: {dump}");
        let (json, _) = target.record(&scratch, "2");
        assert_shares(&json, ["heavy", "light"]);
        let frame = dump["threads"][0]["frames"].as_array().unwrap().last().unwrap();
        assert!(frame["file"].as_str().unwrap().ends_with("shares.py"), "{dump}");
        assert!((27..=28).contains(&frame["line"].as_u64().unwrap()), "{dump}");
    }
    if seen == 0 {
        println!("skipped: there is no Python on the path");
    }
}

#[test]
fn javascript_is_read_from_outside_with_names_and_lines() {
    if !Command::new("node").arg("--version").output().is_ok_and(|it| it.status.success()) {
        println!("skipped: there is no Node.js on the path");
        return;
    }
    let scratch = Scratch::new("outside-node");
    let target = Target::start(Command::new("node").arg(programs("shares.cjs")));
    let (json, said) = target.record(&scratch, "2");
    if said.contains("no symbol table") {
        println!("skipped: this Node.js is stripped");
        return;
    }
    assert_shares(&json, ["heavy", "light"]);
    let (dump, work) = target.dump_within("work");
    assert!(work["file"].as_str().unwrap().ends_with("shares.cjs"), "{dump}");
    assert!((21..=22).contains(&work["line"].as_u64().unwrap()), "{dump}");
}

#[test]
fn java_is_read_from_outside_with_names_and_lines() {
    let scratch = Scratch::new("outside-java");
    let mut javac = Command::new("javac");
    javac.arg("-d").arg(scratch.path("")).arg(programs("Shares.java"));
    if !javac.output().is_ok_and(|output| output.status.success()) {
        println!("skipped: there is no JDK on the path");
        return;
    }
    // Compiled by C1 with counters only, and as ever.
    for flag in ["-XX:TieredStopAtLevel=3", "-XX:+TieredCompilation"] {
        let mut java = Command::new("java");
        java.arg(flag).arg("-cp").arg(scratch.path("")).arg("Shares");
        let target = Target::start(&mut java);
        // Until it is compiled.
        std::thread::sleep(Duration::from_secs(1));
        let (json, _) = target.record(&scratch, "2");
        assert_shares(&json, ["Shares.heavy", "Shares.light"]);
        let (dump, main) = target.dump_within("Shares.main");
        assert_eq!((&main["file"], &main["line"]), (&"Shares.java".into(), &28.into()), "{dump}");
        for _ in 0..10 {
            let (dump, heavy) = target.dump_within("Shares.heavy");
            // Its loop, unless that is about to begin or to end.
            assert!((8..=10).contains(&heavy["line"].as_u64().unwrap_or(0)), "{flag}: {dump}");
        }
    }
}

#[test]
fn top_prints_tables_without_a_terminal() {
    let scratch = Scratch::new("top");
    let target = Target::c(&scratch, &[]);
    let top = |arguments: &[&str]| {
        let output = sondage().args(["top", &target.pid()]).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let once = top(&["--once", "-d", "0.5"]);
    assert_eq!(once.matches("% of one core").count(), 1, "{once}");
    assert!(once.contains("heavy") && !once.contains('\u{1b}'), "{once}");
    let twice = top(&["--interval", "0.4", "-d", "0.8"]);
    assert_eq!(twice.matches("% of one core").count(), 2, "{twice}");
}

#[test]
fn a_signal_that_comes_while_a_thread_is_stopped_is_delivered() {
    let scratch = Scratch::new("outside-signals");
    let mut target = Target::c(&scratch, &["500"]);
    let begun = Instant::now();
    let mut command = sondage();
    command.args(["record", "-p", &target.pid(), "--hz", "1000", "-o"]);
    let output = command.arg(scratch.path("out.folded")).output().unwrap();
    // It ends by itself, and is then recorded to its end.
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("has ended"), "{}", said(&output));
    let mut rest = String::new();
    target.output.read_to_string(&mut rest).unwrap();
    // One may come between the last and the end.
    let ticks = rest.trim_end().strip_prefix("ticks ").and_then(|ticks| ticks.parse().ok());
    assert!(ticks.is_some_and(|ticks: u32| (1000..1010).contains(&ticks)), "{rest}");
    assert!(target.child.wait().unwrap().success());
    // Two seconds of ticks; a busy machine may have held the program up.
    assert!(begun.elapsed() < Duration::from_secs(200), "ticks were lost: {:?}", begun.elapsed());
}

#[test]
fn a_process_that_job_control_has_stopped_is_read_and_stays_stopped() {
    let scratch = Scratch::new("outside-stopped");
    let target = Target::c(&scratch, &[]);
    target.signal("STOP");
    target.wait_until_it_is('T');
    let dump = target.dump();
    assert_eq!(dump["threads"][0]["state"], "stopped");
    assert!(functions(&dump["threads"][0]).contains(&"main"), "{dump}");
    // Linux wakes a thread that is let go, to stop it again before it runs.
    target.wait_until_it_is('T');
    target.signal("CONT");
    target.wait_until_it_is('R');
}

#[test]
fn what_is_wrong_is_said_with_an_exit_code() {
    let refused = |arguments: &[&str], code: i32, text: &str| {
        let output: Output = sondage().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(text), "{arguments:?}: {}", said(&output));
    };
    for command in [&["dump"][..], &["top", "--once"], &["record", "-d", "1", "-p"]] {
        let with = |pid: &'static str| [command, &[pid]].concat();
        refused(&with("999999999"), 1, "there is no process 999999999");
        refused(&with("2"), 1, "thread of the kernel");
        refused(&with("x"), 2, "invalid value");
    }
    let own = std::process::id().to_string();
    refused(&["record", "-p", &own, "--", "true"], 2, "cannot be used with");
    refused(&["record", "-p", &own, "--wall"], 2, "--wall");
    refused(&["record", "-p", &own, "-o", "x.txt"], 2, "x.txt");
    let tid = sleeping_thread();
    refused(&["dump", &tid.to_string()], 1, "is a thread of process");
}

/// The number of a thread of this process that is not its first.
fn sleeping_thread() -> u64 {
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("Pid:")).unwrap();
        send.send(line.trim().parse().unwrap()).unwrap();
        std::thread::sleep(Duration::from_secs(60));
    });
    receive.recv().unwrap()
}

#[test]
fn another_users_process_is_refused_and_it_is_said_what_it_would_take() {
    if !is_root() {
        println!("skipped: being another user takes root");
        return;
    }
    let scratch = Scratch::new("outside-denied");
    let target = Target::c(&scratch, &[]);
    // Where another user may run it.
    let copy = std::env::temp_dir().join(format!("sondage-denied-{}", std::process::id()));
    std::fs::copy(env!("CARGO_BIN_EXE_sondage"), &copy).unwrap();
    for arguments in [&["dump"][..], &["top", "--once"], &["record", "-d", "1", "-p"]] {
        let mut command = Command::new(&copy);
        command.args(arguments).arg(target.pid()).uid(65_534).gid(65_534).current_dir("/");
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains("CAP_SYS_PTRACE"), "{}", said(&output));
    }
    std::fs::remove_file(copy).unwrap();
    assert_eq!(target.state(), 'R');
}

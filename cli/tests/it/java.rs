//! `record` and `inject` with virtual machines for Java.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::built::{self, agent_of_jvm, library, sondage};
use crate::read::{report, said, total};
use crate::scratch::Scratch;

/// Whether there is a Java that runs programs from their source; tells of skipped tests.
fn has_java() -> bool {
    let modules = Command::new("java").arg("--list-modules").output();
    let has = modules.is_ok_and(|it| String::from_utf8_lossy(&it.stdout).contains("jdk.compiler"));
    if !has {
        println!("skipped: there is no JDK 11 or later on the path");
    }
    has
}

fn program() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/Work.java")
}

/// The command, with both of its libraries built.
fn command() -> Command {
    agent_of_jvm();
    sondage()
}

fn inject(pid: u32, arguments: &[&str]) -> Output {
    command().arg("inject").arg(pid.to_string()).args(arguments).output().unwrap()
}

/// A machine that computes until this value goes.
struct Machine {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Machine {
    fn start(options: &[&str]) -> Self {
        let mut java = Command::new("java");
        java.args(options).arg(program());
        Self::start_by(java)
    }

    fn start_by(mut command: Command) -> Self {
        // It does not wait for ever until they are built.
        agent_of_jvm();
        library();
        command.env_remove("SONDAGE_PUSH").stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "started\n");
        Self { child, output }
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it, and returns what it has printed since.
    fn end(mut self) -> (String, String) {
        writeln!(self.child.stdin.as_ref().unwrap()).unwrap();
        let (mut output, mut errors) = (String::new(), String::new());
        self.output.read_to_string(&mut output).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        assert!(self.child.wait().unwrap().success(), "{output}{errors}");
        (output, errors)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a profile of a folder has a function, sooner or later.
fn soon_has(folder: &Path, function: &str) -> bool {
    let latest = Instant::now() + Duration::from_secs(30);
    while Instant::now() < latest {
        let files = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
        let mut files =
            files.map(|file| file.path()).filter(|path| path.extension() == Some("gz".as_ref()));
        if files.any(|file| total(&report(&file), function) > 0.0) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    false
}

#[test]
fn a_recording_has_java_frames_of_machines_and_their_children() {
    if !has_java() {
        return;
    }
    let scratch = Scratch::new("java-record");
    let file = scratch.path("java.pb.gz");
    let script = format!("java '{0}' 500; exec java '{0}' 1000", program().display());
    let mut command = command();
    command.args(["record", "-o"]).arg(&file).args(["--", "sh", "-c", &script]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(output.stdout.is_empty(), "{}", said(&output));
    assert!(!said(&output).contains("Picked up"), "{}", said(&output));
    let json = report(&file);
    assert!(total(&json, "Work.outer") > 1.0, "{json}");
    let (outer, main) = (total(&json, "Work.outer"), total(&json, "Work.main"));
    assert!((0.99..1.01).contains(&(outer / main)), "{outer} of {main}: {json}");
    // The machine's own threads stand beside.
    let threads = json["labels"]["thread"].as_object().unwrap();
    assert!(threads.keys().any(|name| name.contains("Compiler")), "{threads:?}");
}

#[test]
fn a_program_that_brings_a_copy_of_the_agent_is_recorded_by_it() {
    if !has_java() {
        return;
    }
    let scratch = Scratch::new("java-copy");
    let (file, copy) = (scratch.path("java.pb.gz"), scratch.path("copy.so"));
    std::fs::copy(agent_of_jvm(), &copy).unwrap();
    for agent in [copy.as_path(), agent_of_jvm()] {
        let mut command = command();
        command.args(["record", "-o"]).arg(&file).args(["--", "java"]);
        command.arg(format!("-agentpath:{}", agent.display())).arg(program()).arg("500");
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        let json = report(&file);
        assert!(total(&json, "Work.outer") > 0.2, "{json}");
        assert!(said(&output).contains("1 process,"), "{}", said(&output));
    }
}

#[test]
fn a_command_without_the_library_says_so_and_records_the_machine() {
    if !has_java() {
        return;
    }
    let scratch = Scratch::new("java-without");
    let alone = scratch.path("sondage");
    std::fs::copy(sondage().get_program(), &alone).unwrap();
    std::fs::copy(library(), scratch.path("libsondage.so")).unwrap();
    let file = scratch.path("java.pb.gz");
    let mut command = Command::new(&alone);
    command.env_remove("SONDAGE_JVM_LIBRARY").args(["record", "-o"]).arg(&file);
    let output = command.args(["--", "java"]).arg(program()).arg("300").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("install libsondage_jvm.so"), "{}", said(&output));
    let json = report(&file);
    assert_eq!(total(&json, "Work.outer"), 0.0, "{json}");
    assert!(json["samples"].as_i64() > Some(10), "{json}");
}

#[test]
fn a_library_that_is_not_there_is_named() {
    let scratch = Scratch::new("java-nowhere");
    let mut command = sondage();
    command.env("SONDAGE_JVM_LIBRARY", "/nowhere/agent.so").args(["record", "-o"]);
    let output = command.arg(scratch.path("a.pb.gz")).args(["--", "true"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("SONDAGE_JVM_LIBRARY: /nowhere/agent.so"), "{}", said(&output));
}

#[test]
fn a_running_machine_is_profiled_from_then_on_and_only_once() {
    if !has_java() {
        return;
    }
    let scratch = Scratch::new("java-inject");
    let machine = Machine::start(&[]);
    let push = format!("file:{}", scratch.path("").display());
    let arguments = ["--push", &push, "--service", "shop", "--label", "a=b", "--label", "c=d, e"];
    let output = inject(machine.pid(), &[&arguments[..], &["--option", "interval=1s"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let again = inject(machine.pid(), &[]);
    assert_eq!(again.status.code(), Some(1), "{}", said(&again));
    assert!(said(&again).contains("profiled already"), "{}", said(&again));
    assert!(soon_has(&scratch.path(""), "Work.outer"), "{:?}", scratch.names());
    let status = sondage().args(["ctl", "status", &machine.pid().to_string()]).output().unwrap();
    assert!(said(&status).contains("a=b, c=d, e"), "{}", said(&status));
    assert!(scratch.names().iter().all(|name| name.starts_with("shop-")), "{:?}", scratch.names());
    let trigger = format!("/tmp/.attach_pid{}", machine.pid());
    assert!(!Path::new(&trigger).exists());
    let (printed, _) = machine.end();
    assert_eq!(printed, "ended\n");
}

#[test]
fn a_process_without_a_machine_is_refused_and_lives() {
    let mut sleep = Command::new("sleep").arg("100").spawn().unwrap();
    let output = inject(sleep.id(), &[]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("no virtual machine"), "{}", said(&output));
    assert!(sleep.try_wait().unwrap().is_none(), "it was ended");
    sleep.kill().unwrap();
    sleep.wait().unwrap();
    for (pid, part) in [(4_194_305, "there is no process"), (1_u32, "process 1: ")] {
        let output = inject(pid, &[]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains(part), "{}", said(&output));
    }
}

#[test]
fn a_machine_that_is_not_to_be_attached_to_is_refused_and_prints_no_stacks() {
    if !has_java() {
        return;
    }
    for (options, part) in [
        (&["-XX:+DisableAttachMechanism"][..], "-XX:+DisableAttachMechanism"),
        (&["-XX:-UsePerfData", "-XX:+DisableAttachMechanism"], "-XX:+DisableAttachMechanism"),
        (&["-Xrs"], "-Xrs"),
    ] {
        let machine = Machine::start(options);
        let output = inject(machine.pid(), &[]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains(part), "{}", said(&output));
        assert_eq!(machine.end(), ("ended\n".to_owned(), String::new()));
    }
}

#[test]
fn a_machine_that_does_not_answer_is_given_up_after_ten_seconds() {
    let scratch = Scratch::new("java-deaf");
    let deaf = built::program(&scratch, "deaf.c", &[]);
    let library = scratch.path("libjvm.so");
    std::fs::write(&library, [0; 4096]).unwrap();
    let mut command = Command::new(deaf);
    command.arg(&library);
    let machine = Machine::start_by(command);
    agent_of_jvm();
    let begun = Instant::now();
    let output = inject(machine.pid(), &[]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("does not answer"), "{}", said(&output));
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    let trigger = format!("/tmp/.attach_pid{}", machine.pid());
    assert!(!Path::new(&trigger).exists());
    assert_eq!(machine.end().0, "ended\n");
}

#[test]
fn a_machine_that_is_stopped_or_refuses_the_agent_goes_on() {
    if !has_java() {
        return;
    }
    let machine = Machine::start(&[]);
    let signal = |name: &str| {
        let pid = machine.pid().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    };
    signal("STOP");
    let output = inject(machine.pid(), &[]);
    assert!(said(&output).contains("it is stopped"), "{}", said(&output));
    signal("CONT");
    let wrong = inject(machine.pid(), &["--agent", library().to_str().unwrap()]);
    assert_eq!(wrong.status.code(), Some(1), "{}", said(&wrong));
    assert!(said(&wrong).contains("Agent_OnAttach"), "{}", said(&wrong));
    machine.end();
}

#[test]
fn a_machine_of_another_user_in_a_container_is_reached_by_root() {
    let mut probe = Command::new("unshare");
    let container = ["--mount", "--pid", "--fork", "--mount-proc"];
    let probed = probe.args(container).arg("true").output();
    if !has_java() || !probed.is_ok_and(|it| it.status.success()) {
        println!("skipped: only the superuser can make a container");
        return;
    }
    let script = "text=$(cat \"$0\") && mount -t tmpfs none /tmp && mkdir -m 777 /tmp/out && cd / \
                  && echo \"$text\" > /tmp/Work.java \
                  && exec setpriv --reuid 65534 --regid 65534 --clear-groups java /tmp/Work.java";
    let mut command = Command::new("unshare");
    command.args(container).args(["sh", "-c", script]).arg(program());
    let machine = Machine::start_by(command);
    let children = format!("/proc/{0}/task/{0}/children", machine.pid());
    let pid: u32 = std::fs::read_to_string(children).unwrap().trim().parse().unwrap();
    let output = inject(pid, &["--push", "file:/tmp/out", "--option", "interval=1s"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let tmp = PathBuf::from(format!("/proc/{pid}/root/tmp"));
    assert!(soon_has(&tmp.join("out"), "Work.outer"));
    let left = std::fs::read_dir(&tmp).unwrap().filter_map(Result::ok).map(|it| it.file_name());
    let left: Vec<_> = left.filter_map(|name| name.into_string().ok()).collect();
    let ours = |name: &String| name.starts_with(".sondage") || name.starts_with(".attach");
    assert!(!left.iter().any(ours), "{left:?}");
    machine.end();
}

//! `sondage ctl` on a C program that has an agent.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::built::{library, program, sondage};
use crate::read::{report, said};
use crate::scratch::Scratch;

/// A program with an agent, which ends with this value.
struct Served(Child);

impl Served {
    fn start(scratch: &Scratch, variables: &[(&str, &str)]) -> Self {
        let folder = library().parent().unwrap().to_str().unwrap();
        let header = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bindings/c");
        let include = format!("-I{}", header.display());
        let (search, run_path) = (format!("-L{folder}"), format!("-Wl,-rpath,{folder}"));
        let built = program(scratch, "served.c", &[&include, &search, &run_path, "-lsondage"]);
        let mut command = Command::new(built);
        command.envs(variables.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "started\n");
        Self(child)
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }

    fn status(&self) -> Value {
        let output = ctl(&["status", &self.pid(), "--json"]);
        assert!(output.status.success(), "{}", said(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success() || std::thread::panicking());
    }
}

fn ctl(arguments: &[&str]) -> Output {
    sondage().arg("ctl").args(arguments).output().unwrap()
}

#[test]
fn a_running_process_is_asked_changed_turned_off_and_on() {
    let scratch = Scratch::new("ctl");
    let served = Served::start(&scratch, &[]);
    let pid = served.pid();
    let before = served.status();
    assert_eq!(before["service_name"], "served");
    assert_eq!(before["settings"]["hz"], 20);
    assert_eq!(before["sampling"], true);

    let set = ctl(&["set", &pid, "--hz", "50", "--wall", "on", "--label", "a=b", "--off"]);
    assert!(set.status.success(), "{}", said(&set));
    let off = served.status();
    assert_eq!((&off["sampling"], &off["settings"]["hz"]), (&false.into(), &50.into()));
    assert_eq!(off["settings"]["labels"], serde_json::json!([["a", "b"]]));
    let on = ctl(&["set", &pid, "--on"]);
    assert!(on.status.success(), "{}", said(&on));
    let output = ctl(&["status", &pid]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("at 50 Hz") && text.contains("CPU and waiting time"), "{text}");
    assert!(text.contains("a=b"), "{text}");
}

#[test]
fn a_burst_is_written_and_its_rate_goes_by_itself() {
    let scratch = Scratch::new("ctl-burst");
    let served = Served::start(&scratch, &[]);
    let (pid, file) = (served.pid(), scratch.path("burst.pb.gz"));
    let file_text = file.to_str().unwrap();
    let output = ctl(&["burst", &pid, "--hz", "200", "--duration", "1.5", "-o", file_text]);
    assert!(output.status.success(), "{}", said(&output));
    let json = report(&file);
    assert!(json["labels"]["sondage_burst"]["200"].as_i64() > Some(0), "{}", json["labels"]);
    assert!(json.to_string().contains("works_while_served"), "{json}");
    let deadline = Instant::now() + Duration::from_secs(20);
    while served.status()["burst"] != Value::Null && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    let after = served.status();
    assert!(after["current_hz"].as_f64().unwrap() < 21.0, "{after}");
}

#[test]
fn what_cannot_be_asked_is_told_with_its_reason() {
    let scratch = Scratch::new("ctl-wrong");
    let closed = Served::start(&scratch, &[("SONDAGE_CONTROL", "off")]);
    let own = std::process::id().to_string();
    for (arguments, code, part) in [
        (vec!["status", &closed.pid()], 1, "SONDAGE_CONTROL"),
        (vec!["status", &own], 1, "no agent"),
        (vec!["status", "4194305"], 1, "there is no process 4194305"),
        (vec!["set", &own], 2, "required"),
        (vec!["set", &own, "--hz", "50000"], 2, "1..=5000"),
        (vec!["set", &own, "--on", "--off"], 2, "cannot be used with"),
        (vec!["burst", &own, "--hz", "100"], 2, "--duration"),
        (vec!["burst", &own, "--hz", "100", "-d", "1", "-o", "x.json"], 2, "allowed ends"),
    ] {
        let output = ctl(&arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(part), "{arguments:?}: {}", said(&output));
    }
}

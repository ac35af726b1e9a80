//! `report` and `convert`, and how other tests read what a command printed.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::built::{program, sondage};
use crate::scratch::Scratch;

/// What a command said, for messages of failed tests.
pub fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

/// `sondage report --json` of a file.
pub fn report(file: &Path) -> Value {
    let output = sondage().arg("report").arg(file).arg("--json").output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The time in a function and what it calls, in seconds.
pub fn total(report: &Value, function: &str) -> f64 {
    let functions = report["functions"].as_array().unwrap();
    let found = functions.iter().find(|entry| entry["name"] == function);
    found.map_or(0.0, |entry| entry["total"].as_f64().unwrap() / 1e9)
}

const FOLDED: &str = "main;parse;read 60\nmain;parse 20\nmain;write 20\n";

fn folded(scratch: &Scratch) -> std::path::PathBuf {
    let path = scratch.path("in.folded");
    std::fs::write(&path, FOLDED).unwrap();
    path
}

#[test]
fn a_report_lists_functions_by_their_own_weight_in_every_form() {
    let scratch = Scratch::new("report-forms");
    let path = folded(&scratch);
    let json = report(&path);
    let names: Vec<_> = json["functions"].as_array().unwrap().iter().map(|f| &f["name"]).collect();
    assert_eq!(names[0], "read");
    assert_eq!(json["total"], 100);
    for (arguments, expected) in [
        (vec!["--top", "1"], "60.0%"),
        (vec!["--md"], "|"),
        (vec!["--peek", "^parse$"], "called by"),
    ] {
        let output = sondage().arg("report").arg(&path).args(&arguments).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        assert!(said(&output).contains(expected), "{arguments:?}: {}", said(&output));
    }
}

#[test]
fn several_files_are_added_up() {
    let scratch = Scratch::new("report-sum");
    let path = folded(&scratch);
    let output = sondage().arg("report").args([&path, &path]).arg("--json").output().unwrap();
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["total"], 200);
}

#[test]
fn a_profile_survives_conversion_there_and_back() {
    let scratch = Scratch::new("convert");
    let mut from = folded(&scratch);
    for name in ["a.pb", "b.pb.gz", "c.folded", "d.speedscope.json", "e.html"] {
        let to = scratch.path(name);
        let output = sondage().arg("convert").args([&from, &to]).output().unwrap();
        assert!(output.status.success(), "{name}: {}", said(&output));
        if ["a.pb", "b.pb.gz", "c.folded"].contains(&name) {
            from = to;
        }
    }
    let back = std::fs::read_to_string(scratch.path("c.folded")).unwrap();
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&back), sorted(FOLDED));
    let speedscope = std::fs::read(scratch.path("d.speedscope.json")).unwrap();
    let speedscope: Value = serde_json::from_slice(&speedscope).unwrap();
    assert!(speedscope["$schema"].as_str().unwrap().contains("speedscope"));
    let page = std::fs::read_to_string(scratch.path("e.html")).unwrap();
    assert!(page.contains("parse"));
}

#[test]
fn several_profiles_are_converted_to_their_sum() {
    let scratch = Scratch::new("convert-sum");
    let (path, sum) = (folded(&scratch), scratch.path("sum.folded"));
    let output = sondage().arg("convert").args([&path, &path, &sum]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let weight = |text: &str| -> u64 {
        text.lines().map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
    };
    assert_eq!(weight(&std::fs::read_to_string(sum).unwrap()), 2 * weight(FOLDED));
}

#[test]
fn go_agrees_with_the_report_of_a_recording() {
    let scratch = Scratch::new("go-agrees");
    if Command::new("go").arg("version").output().is_err() {
        println!("skipped: there is no go");
        return;
    }
    let shares = program(&scratch, "shares.c", &[]);
    let file = scratch.path("out.pb.gz");
    let output = sondage().args(["record", "-o"]).arg(&file).arg("--").arg(&shares).output();
    assert_eq!(output.unwrap().status.code(), Some(7));
    let go = Command::new("go").args(["tool", "pprof", "-raw"]).arg(&file).output().unwrap();
    let raw = String::from_utf8_lossy(&go.stdout).into_owned();
    let json = report(&file);
    // Lines of samples: counts, a colon, locations.
    let samples = raw.lines().skip_while(|line| !line.starts_with("Samples:")).skip(2);
    let samples = samples.take_while(|line| !line.starts_with("Locations"));
    let cpu = samples.filter_map(|line| {
        let values = line.split_once(':')?.0;
        values.split_whitespace().nth(1)?.parse::<i64>().ok()
    });
    let cpu: i64 = cpu.sum();
    assert_eq!(Some(cpu), json["total"].as_i64(), "{raw}");
}

#[test]
fn what_other_profilers_write_is_read() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for (name, kind, function) in [
        ("go-cpu.pb.gz", "cpu", "main.checkout"),
        ("go-heap.pb.gz", "inuse_space", "main.main"),
        ("py-spy.txt", "samples", "checkout (load.py:4)"),
        ("async-profiler.collapsed", "samples", "Load.checkout"),
        ("async-profiler-annotated.collapsed", "samples", "Load.checkout_[j]"),
        ("pyroscope-python.pb.gz", "cpu", "checkout"),
    ] {
        let json = report(&fixtures.join(name));
        assert_eq!(json["type"], kind, "{name}");
        let total = json["total"].as_i64().unwrap();
        let functions = json["functions"].as_array().unwrap();
        let found = functions.iter().find(|it| it["name"] == function);
        let weight = found.map_or(0, |it| it["total"].as_i64().unwrap());
        assert!(weight > total / 2, "{name}: {function} has {weight} of {total}: {json}");
    }
    let labels = &report(&fixtures.join("go-cpu.pb.gz"))["labels"]["route"];
    assert!(labels["/checkout"].as_i64() > labels["/search"].as_i64(), "{labels}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let scratch = Scratch::new("broken-pipe");
    let path = scratch.path("wide.folded");
    let lines: Vec<_> = (0..20_000).map(|number| format!("main;function_{number} 1")).collect();
    std::fs::write(&path, lines.join("\n")).unwrap();
    let mut command = sondage();
    command.arg("report").arg(&path).arg("--json").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(output.stderr.is_empty(), "{}", said(&output));
}

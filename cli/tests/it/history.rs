//! Directories of profiles: `report`, `convert`, by service, time, kind and label.

use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use sondage::export::{FileSink, Sink};
use sondage::profile::{Profile, ValueType, pprof};

use crate::built::sondage;
use crate::read::said;
use crate::scratch::Scratch;

const HOUR: u64 = 3600;

/// A profile of one function, that began so many seconds ago.
pub fn profile(service: &str, function: &str, route: &str, age: u64, kind: &str) -> Profile {
    let mut profile = Profile::new(vec![ValueType::new(kind, "nanoseconds")]);
    let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() - Duration::from_secs(age);
    profile.meta.start_unix_nanos = Some(start.as_nanos() as u64);
    profile.meta.duration = Duration::from_secs(10);
    profile.meta.period = Some((ValueType::new(kind, "nanoseconds"), 10_000_000));
    profile.meta.labels = vec![("service_name".into(), service.into())];
    let location = profile.named_location(function);
    let stack = profile.stack(&[location]);
    let labels = profile.label_set([("route", route)]);
    profile.add(stack, labels, &[1_000_000_000]);
    profile
}

/// Writes profiles as an agent does.
pub fn write(dir: &Path, profiles: &[Profile]) {
    for profile in profiles {
        let mut sink = FileSink::new(dir, profile.title()).unwrap();
        for upload in sink.encode(profile).unwrap() {
            sink.push(&upload, Instant::now() + Duration::from_secs(10)).unwrap();
        }
    }
}

fn report(dir: &Path, arguments: &[&str]) -> Output {
    sondage().arg("report").arg(dir).args(arguments).output().unwrap()
}

/// Each service with its number of profiles and its functions.
fn services(dir: &Path, arguments: &[&str]) -> Vec<(String, u64, Vec<String>)> {
    let output = report(dir, &[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let services = json["services"].as_array().unwrap().iter().map(|service| {
        let functions = service["report"]["functions"].as_array().unwrap();
        let mut names: Vec<_> =
            functions.iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        let name = service["service"].as_str().unwrap().to_owned();
        (name, service["profiles"].as_u64().unwrap(), names)
    });
    services.collect()
}

/// Two services over two days, memory and locks beside CPU time.
fn days(scratch: &Scratch) -> std::path::PathBuf {
    let dir = scratch.path("profiles");
    write(
        &dir,
        &[
            profile("my shop", "today", "/a", HOUR, "cpu"),
            profile("my shop", "yesterday", "/b", 30 * HOUR, "cpu"),
            profile("store", "other", "/a", 2 * HOUR, "cpu"),
            profile("my shop", "memory", "/a", HOUR, "inuse_space"),
            profile("my shop", "waits", "/a", HOUR, "delay"),
        ],
    );
    dir
}

fn told(service: &str, profiles: u64, functions: &[&str]) -> (String, u64, Vec<String>) {
    (service.into(), profiles, functions.iter().map(|name| (*name).to_owned()).collect())
}

#[test]
fn a_directory_is_reported_by_service_period_and_kind() {
    let scratch = Scratch::new("history-report");
    let dir = days(&scratch);
    let store = told("store", 1, &["other"]);
    for (arguments, expected) in [
        (&[][..], vec![told("my shop", 2, &["today", "yesterday"]), store.clone()]),
        (&["--since", "1d"], vec![told("my shop", 1, &["today"]), store.clone()]),
        (&["--until", "1d"], vec![told("my shop", 1, &["yesterday"])]),
        (&["--since", "2d", "--until", "90m"], vec![told("my shop", 1, &["yesterday"]), store]),
        (&["--service", "my shop", "--since", "1d"], vec![told("my shop", 1, &["today"])]),
        (&["--label", "route=/b"], vec![told("my shop", 1, &["yesterday"])]),
        (&["--type", "inuse_space"], vec![told("my shop", 1, &["memory"])]),
        (&["--type", "delay"], vec![told("my shop", 1, &["waits"])]),
    ] {
        assert_eq!(services(&dir, arguments), expected, "{arguments:?}");
    }
    let text = report(&dir, &["--top", "1"]);
    assert!(said(&text).contains("my shop: 2 profiles, 20"), "{}", said(&text));
    assert!(said(&text).contains("\nstore: 1 profile, 20"), "{}", said(&text));
    let markdown = report(&dir, &["--md", "--since", "1d"]);
    assert!(said(&markdown).contains("## `my shop`: 1 profile, 20"), "{}", said(&markdown));
    let nothing = report(&dir, &["--since", "5m"]);
    assert_eq!(nothing.status.code(), Some(1), "{}", said(&nothing));
    assert!(said(&nothing).contains("no such profile"), "{}", said(&nothing));
}

#[test]
fn files_by_other_names_count_by_what_they_hold() {
    let scratch = Scratch::new("history-others");
    let dir = scratch.path("profiles");
    std::fs::create_dir(&dir).unwrap();
    let put = |name: &str, profile: &Profile| {
        std::fs::write(dir.join(name), pprof::encode_gz(profile)).unwrap();
    };
    put("new.pb.gz", &profile("shop", "today", "/a", HOUR, "cpu"));
    put("old.pb.gz", &profile("shop", "yesterday", "/a", 30 * HOUR, "cpu"));
    put("heap.pb.gz", &profile("shop", "memory", "/a", HOUR, "inuse_space"));
    std::fs::write(dir.join("load.folded"), "main;parse 3\n").unwrap();
    std::fs::write(dir.join("notes.txt"), "not for us").unwrap();
    std::fs::create_dir(dir.join("below.pb.gz")).unwrap();
    nix::unistd::mkfifo(&dir.join("pipe.pb.gz"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let load = told("load", 1, &["main", "parse"]);
    assert_eq!(services(&dir, &[]), [load, told("shop", 2, &["today", "yesterday"])]);
    assert_eq!(services(&dir, &["--since", "1d"]), [told("shop", 1, &["today"])]);
    assert_eq!(services(&dir, &["--type", "inuse_space"]), [told("shop", 1, &["memory"])]);
    let said = said(&report(&dir, &["--since", "1d"]));
    assert!(said.contains("left out: 1 without a time"), "{said}");
}

#[test]
fn what_cannot_be_read_is_named_and_left_out_unless_it_is_all() {
    let scratch = Scratch::new("history-damaged");
    let dir = scratch.path("profiles");
    write(&dir, &[profile("shop", "work", "/a", 60, "cpu")]);
    let damaged = dir.join("shop-20260101T000000Z-1-0.pb.gz");
    std::fs::write(&damaged, "noise").unwrap();
    let some = report(&dir, &[]);
    assert!(some.status.success(), "{}", said(&some));
    assert!(said(&some).contains("shop-20260101T000000Z-1-0.pb.gz"), "{}", said(&some));
    assert!(said(&some).contains("shop: 1 profile,"), "{}", said(&some));

    std::fs::write(dir.join("a\u{1b}[2J\u{202e}.pb.gz"), "noise").unwrap();
    let named = report(&dir, &[]);
    assert!(said(&named).contains("a\\u{1b}[2J\\u{202e}.pb.gz"), "{}", said(&named));

    let only = scratch.path("only");
    std::fs::create_dir(&only).unwrap();
    std::fs::rename(&damaged, only.join("shop-20260101T000000Z-1-0.pb.gz")).unwrap();
    let none = report(&only, &[]);
    assert_eq!(none.status.code(), Some(1), "{}", said(&none));
    assert!(none.stdout.is_empty());
}

#[test]
fn a_directory_is_converted_to_its_sum() {
    let scratch = Scratch::new("history-convert");
    let (dir, sum) = (days(&scratch), scratch.path("sum.folded"));
    let output = sondage().arg("convert").args([&dir, &sum]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let mut lines: Vec<String> =
        std::fs::read_to_string(sum).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["other 1000000000", "today 1000000000", "yesterday 1000000000"]);
}

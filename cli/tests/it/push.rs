//! `push`, and `doctor --push`.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use sondage::profile::{Profile, ValueType, pprof};
use sondage_collector::{Collector, Fault, Protocol};

use crate::built::sondage;
use crate::read::said;
use crate::scratch::Scratch;

/// A profile that began some seconds ago.
fn file(scratch: &Scratch, age: u64) -> PathBuf {
    let mut profile = Profile::new(vec![ValueType::new("cpu", "nanoseconds")]);
    let start = SystemTime::now() - Duration::from_secs(age);
    let start = start.duration_since(UNIX_EPOCH).unwrap();
    profile.meta.start_unix_nanos = Some(start.as_nanos() as u64);
    profile.meta.duration = Duration::from_secs(10);
    profile.meta.period = Some((ValueType::new("cpu", "nanoseconds"), 10_000_000));
    let location = profile.named_location("work");
    let stack = profile.stack(&[location]);
    let labels = profile.label_set([("route", "/orders")]);
    profile.add(stack, labels, &[10_000_000]);
    let path = scratch.path("checkout.pb.gz");
    std::fs::write(&path, pprof::encode_gz(&profile)).unwrap();
    path
}

#[test]
fn a_file_is_sent_to_every_target_under_a_name() {
    let scratch = Scratch::new("push-file");
    let collector = Collector::start().unwrap();
    let address = collector.address();
    let output = sondage()
        .arg("push")
        .arg(file(&scratch, 20))
        .args(["--to", &format!("pyroscope+http://{address}")])
        .args(["--to", &format!("otlp+grpc://{address}"), "--label", "env=test"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(said(&output).matches("sent to").count(), 2, "{}", said(&output));
    let profiles = collector.profiles();
    assert_eq!(profiles.len(), 2, "{:?}", collector.refused());
    for profile in profiles {
        let key =
            if profile.protocol == Protocol::OtlpGrpc { "service.name" } else { "service_name" };
        // The file has no service of its own: its name stands for one.
        assert_eq!(profile.labels[key], "checkout");
        assert_eq!(profile.labels["env"], "test");
    }
}

#[test]
fn a_profile_without_samples_is_not_called_sent_where_nothing_was() {
    let scratch = Scratch::new("push-empty");
    let collector = Collector::start().unwrap();
    let path = scratch.path("idle.pb.gz");
    let profile = Profile::new(vec![ValueType::new("cpu", "nanoseconds")]);
    std::fs::write(&path, pprof::encode_gz(&profile)).unwrap();
    let target = format!("pyroscope+http://{}", collector.address());
    let output = sondage().arg("push").arg(&path).args(["--to", &target]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(collector.profiles().is_empty());
    assert!(!said(&output).contains(": sent to"), "{}", said(&output));
    assert!(said(&output).contains("has no samples"), "{}", said(&output));
}

#[test]
fn of_several_targets_those_that_have_it_are_named_and_those_that_have_not() {
    let scratch = Scratch::new("push-some");
    let collector = Collector::start().unwrap();
    let output = sondage()
        .arg("push")
        .arg(file(&scratch, 20))
        .args(["--to", &format!("parca+http://{}", collector.address())])
        .args(["--to", "parca+unix:/nowhere.sock"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("sent to parca+http://"), "{}", said(&output));
    assert!(said(&output).contains("not sent to parca+unix:/nowhere.sock"), "{}", said(&output));
}

#[test]
fn an_old_profile_is_refused_with_what_to_do_about_it() {
    let scratch = Scratch::new("push-old");
    let collector = Collector::start().unwrap();
    let target = format!("pyroscope+http://{}", collector.address());
    let path = file(&scratch, 86_400);
    let push = |more: &[&str]| {
        sondage().arg("push").arg(&path).args(["--to", &target]).args(more).output().unwrap()
    };
    let refused = push(&[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        said(&refused).contains("too old") && said(&refused).contains("--now"),
        "{}",
        said(&refused)
    );
    let sent = push(&["--now", "--service", "shop"]);
    assert!(sent.status.success(), "{}", said(&sent));
    assert_eq!(collector.profiles()[0].labels["service_name"], "shop");
}

#[test]
fn what_is_wrong_with_a_push_is_said_in_one_line() {
    let scratch = Scratch::new("push-wrong");
    let path = file(&scratch, 0);
    let missing = scratch.path("missing.pb.gz");
    for (path, target, code, part) in [
        (&path, "http://x", 2, "write pyroscope+http://x"),
        (
            &path,
            "datadog-intake+https://intake.profile.datadoghq.com",
            2,
            "SONDAGE_DATADOG_KEY_FILE",
        ),
        (&missing, "pyroscope+http://127.0.0.1:1", 1, "No such file"),
        (&path, "parca+unix:/nowhere.sock", 1, "No such file"),
    ] {
        let output = sondage().arg("push").arg(path).args(["--to", target]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{target}: {}", said(&output));
        assert!(said(&output).contains(part), "{target}: {}", said(&output));
    }
}

#[test]
fn doctor_tells_which_targets_take_a_profile_and_why_others_do_not() {
    let collector = Collector::start().unwrap();
    let address = collector.address();
    let scratch = Scratch::new("doctor-push");
    let token = scratch.path("token");
    std::fs::write(&token, "canary-token").unwrap();
    let doctor = |targets: &[&str]| {
        let mut command = sondage();
        command
            .env("SONDAGE_TOKEN_FILE", &token)
            .args(["doctor", "--json", "--push"])
            .args(targets);
        let output = command.output().unwrap();
        assert!(!said(&output).contains("canary"), "{}", said(&output));
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        let checks = json["checks"].as_array().unwrap().clone();
        let pushes = checks.into_iter().filter(|check| check["name"] == "push").collect::<Vec<_>>();
        (output.status.code(), pushes)
    };
    let good = [format!("parca+http://{address}"), format!("datadog+http://{address}")];
    let (code, checks) = doctor(&[&good[0], &good[1]]);
    assert_eq!((code, checks.len()), (Some(0), 2), "{checks:?}");
    assert!(checks.iter().all(|check| check["status"] == "ok"), "{checks:?}");
    assert_eq!(collector.profiles().len(), 2);

    let refused = Fault::Status { status: 401, headers: [].into(), body: "who are you?".into() };
    collector.fail_next([refused]);
    let (code, checks) =
        doctor(&[&format!("pyroscope+http://{address}"), "parca+http://127.0.0.1:1"]);
    assert_eq!(code, Some(1), "{checks:?}");
    let found = |index: usize| checks[index]["found"].as_str().unwrap().to_owned();
    assert!(found(0).contains("401") && found(0).contains("SONDAGE_TOKEN_FILE"), "{checks:?}");
    assert!(found(1).contains("refused"), "{checks:?}");
    assert!(checks.iter().all(|check| check["remedy"].is_string()), "{checks:?}");
}

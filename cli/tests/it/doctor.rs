//! `doctor`.

use serde_json::Value;

use crate::built::sondage;
use crate::read::said;

#[test]
fn doctor_samples_itself_and_says_so_in_json() {
    let output = sondage().args(["doctor", "--json"]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["engine"], "timer");
    assert!(json["why"].as_str().unwrap().contains("samples in"), "{json}");
    let checks = json["checks"].as_array().unwrap();
    let names: Vec<_> = checks.iter().map(|check| check["name"].as_str().unwrap()).collect();
    for name in [
        "sampling",
        "perf events",
        "process timer",
        "signal",
        "queued signals",
        "kernel tick",
        "/proc",
        "eBPF",
    ] {
        assert!(names.contains(&name), "{name} is not among {names:?}");
    }
    for check in checks {
        let fine = check["status"] == "ok";
        assert_eq!(check.get("remedy").is_none(), fine, "{check}");
    }
}

#[test]
fn doctor_tries_the_engine_that_the_environment_asks_for() {
    let output = sondage().args(["doctor"]).env("SONDAGE_ENGINE", "process").output().unwrap();
    let text = said(&output);
    // Kernels before 6.4 deliver elsewhere, which it then says.
    let (works, not) = ("engine: process-timer", "engine: timer");
    let reason = if text.starts_with(works) { "the thread that runs" } else { "signals arrived" };
    assert!(text.starts_with(works) || text.starts_with(not), "{text}");
    assert!(text.contains(reason), "{text}");
}

#[test]
fn doctor_tells_where_it_looked_for_the_library() {
    let output =
        sondage().arg("doctor").env("SONDAGE_PRELOAD", "/nowhere/lib.so").output().unwrap();
    assert!(output.status.success(), "the library is needed by record only");
    assert!(said(&output).contains("/nowhere/lib.so"), "{}", said(&output));
    assert!(said(&output).contains("remedy: install"), "{}", said(&output));
}

#[test]
fn doctor_fails_where_no_timer_may_be_made() {
    // No queued signals, no timers; and no eBPF for root.
    let sondage = sondage().get_program().to_owned();
    let mut shell = std::process::Command::new("bash");
    let without = "[ $(id -u) = 0 ] && set -- setpriv --bounding-set=-bpf,-perfmon,-sys_admin";
    shell.arg("-c").arg(format!("ulimit -i 0; {without}; exec \"$@\" \"$0\" doctor")).arg(sondage);
    let output = shell.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).starts_with("engine: none"), "{}", said(&output));
    assert!(said(&output).contains("ulimit -i"), "{}", said(&output));
}

//! Our files in the hands of `go tool pprof`.

use std::path::PathBuf;
use std::process::Command;

use proptest::prelude::{ProptestConfig, proptest};
use sondage::profile::Profile;
use sondage::profile::pprof;

use super::arbitrary::profiles;
use super::shop::shop;

/// What `go tool pprof` prints for a profile; `None`, said aloud, where there is no Go.
fn go_tool_pprof(name: &str, profile: &Profile, arguments: &[&str]) -> Option<String> {
    if Command::new("go").arg("version").output().is_err() {
        println!("skipped: `go` is not installed, so no other reader checked the pprof file");
        return None;
    }
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, pprof::encode_gz(profile)).unwrap();
    let command = Command::new("go")
        .args(["tool", "pprof", "-symbolize=none"])
        .args(arguments)
        .arg(&path)
        .env("PPROF_TMPDIR", env!("CARGO_TARGET_TMPDIR"))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&command.stderr);
    assert!(command.status.success(), "{errors}");
    Some(String::from_utf8(command.stdout).unwrap())
}

#[test]
fn go_reads_samples_labels_mappings_and_inlined_lines() {
    let Some(raw) = go_tool_pprof("raw.pb.gz", &shop(), &["-raw"]) else { return };
    for line in [
        "PeriodType: cpu nanoseconds",
        "Period: 10000000",
        "Duration: 10s",
        "samples/count cpu/nanoseconds[dflt]",
        "          2   20000000: 5 5 5 2 1 ",
        "                route:[/pay] tenant:[t1]",
        "     4: 0x1034 M=1 shop::skip_space src/shop.rs:5:0 s=1",
        "             shop::parse src/shop.rs:31:0 s=1",
        "1: 0x1000/0x2000/0x100 /srv/shop c0ffee [FN][FL][LN][IN]",
        "2: 0x8000/0x9000/0x100 /usr/lib/libc.so.6 c0ffee ",
    ] {
        let found = raw.lines().any(|l| l.trim_end() == line.trim_end());
        assert!(found, "{line:?} is not in\n{raw}");
    }
}

#[test]
fn go_finds_the_same_totals() {
    let Some(top) = go_tool_pprof("top.pb.gz", &shop(), &["-top", "-unit=ms", "-nodecount=50"])
    else {
        return;
    };
    let squeeze = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = top.lines().map(squeeze).collect();
    for line in [
        "Showing nodes accounting for 60ms, 100% of 60ms total",
        "20ms 33.33% 33.33% 20ms 33.33% shop::walk",
        "10ms 16.67% 100% 10ms 16.67% shop::skip_space (inline)",
        "0 0% 100% 50ms 83.33% main",
    ] {
        assert!(lines.iter().any(|l| l == line), "{line:?} is not in\n{top}");
    }
}

#[test]
fn go_prints_the_facts_in_the_comments() {
    let Some(text) = go_tool_pprof("comments.pb.gz", &shop(), &["-comments"]) else { return };
    for line in ["sondage:label service_name=shop", "sondage:lost unsampled=10000000 nanoseconds"] {
        assert!(text.lines().any(|l| l == line), "{line:?} is not in\n{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn go_reads_whatever_we_write(profile in profiles()) {
        go_tool_pprof("any.pb.gz", &profile, &["-raw"]);
    }
}

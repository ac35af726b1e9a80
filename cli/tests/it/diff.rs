//! `diff`.

use std::path::PathBuf;
use std::process::Output;

use sondage::profile::{Profile, ValueType, pprof};

use crate::built::sondage;
use crate::read::said;
use crate::scratch::Scratch;

/// Two profiles, as folded stacks: 5,000 samples each, one function of which is new.
fn two(scratch: &Scratch, new: &str) -> [PathBuf; 2] {
    let texts = [
        "main;parse 3000\nmain;write 2000\n".to_owned(),
        format!("main;parse 3000\nmain;write 1000\nmain;{new} 1000\n"),
    ];
    let paths = ["before.folded", "after.folded"].map(|name| scratch.path(name));
    for (path, text) in paths.iter().zip(texts) {
        std::fs::write(path, text).unwrap();
    }
    paths
}

fn diff(files: &[PathBuf; 2], arguments: &[&str]) -> Output {
    sondage().arg("diff").args(files).args(arguments).output().unwrap()
}

#[test]
fn the_exit_code_says_whether_the_change_may_be() {
    let scratch = Scratch::new("diff-codes");
    let files = two(&scratch, "check");
    for (arguments, code) in [
        (vec![], 0),
        (vec!["--fail-if", "total>5%"], 0),
        (vec!["--fail-if", "self>25%"], 0),
        (vec!["--fail-if", "self>10%"], 3),
        (vec!["--fail-if", "total>5%", "--fail-if", "self(check)>1%"], 3),
        (vec!["--fail-if", "self>10%", "--json"], 3),
        (vec!["--fail-if", "self>10"], 2),
        (vec!["--type", "wall"], 2),
        (vec!["--output", "page.txt"], 2),
    ] {
        let output = diff(&files, &arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
    }
    let missing = [files[0].clone(), scratch.path("missing.folded")];
    assert_eq!(diff(&missing, &[]).status.code(), Some(1));
}

#[test]
fn what_changed_is_printed_in_every_form_and_written_as_a_page() {
    let scratch = Scratch::new("diff-forms");
    let files = two(&scratch, "check");
    let page = scratch.path("diff.html");
    let output = diff(&files, &["--output", page.to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("+20.0%    0.0%   20.0%"), "{text}");
    assert!(text.contains("2 of 4 functions changed"), "{text}");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains(r#""base":{"parts":1,"#) && page.contains(r#""check""#));
    let markdown = said(&diff(&files, &["--md", "--fail-if", "self>10%"]));
    assert!(markdown.starts_with("**Not allowed:** `check: +20.0%"), "{markdown}");
    let json = diff(&files, &["--json"]).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!((&json["before"], &json["after"]), (&5_000.into(), &5_000.into()));
}

#[test]
fn one_directory_is_compared_with_itself_by_period_and_by_label() {
    let scratch = Scratch::new("diff-directory");
    let profile = |function: &str, route: &str| {
        let mut profile = Profile::new(vec![ValueType::new("samples", "count")]);
        let stack = ["main", function].map(|name| profile.named_location(name));
        let stack = profile.stack(&[stack[1], stack[0]]);
        let labels = profile.label_set([("route", route)]);
        profile.add(stack, labels, &[5_000]);
        profile
    };
    let now = std::time::SystemTime::now();
    for (hours, function, route) in [(5, "parse", "/a"), (1, "parse", "/a"), (1, "render", "/b")] {
        let start = now - std::time::Duration::from_secs(hours * 3600 - 60);
        let start = start.duration_since(std::time::UNIX_EPOCH).unwrap();
        let mut profile = profile(function, route);
        profile.meta.start_unix_nanos = Some(u64::try_from(start.as_nanos()).unwrap());
        let name = format!("{hours}-{function}.pb.gz");
        std::fs::write(scratch.path(&name), pprof::encode_gz(&profile)).unwrap();
    }
    let place = scratch.path("");
    let changed = |arguments: &[&str]| {
        let output = sondage().arg("diff").arg(&place).args(arguments).arg("--json").output();
        let output = output.unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (json["before"].as_i64().unwrap(), json["after"].as_i64().unwrap())
    };
    let periods = ["--since", "2h", "--before-since", "6h", "--before-until", "3h"];
    assert_eq!(changed(&periods), (5_000, 10_000));
    assert_eq!(changed(&["--label", "route=/b", "--before-label", "route=/a"]), (10_000, 5_000));
    let alone = sondage().arg("diff").arg(&place).output().unwrap();
    assert_eq!(alone.status.code(), Some(2), "{}", said(&alone));
}

#[test]
fn no_name_acts_on_the_terminal() {
    let scratch = Scratch::new("diff-hostile");
    let files = two(&scratch, "\u{1b}[2Jquiet\u{7}\u{202e}<b>|`x`");
    for arguments in [&["--all"][..], &["--all", "--md"], &["--fail-if", "self>1%"]] {
        let said = said(&diff(&files, arguments));
        assert!(said.contains("[2Jquiet"), "{said}");
        assert!(!said.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{said:?}");
    }
}

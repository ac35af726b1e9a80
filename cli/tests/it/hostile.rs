//! Wrong arguments and damaged files: a message that names what is wrong, and an exit code.

use std::path::Path;
use std::process::Output;

use crate::built::sondage;
use crate::read::said;
use crate::scratch::Scratch;

fn run(arguments: &[&Path]) -> Output {
    sondage().args(arguments).output().unwrap()
}

#[test]
fn a_damaged_file_is_named_and_nothing_is_written() {
    let scratch = Scratch::new("damaged");
    let cut_gzip = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2];
    for (name, bytes) in [
        ("noise.pb.gz", &b"not a profile at all"[..]),
        ("cut.pb.gz", cut_gzip),
        ("huge-length.pb", b"\x12\xff\xff\xff\xff\x0f"),
        ("bad.folded", b"main;no_number_here\n"),
        ("other.json", b"{}"),
    ] {
        let path = scratch.path(name);
        std::fs::write(&path, bytes).unwrap();
        let out = scratch.path("out.html");
        for arguments in [&[Path::new("report"), &path][..], &[Path::new("convert"), &path, &out]] {
            let output = run(arguments);
            assert_eq!(output.status.code(), Some(1), "{name}: {}", said(&output));
            assert!(said(&output).contains(name), "{name}: {}", said(&output));
            assert!(!said(&output).contains("panicked"), "{}", said(&output));
        }
        assert!(!out.exists());
    }
}

#[test]
fn a_small_file_that_grows_without_end_is_refused() {
    let scratch = Scratch::new("bomb");
    let path = scratch.path("bomb.pb.gz");
    let zeros = scratch.path("zeros");
    std::fs::write(&zeros, vec![0; 80 << 20]).unwrap();
    let gzip = std::process::Command::new("gzip").arg("-c").arg(&zeros).output().unwrap();
    std::fs::write(&path, gzip.stdout).unwrap();
    let output = run(&[Path::new("report"), &path]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("bomb.pb.gz"), "{}", said(&output));
    let output = run(&[Path::new("report"), Path::new("/dev/zero")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("/dev/zero: larger than"), "{}", said(&output));
}

#[test]
fn files_that_are_not_there_and_folders_without_any_are_named() {
    let scratch = Scratch::new("nothing-there");
    let empty = scratch.path("empty");
    std::fs::create_dir(&empty).unwrap();
    for path in [Path::new("/nowhere/profile.pb.gz"), &empty] {
        let output = run(&[Path::new("report"), path]);
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains(path.to_str().unwrap()), "{}", said(&output));
    }
}

#[test]
fn wrong_arguments_are_usage_errors() {
    let scratch = Scratch::new("usage");
    let path = scratch.path("in.folded");
    std::fs::write(&path, "main 1\n").unwrap();
    let path = path.to_str().unwrap();
    for (arguments, expected) in [
        (vec!["report"], "FILE"),
        (vec!["report", path, "--peek", "("], "not a regular expression"),
        (vec!["report", path, "--type", "heap"], "--type heap"),
        (vec!["report", path, "--since", "yesterday"], "--since"),
        (vec!["report", "http://user:canary@h"], "SONDAGE_TOKEN_FILE"),
        (vec!["convert", path, "out.txt"], ".speedscope.json"),
        (vec!["record"], "CMD"),
        (vec!["record", "-o", "x.txt", "--", "true"], "x.txt"),
        (vec!["record", "--hz", "0", "--", "true"], "--hz"),
        (vec!["record", "--label", "novalue", "--", "true"], "KEY=VALUE"),
        (vec!["record", "-d", "0", "--", "true"], "SECONDS"),
        (vec!["record", "--push", "http://x", "--", "true"], "pyroscope+http://x"),
        (vec!["inject"], "PID"),
        (vec!["inject", "1", "--hz", "0"], "--hz"),
        (vec!["inject", "1", "--push", "http://x"], "pyroscope+http://x"),
        (vec!["inject", "1", "--option", "interval=soon"], "interval"),
        (vec!["dance"], "dance"),
    ] {
        let output = sondage().args(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(expected), "{arguments:?}: {}", said(&output));
    }
}

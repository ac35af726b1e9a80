//! Wrong arguments and damaged files: a message that names what is wrong, and an exit code.

use std::path::Path;
use std::process::{Command, Output};

use crate::built::sondage;
use crate::read::said;
use crate::scratch::Scratch;

/// Runs it with 512 MiB of address space and a second of CPU time: beyond, the kernel ends it.
fn run_bounded(arguments: &[&Path]) -> Output {
    let mut command = Command::new("sh");
    let script = "ulimit -v 524288 && ulimit -t 1 && exec \"$0\" \"$@\"";
    command.args(["-c", script, env!("CARGO_BIN_EXE_sondage")]).args(arguments).output().unwrap()
}

/// A field of a message of protocol buffers: its number and its bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length >= 0x80 {
        field.push(length as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    field.extend(bytes);
    field
}

fn gzipped(scratch: &Scratch, bytes: &[u8]) -> Vec<u8> {
    let plain = scratch.path("plain");
    std::fs::write(&plain, bytes).unwrap();
    Command::new("gzip").arg("-c").arg(&plain).output().unwrap().stdout
}

#[test]
fn whatever_a_file_pretends_to_be_it_is_refused_in_a_second_and_half_a_gigabyte() {
    let scratch = Scratch::new("pretending");
    let strings = field(6, b"").repeat(10_000_000);
    let samples = field(2, &field(1, &[1; 100])).repeat(400_000);
    // Locations whose numbers come again and whose functions are not there, functions that are
    // called like nothing: tables that lead nowhere or in a circle.
    let location = field(4, &[&[0x08, 1][..], &field(4, &[0x08, 1])].concat());
    let function = field(5, &[0x08, 1, 0x10, 0x7f]);
    let circle = [field(2, &field(1, &[1; 64])), location.repeat(2), function.repeat(2)].concat();
    let stack = [b"a;".repeat(10_000_000), b"a 1\n".to_vec()].concat();
    let lines: Vec<u8> =
        (0..3_000_000).flat_map(|line| format!("f{line} 1\n").into_bytes()).collect();
    for (name, bytes) in [
        ("strings.pb.gz", gzipped(&scratch, &strings)),
        ("strings.pb", strings),
        ("samples.pb.gz", gzipped(&scratch, &samples)),
        ("bomb.pb.gz", gzipped(&scratch, &vec![0; 200 << 20])),
        ("bomb-in-bomb.pb.gz", gzipped(&scratch, &gzipped(&scratch, &vec![0; 200 << 20]))),
        ("circle.pb", circle),
        ("deep.folded", stack),
        ("many.folded", lines),
    ] {
        let path = scratch.path(name);
        std::fs::write(&path, bytes).unwrap();
        let page = scratch.path("page.html");
        for arguments in [
            &[Path::new("report"), &path][..],
            &[Path::new("view"), &path, Path::new("--export"), &page],
        ] {
            let output = run_bounded(arguments);
            assert_eq!(
                output.status.code(),
                Some(1),
                "{name}: {} {}",
                output.status,
                said(&output)
            );
            assert!(said(&output).contains(name), "{name}: {}", said(&output));
        }
        assert!(!page.exists());
    }
}

#[test]
fn a_file_that_ends_too_early_is_refused_wherever_it_ends() {
    let scratch = Scratch::new("truncated");
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let whole = std::fs::read(fixtures.join("go-cpu.pb.gz")).unwrap();
    let path = scratch.path("cut.pb.gz");
    for end in (1..whole.len()).step_by(97) {
        std::fs::write(&path, &whole[..end]).unwrap();
        let output = run_bounded(&[Path::new("report"), &path]);
        assert_eq!(output.status.code(), Some(1), "{end}: {} {}", output.status, said(&output));
        assert!(said(&output).contains("cut.pb.gz"), "{end}: {}", said(&output));
    }
}

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
    let gzip = Command::new("gzip").arg("-c").arg(&zeros).output().unwrap();
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

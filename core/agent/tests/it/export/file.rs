//! Profiles as files.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sondage::export::{FileLimits, FileName, FileSink, PushError, Sink};
use sondage::profile::pprof;

use super::{Scratch, export, profile, soon};

fn limits(count: usize, bytes: u64) -> FileLimits {
    FileLimits { count, bytes, ..FileLimits::default() }
}

fn push(sink: &mut FileSink, label: &str) -> Result<(), PushError> {
    let uploads = sink.encode(&profile(label)).unwrap();
    uploads.iter().try_for_each(|upload| sink.push(upload, soon()))
}

#[test]
fn a_file_holds_the_profile_under_a_telling_name_for_its_owner_only() {
    let scratch = Scratch::new();
    let dir = scratch.0.join("made/as needed");
    let stats = export(FileSink::new(&dir, "my shop").unwrap(), &[profile("a"), profile("b")]);
    assert_eq!((stats.pushed, stats.lost(), stats.last_error), (2, 0, None));
    let mut files: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap()).collect();
    files.sort_by_key(|entry| entry.file_name());
    let pid = std::process::id();
    for (index, file) in files.iter().enumerate() {
        let name = file.file_name().into_string().unwrap();
        assert!(name.starts_with("my_shop-2"), "{name}");
        assert!(name.ends_with(&format!("Z-{pid}-{index}.pb.gz")), "{name}");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let read = pprof::decode(&fs::read(file.path()).unwrap()).unwrap();
        assert_eq!(read.total(0), 10_000_000);
    }
    assert_eq!(files.len(), 2);
    assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o777, 0o700);
}

#[test]
fn a_planted_link_is_not_followed_and_not_removed() {
    let scratch = Scratch::new();
    let victim = scratch.0.join("victim");
    fs::write(&victim, "precious").unwrap();
    let mut sink = FileSink::new(&scratch.0, "shop").unwrap();
    let profile = profile("a");
    let upload = sink.encode(&profile).unwrap().remove(0);
    // Find the name by writing once, then plant links under the next ones.
    sink.push(&upload, soon()).unwrap();
    let first = scratch.names().into_iter().find(|name| name.starts_with("shop")).unwrap();
    let next = |n: u32| scratch.0.join(first.replace("-0.pb.gz", &format!("-{n}.pb.gz")));
    let half = format!("{}.tmp", next(1).display());
    std::os::unix::fs::symlink(&victim, &half).unwrap();
    std::os::unix::fs::symlink(&victim, next(2)).unwrap();
    let error = sink.push(&upload, soon()).unwrap_err();
    assert!(matches!(error, PushError::Retry { .. }), "{error}");
    sink.push(&upload, soon()).unwrap();
    assert!(next(3).is_file(), "the name after the link's is taken");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert!(fs::symlink_metadata(&half).unwrap().is_symlink());
}

#[test]
fn old_files_of_the_service_go_and_no_others() {
    let scratch = Scratch::new();
    let old = "shop-19990101T000000Z-1-0.pb.gz";
    let left_behind = "shop-19990101T000000Z-1-1.pb.gz.tmp";
    let kept = ["shop-notes.pb.gz", "store-19990101T000000Z-1-0.pb.gz", "z.txt"];
    for name in kept.iter().chain([&old, &left_behind]) {
        fs::write(scratch.0.join(name), "x").unwrap();
    }
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(7200);
    let half = fs::File::options().write(true).open(scratch.0.join(left_behind)).unwrap();
    half.set_modified(long_ago).unwrap();
    let mut sink = FileSink::new(&scratch.0, "shop").unwrap().with_limits(limits(3, u64::MAX));
    for _ in 0..40 {
        push(&mut sink, "a").unwrap();
    }
    let names = scratch.names();
    assert!(kept.iter().all(|name| names.iter().any(|it| it == name)), "{names:?}");
    assert!(!names.iter().any(|name| name == old || name == left_behind), "{names:?}");
    let ours = names.len() - kept.len();
    assert_eq!(ours, 3);
    assert!(names.iter().any(|name| name.ends_with("-39.pb.gz")), "the newest stays");

    let mut sink = FileSink::new(&scratch.0, "shop").unwrap().with_limits(limits(usize::MAX, 1));
    push(&mut sink, "a").unwrap();
    assert_eq!(scratch.names().len() - kept.len(), 1, "the limit on bytes counts too");
}

#[test]
fn a_directory_that_cannot_be_is_a_clear_error_and_tried_once() {
    let stats = export(
        FileSink::new("/dev/null/profiles".as_ref(), "shop").unwrap(),
        &[profile("a"), profile("b")],
    );
    assert_eq!((stats.pushed, stats.dropped_rejected, stats.retried), (0, 2, 0));
    let error = stats.last_error.unwrap();
    assert!(error.starts_with("file:/dev/null/profiles: cannot make the directory"), "{error}");
}

#[test]
fn a_relative_directory_stays_where_it_was() {
    let sink = FileSink::new("./sondage-profiles".as_ref(), "shop").unwrap();
    assert_eq!(sink.name(), "file:./sondage-profiles");
}

#[test]
fn files_that_are_too_old_go_however_few_they_are() {
    let scratch = Scratch::new();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let age = Duration::from_secs(3600);
    for (label, ago) in [("old", 2 * age), ("new", age / 2)] {
        let mut profile = (*profile(label)).clone();
        profile.meta.start_unix_nanos = Some((now - ago).as_nanos() as u64);
        let mut sink = FileSink::new(&scratch.0, "shop").unwrap();
        let upload = sink.encode(&profile).unwrap().remove(0);
        sink.push(&upload, soon()).unwrap();
    }
    assert_eq!(scratch.names().len(), 2);
    let kept = FileLimits { age, ..FileLimits::default() };
    push(&mut FileSink::new(&scratch.0, "shop").unwrap().with_limits(kept), "now").unwrap();
    let starts: Vec<_> = scratch.names().iter().map(|name| start(name)).collect();
    assert_eq!(starts.len(), 2);
    assert!(starts.iter().all(|start| *start >= (now - age).as_secs()), "{starts:?}");
}

fn start(name: &str) -> u64 {
    FileName::parse(name).unwrap().start_unix_seconds
}

/// Where the processes of the next test write, and how much.
const DIRECTORY: &str = "SONDAGE_TEST_DIRECTORY";
const PROCESSES: usize = 8;
const FILES_EACH: usize = 200;
const KEPT: usize = 400;
const CLEANED_EVERY: usize = 16;

/// One of them: this test in a process of its own.
fn writer(dir: &Path) -> Child {
    let name = "export::file::processes_share_a_directory_and_lose_only_what_the_limit_takes";
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(DIRECTORY, dir)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

/// Each file a second later than the one before, as the agent's are: names tell their age.
fn write_files(dir: &Path) {
    let mut sink = FileSink::new(dir, "shop").unwrap().with_limits(limits(KEPT, u64::MAX));
    let mut profile = (*profile("a")).clone();
    let start = profile.meta.start_unix_nanos.unwrap();
    for number in 0..FILES_EACH as u64 {
        profile.meta.start_unix_nanos = Some(start + number * 1_000_000_000);
        let upload = sink.encode(&profile).unwrap().remove(0);
        sink.push(&upload, soon()).unwrap();
    }
}

#[test]
fn processes_share_a_directory_and_lose_only_what_the_limit_takes() {
    if let Some(dir) = std::env::var_os(DIRECTORY) {
        return write_files(Path::new(&dir));
    }
    let scratch = Scratch::new();
    let mut writers: Vec<_> = (0..PROCESSES).map(|_| writer(&scratch.0)).collect();
    let mut looks = 0;
    let mut all = |running: bool| {
        looks += 1;
        // What has its name is complete; it may be gone before it is opened.
        for name in scratch.names().iter().filter(|name| name.ends_with(".pb.gz")) {
            if let Ok(bytes) = fs::read(scratch.0.join(name)) {
                assert_eq!(pprof::decode(&bytes).unwrap().total(0), 10_000_000, "{name}");
            }
        }
        running
    };
    while all(writers.iter_mut().any(|writer| writer.try_wait().unwrap().is_none())) {}
    assert!(writers.into_iter().all(|mut writer| writer.wait().unwrap().success()));
    assert!(looks > 1, "nothing was looked at while they wrote");

    let names = scratch.names();
    assert!(names.iter().all(|name| name.ends_with(".pb.gz")), "half-written: {names:?}");
    assert!(names.len() <= KEPT + PROCESSES * CLEANED_EVERY, "{} files", names.len());
    // Each process' newest files are there without a gap: what went, went by its age.
    let oldest_kept = names.iter().map(|name| start(name)).min().unwrap();
    assert!(names.len() >= KEPT - 1, "{} files", names.len());
    let mut by_process = std::collections::BTreeMap::<u32, Vec<u64>>::new();
    for name in &names {
        let told = FileName::parse(name).unwrap();
        by_process.entry(told.pid).or_default().push(told.sequence);
    }
    assert_eq!(by_process.len(), PROCESSES, "from {oldest_kept}: {by_process:?}");
    for sequences in by_process.values_mut() {
        sequences.sort_unstable();
        let first = FILES_EACH as u64 - sequences.len() as u64;
        assert!(sequences.iter().copied().eq(first..FILES_EACH as u64), "{sequences:?}");
    }
}

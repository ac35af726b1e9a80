//! Profiles as files.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use sondage::export::{FileSink, PushError, Sink};
use sondage::profile::pprof;

use super::{Scratch, export, profile, soon};

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
    let mut sink = FileSink::new(&scratch.0, "shop").unwrap().with_limits(3, u64::MAX);
    for _ in 0..40 {
        push(&mut sink, "a").unwrap();
    }
    let names = scratch.names();
    assert!(kept.iter().all(|name| names.iter().any(|it| it == name)), "{names:?}");
    assert!(!names.iter().any(|name| name == old || name == left_behind), "{names:?}");
    let ours = names.len() - kept.len();
    assert!((3..3 + 16).contains(&ours), "{ours} files");
    assert!(names.iter().any(|name| name.ends_with("-39.pb.gz")), "the newest stays");

    let mut sink = FileSink::new(&scratch.0, "shop").unwrap().with_limits(usize::MAX, 1);
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

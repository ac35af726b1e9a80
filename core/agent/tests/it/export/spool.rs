//! The spool: what outlives an exporter, and what a damaged or hostile disk may do.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use proptest::prelude::{ProptestConfig, any, prop, proptest};
use sondage::Error;
use sondage::export::{ExportStats, Options, PushError, Sink, SpoolOptions, Upload};
use sondage::profile::Profile;

use super::{Scratch, profile, quick, soon, start};

/// A server that is down, or takes everything and remembers it.
#[derive(Clone, Default)]
struct Memory {
    down: bool,
    deduplicates: bool,
    /// Every upload has so many bytes more than its label.
    padding: usize,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Memory {
    fn down() -> Self {
        Self { down: true, ..Self::default() }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Sink for Memory {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    fn deduplicates(&self) -> bool {
        self.deduplicates
    }

    fn encode(&mut self, profile: &Profile) -> Result<Vec<Upload>, Error> {
        let labels = profile.labels(profile.samples()[0].labels);
        let mut body = labels.map(|(_, value)| value).collect::<String>().into_bytes();
        body.resize(body.len() + self.padding, b' ');
        let note = Some("a note".to_owned());
        Ok(vec![Upload { body, start_unix_nanos: profile.meta.start_unix_nanos, note }])
    }

    fn push(&mut self, upload: &Upload, _deadline: Instant) -> Result<(), PushError> {
        if self.down {
            return Err(PushError::retry("down"));
        }
        let text = String::from_utf8(upload.body.clone()).unwrap();
        assert_eq!(upload.note.as_deref(), Some("a note"));
        self.seen.lock().unwrap().push(text.trim_end().to_owned());
        Ok(())
    }
}

fn options(dir: &Path) -> Options {
    let spool = SpoolOptions { dir: dir.into(), max_bytes: 1 << 20, service: "shop".into() };
    Options { spool: Some(spool), ..quick() }
}

/// Submits profiles with these labels, waits until each is delivered or on disk, and stops.
fn run<S: AsRef<str>>(sink: &Memory, options: &Options, labels: &[S]) -> ExportStats {
    let exporter = start(vec![Box::new(sink.clone())], options);
    for (count, label) in labels.iter().enumerate() {
        exporter.submit(&profile(label.as_ref()));
        let deadline = soon();
        // One upload may be in memory: the oldest, when its segment had to go.
        let settled =
            |stats: &ExportStats| stats.pushed + stats.lost() + stats.spooled + 1 - stats.replayed;
        while sink.down && settled(&exporter.stats()[0]) <= count as u64 {
            assert!(Instant::now() < deadline, "{:?}", exporter.stats());
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    if !sink.down {
        assert!(exporter.drain(soon()), "{:?}", exporter.stats());
    }
    exporter.stop(soon()).remove(0)
}

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

/// The one folder in a spool.
fn folder(dir: &Path) -> PathBuf {
    fs::read_dir(dir).unwrap().next().unwrap().unwrap().path()
}

/// The segments of a spool, oldest first.
fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> =
        fs::read_dir(folder(dir)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn what_a_process_leaves_is_delivered_by_the_next_before_its_own_and_in_order() {
    let scratch = Scratch::new();
    let options = options(&scratch.0);
    let first = run(&Memory::down(), &options, &["a", "b"]);
    assert_eq!((first.spooled, first.lost(), first.pushed), (2, 0, 0), "{first:?}");
    let second = run(&Memory::down(), &options, &["c"]);
    assert_eq!((second.spooled, second.replayed, second.lost()), (3, 2, 0), "{second:?}");
    let up = Memory::default();
    let third = run(&up, &options, &["d"]);
    assert_eq!(up.seen(), ["a", "b", "c", "d"]);
    assert_eq!((third.pushed, third.replayed, third.spooled), (4, 3, 0), "{third:?}");
    assert_eq!((third.lost(), third.spool_errors), (0, 0));
    assert_eq!(segments(&scratch.0), Vec::<PathBuf>::new(), "nothing is left on disk");
}

#[test]
fn files_are_for_their_owner_only_and_the_folder_says_whose_they_are() {
    let scratch = Scratch::new();
    run(&Memory::down(), &options(&scratch.0), &["a"]);
    let folder = folder(&scratch.0);
    let name = folder.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("shop-memory-"), "{name}");
    assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(&segments(&scratch.0)[0]).unwrap().mode() & 0o777, 0o600);
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    run(&Memory::down(), &options(&scratch.0), &["a"]);
    assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700, "others are shut out");
    let other = SpoolOptions { service: "till".into(), ..options(&scratch.0).spool.unwrap() };
    let up = Memory::default();
    let stats = run(&up, &Options { spool: Some(other), ..quick() }, &["t"]);
    assert_eq!((up.seen(), stats.replayed), (vec!["t".to_owned()], 0), "another service");
}

/// Sets the state of a segment's first record, as a process leaves it that is killed while it
/// sends.
fn set_state(segment: &Path, word: &[u8; 4]) {
    let mut bytes = fs::read(segment).unwrap();
    bytes[20..24].copy_from_slice(word);
    fs::write(segment, bytes).unwrap();
}

#[test]
fn the_disk_says_that_an_upload_is_being_sent_before_it_is() {
    /// Refuses everything, and notes what the disk says of the first upload at that moment.
    struct Looking {
        memory: Memory,
        dir: PathBuf,
        states: Arc<Mutex<Vec<String>>>,
    }
    impl Sink for Looking {
        fn name(&self) -> String {
            self.memory.name()
        }
        fn encode(&mut self, profile: &Profile) -> Result<Vec<Upload>, Error> {
            self.memory.encode(profile)
        }
        fn push(&mut self, upload: &Upload, deadline: Instant) -> Result<(), PushError> {
            let bytes = fs::read(&segments(&self.dir)[0]).unwrap();
            self.states.lock().unwrap().push(String::from_utf8_lossy(&bytes[20..24]).into_owned());
            self.memory.push(upload, deadline)
        }
    }
    let scratch = Scratch::new();
    let (dir, states) = (scratch.0.clone(), Arc::<Mutex<Vec<String>>>::default());
    let sink = Looking { memory: Memory::down(), dir, states: states.clone() };
    let exporter = start(vec![Box::new(sink)], &options(&scratch.0));
    exporter.submit(&profile("a"));
    let deadline = soon();
    while states.lock().unwrap().len() < 3 {
        assert!(Instant::now() < deadline, "{:?}", exporter.stats());
        std::thread::sleep(Duration::from_millis(1));
    }
    exporter.stop(soon());
    assert!(states.lock().unwrap().iter().all(|state| state == "try:"));
    assert_eq!(&fs::read(&segments(&scratch.0)[0]).unwrap()[20..24], b"WAIT", "it was refused");
}

#[test]
fn an_upload_that_was_being_sent_is_sent_again_only_where_it_counts_once() {
    for (deduplicates, arrived, in_doubt) in [(false, &["b"][..], 1), (true, &["a", "b"], 0)] {
        let scratch = Scratch::new();
        run(&Memory::down(), &options(&scratch.0), &["a", "b"]);
        set_state(&segments(&scratch.0)[0], b"try:");
        let up = Memory { deduplicates, ..Memory::default() };
        let stats = run::<&str>(&up, &options(&scratch.0), &[]);
        assert_eq!(up.seen(), arrived);
        assert_eq!((stats.ambiguous, stats.replayed), (in_doubt, 2), "{stats:?}");
        assert_eq!(stats.replayed, stats.pushed + stats.lost());
    }
}

#[test]
fn an_upload_that_arrived_is_not_sent_again_and_a_damaged_word_is_a_doubt() {
    for (word, in_doubt) in [(b"done", 0), (b"GAVE", 0), (b"donf", 1), (&[0; 4], 1)] {
        let scratch = Scratch::new();
        run(&Memory::down(), &options(&scratch.0), &["a", "b"]);
        set_state(&segments(&scratch.0)[0], word);
        let up = Memory::default();
        let stats = run::<&str>(&up, &options(&scratch.0), &[]);
        assert_eq!((up.seen(), stats.ambiguous), (vec!["b".to_owned()], in_doubt), "{stats:?}");
    }
}

#[test]
fn a_full_spool_drops_the_oldest_counts_them_and_stays_within_its_bytes() {
    let scratch = Scratch::new();
    let down = Memory { padding: 5_000, ..Memory::down() };
    let labels = numbers(0..600);
    let half = labels.len() / 2;
    let before = run(&down, &options(&scratch.0), &labels[..half]);
    assert!(before.dropped_spool > 0, "{before:?}");
    assert_eq!(before.lost() + before.spooled, half as u64, "{before:?}");
    // The segments of a process that has ended are the first to go.
    let after = run(&down, &options(&scratch.0), &labels[half..]);
    assert_eq!(after.lost() + after.spooled, half as u64 + after.replayed, "{after:?}");
    for stats in [&before, &after] {
        assert!(stats.lost() <= stats.dropped_spool + 1, "{stats:?}");
    }
    let bytes: u64 = segments(&scratch.0).iter().map(|it| fs::metadata(it).unwrap().len()).sum();
    assert!((900_000..=1 << 20).contains(&bytes), "{bytes}");
    let up = Memory { padding: 5_000, ..Memory::default() };
    let stats = run::<&str>(&up, &options(&scratch.0), &[]);
    let seen = up.seen();
    assert_eq!(seen, labels[labels.len() - seen.len()..], "the newest, in order");
    assert!(seen.len() > 150, "{}", seen.len());
    assert_eq!(stats.pushed, seen.len() as u64);
}

#[test]
fn an_upload_larger_than_the_spool_goes_on_from_memory() {
    let scratch = Scratch::new();
    let up = Memory { padding: 2 << 20, ..Memory::default() };
    let stats = run(&up, &options(&scratch.0), &["a", "b"]);
    assert_eq!((stats.pushed, stats.lost(), stats.spool_errors), (2, 0, 1), "{stats:?}");
    assert!(stats.last_error.unwrap().contains("larger than all the room"));
}

#[test]
fn without_a_disk_uploads_go_on_from_memory_and_say_so_once() {
    let scratch = Scratch::new();
    fs::write(scratch.0.join("file"), "").unwrap();
    for dir in [Path::new("/dev/null/spool"), &scratch.0.join("file"), Path::new("/proc/spool")] {
        let up = Memory::default();
        let stats = run(&up, &options(dir), &["a", "b", "c"]);
        assert_eq!(up.seen(), ["a", "b", "c"]);
        assert_eq!((stats.pushed, stats.lost(), stats.spool_errors), (3, 0, 1), "{stats:?}");
        assert!(stats.last_error.unwrap().contains(&format!("spool {}", dir.display())));
    }
    // While the server is down too, the queue has its usual bounds.
    let labels = numbers(0..12);
    let options = options(Path::new("/dev/null/spool"));
    let exporter = start(vec![Box::new(Memory::down())], &options);
    labels.iter().for_each(|label| exporter.submit(&profile(label)));
    let stats = exporter.stop(Instant::now() + Duration::from_millis(200)).remove(0);
    assert_eq!((stats.lost(), stats.spooled), (12, 0), "{stats:?}");
    assert!(stats.dropped_queue + stats.dropped_expired == 12, "{stats:?}");
}

#[test]
fn a_folder_that_is_a_link_is_refused() {
    let scratch = Scratch::new();
    let spool = scratch.0.join("spool");
    run(&Memory::down(), &options(&spool), &["a"]);
    let folder = folder(&spool);
    fs::remove_dir_all(&folder).unwrap();
    let elsewhere = scratch.0.join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, &folder).unwrap();
    let up = Memory::default();
    let stats = run(&up, &options(&spool), &["b"]);
    assert_eq!((up.seen(), stats.spool_errors), (vec!["b".to_owned()], 1), "{stats:?}");
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
}

#[test]
fn planted_links_pipes_and_files_of_others_are_not_opened_and_not_removed() {
    let scratch = Scratch::new();
    let spool = scratch.0.join("spool");
    run(&Memory::down(), &options(&spool), &["a"]);
    let folder = folder(&spool);
    let victim = scratch.0.join("victim.spool");
    fs::write(&victim, "precious").unwrap();
    let plant = |name: &str| folder.join(format!("00000000000000000000-1-{name}.spool"));
    symlink(&victim, plant("link")).unwrap();
    fs::hard_link(&victim, plant("hard")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(plant("pipe")).status().unwrap();
    assert!(made.success());
    fs::create_dir(plant("directory")).unwrap();
    let mut planted = vec!["link", "hard", "pipe", "directory"];
    // Only root can make a file that belongs to another.
    fs::copy(segments(&spool).pop().unwrap(), plant("foreign")).unwrap();
    match std::os::unix::fs::chown(plant("foreign"), Some(12345), None) {
        Ok(()) => planted.push("foreign"),
        Err(_) => fs::remove_file(plant("foreign")).unwrap(),
    }
    let up = Memory::default();
    let stats = run(&up, &options(&spool), &["b"]);
    assert_eq!(up.seen(), ["a", "b"], "{stats:?}");
    assert_eq!((stats.replayed, stats.damaged), (1, 0), "{stats:?}");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    for name in planted {
        assert!(fs::symlink_metadata(plant(name)).is_ok(), "{name} is still there");
    }
}

#[test]
fn a_segment_of_a_later_version_is_left_for_those_who_can_read_it() {
    let scratch = Scratch::new();
    run(&Memory::down(), &options(&scratch.0), &["a"]);
    let segment = segments(&scratch.0).remove(0);
    let mut bytes = fs::read(&segment).unwrap();
    bytes[8] = 2;
    fs::write(&segment, &bytes).unwrap();
    let up = Memory::default();
    let stats = run(&up, &options(&scratch.0), &["b"]);
    assert_eq!((up.seen(), stats.replayed), (vec!["b".to_owned()], 0));
    assert_eq!(fs::read(&segment).unwrap(), bytes);
}

#[test]
fn two_exporters_of_one_process_do_not_take_each_others_uploads() {
    let scratch = Scratch::new();
    let options = options(&scratch.0);
    let down = start(vec![Box::new(Memory::down())], &options);
    down.submit(&profile("a"));
    let deadline = soon();
    while down.stats()[0].spooled == 0 {
        assert!(Instant::now() < deadline, "{:?}", down.stats());
        std::thread::yield_now();
    }
    let up = Memory::default();
    assert_eq!(run(&up, &options, &["b"]).replayed, 0);
    assert_eq!(up.seen(), ["b"]);
    assert_eq!(down.stop(soon())[0].spooled, 1);
    assert_eq!(run(&up, &options, &["c"]).replayed, 1);
    assert_eq!(up.seen(), ["b", "a", "c"]);
}

#[test]
fn what_gets_too_old_on_disk_is_dropped_and_counted() {
    struct Picky(Memory);
    impl Sink for Picky {
        fn name(&self) -> String {
            self.0.name()
        }
        fn encode(&mut self, profile: &Profile) -> Result<Vec<Upload>, Error> {
            self.0.encode(profile)
        }
        fn push(&mut self, upload: &Upload, deadline: Instant) -> Result<(), PushError> {
            self.0.push(upload, deadline)
        }
        fn max_age(&self) -> Option<Duration> {
            Some(Duration::from_secs(3000))
        }
    }
    let scratch = Scratch::new();
    let old = |minutes: u64| {
        let mut old = (*profile(&minutes.to_string())).clone();
        *old.meta.start_unix_nanos.as_mut().unwrap() -= minutes * 60_000_000_000;
        Arc::new(old)
    };
    let exporter = start(vec![Box::new(Memory::down())], &options(&scratch.0));
    [70, 60, 40].iter().for_each(|minutes| exporter.submit(&old(*minutes)));
    assert_eq!(exporter.stop(soon())[0].spooled, 3);
    let up = Memory::default();
    let exporter = start(vec![Box::new(Picky(up.clone()))], &options(&scratch.0));
    assert!(exporter.drain(soon()));
    let stats = exporter.stop(soon()).remove(0);
    assert_eq!((up.seen(), stats.dropped_expired), (vec!["40".to_owned()], 2), "{stats:?}");
    assert_eq!((stats.replayed, stats.pushed), (3, 1));
}

/// Bytes of the record of an upload of [`Memory`]: head, note, body, up to a multiple of four.
fn record_bytes(body: usize) -> usize {
    32 + ("a note".len() + body).next_multiple_of(4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn damage_costs_what_it_hit_and_nothing_before_it(
        sizes in prop::collection::vec(1usize..200, 1..12),
        place in any::<prop::sample::Index>(),
        flip in prop::option::of(0u8..8),
    ) {
        let scratch = Scratch::new();
        let name = |(number, size): (usize, &usize)| format!("{number}{}", "x".repeat(*size));
        let labels: Vec<String> = sizes.iter().enumerate().map(name).collect();
        run(&Memory::down(), &options(&scratch.0), &labels);
        let segment = segments(&scratch.0).remove(0);
        let mut bytes = fs::read(&segment).unwrap();
        let at = place.index(bytes.len());
        match flip {
            Some(bit) => bytes[at] ^= 1 << bit,
            None => bytes.truncate(at),
        }
        fs::write(&segment, &bytes).unwrap();

        let up = Memory::default();
        let stats = run::<&str>(&up, &options(&scratch.0), &[]);
        let seen = up.seen();
        let known: HashSet<&String> = labels.iter().collect();
        assert!(seen.iter().all(|label| known.contains(label)), "garbage: {seen:?}");
        let mut end = 16;
        let intact = labels.iter().take_while(|label| {
            end += record_bytes(label.len());
            at >= end
        });
        let intact: Vec<_> = intact.cloned().collect();
        let reached = if at < 16 { 0 } else { intact.len() };
        assert_eq!(seen[..reached], labels[..reached], "{at} {flip:?} {stats:?}");
        let in_order: Vec<_> = labels.iter().filter(|label| seen.contains(label)).collect();
        assert_eq!(seen.iter().collect::<Vec<_>>(), in_order, "in order and none twice");
        assert_eq!((stats.panicked, stats.spooled), (0, 0), "{stats:?}");
        assert_eq!(stats.replayed, stats.pushed + stats.lost(), "{stats:?}");
        assert_eq!(segments(&scratch.0).len(), usize::from(flip.is_some() && (8..16).contains(&at)));
    }
}

//! What a binding hands over: stacks that it took itself, and stacks that hold memory.

use crate::labels::{ONE_AGENT, quiet};
use sondage::config::Target;
use sondage::profile::{LossCause, Profile, ValueType, pprof};
use sondage::{Agent, Config, ForeignFrame, ForeignStack, HeapSource, HeapStack, HeapValues};
use sondage_sampler::Labels;
use sondage_sampler::walk::python::PythonFrame;
use std::path::Path;
use std::sync::PoisonError;
use std::time::Duration;

fn frame(name: &str, line: u32) -> ForeignFrame {
    ForeignFrame { name: name.into(), file: "/app/shop.py".into(), line, start_line: line - 1 }
}

fn stack(frames: Vec<ForeignFrame>) -> ForeignStack {
    ForeignStack {
        source: "python-thread",
        frames,
        labels: sondage::labels([("route", "/pay")]),
        thread: "worker-1".into(),
        cpu: Duration::from_millis(3),
        waited: Duration::from_millis(7),
    }
}

/// Name, file, line and first line.
type Shown = (String, String, u32, u32);

/// The frames of a sample, leaf first, and its labels.
fn shown(profile: &Profile, sample: usize) -> (Vec<Shown>, Vec<String>) {
    let sample = &profile.samples()[sample];
    let frames = profile.frames(sample.stack).iter().map(|location| {
        let line = profile.locations()[location.index()].lines[0];
        let function = profile.functions()[line.function.index()];
        let text = |id| profile.text(id).to_owned();
        (text(function.name), text(function.file), line.line, function.start_line)
    });
    let labels = profile.labels(sample.labels).map(|(key, value)| format!("{key}={value}"));
    (frames.collect(), labels.collect())
}

#[test]
fn stacks_of_a_binding_stand_in_the_profile_with_their_names_labels_and_time() {
    let _alone = ONE_AGENT.lock().unwrap_or_else(PoisonError::into_inner);
    let agent = Agent::start(Config { wall: true, ..quiet() }).unwrap();
    let taken = stack(vec![frame("Cart.total", 12), frame("<module>", 3)]);
    assert_eq!(agent.add_foreign([taken.clone(), taken]).unwrap(), 2);
    let profile = agent.flush().unwrap();
    assert!(profile.meta.sources.contains(&"python-thread".to_owned()), "{:?}", profile.meta);
    let is_ours = |sample: &usize| shown(&profile, *sample).0[0].0 == "Cart.total";
    let ours = (0..profile.samples().len()).find(is_ours).unwrap();
    let file = || "/app/shop.py".to_owned();
    let frames = vec![("Cart.total".into(), file(), 12, 11), ("<module>".into(), file(), 3, 2)];
    let labels = vec!["route=/pay".to_owned(), "thread=worker-1".to_owned()];
    assert_eq!(shown(&profile, ours), (frames, labels));
    assert_eq!(profile.samples()[ours].values, [2, 6_000_000, 20_000_000]);
    assert_eq!(agent.stats().foreign_stacks, 2);
    assert!(!agent.flush().unwrap().meta.sources.contains(&"python-thread".to_owned()));
    agent.stop().unwrap();
}

#[test]
fn stacks_beyond_the_queue_or_too_deep_are_told_as_such() {
    let _alone = ONE_AGENT.lock().unwrap_or_else(PoisonError::into_inner);
    let agent = Agent::start(quiet()).unwrap();
    let deep = stack((1..1000).map(|line| frame("f", line)).collect());
    agent.add_foreign([deep]).unwrap();
    let many = (0..20_000).map(|_| stack(vec![frame("g", 1)]));
    let taken = agent.add_foreign(many).unwrap() as u64;
    let profile = agent.stop().unwrap();
    assert!(taken < 20_000, "the agent thread takes them ten times a second");
    let lost = |cause| profile.losses().iter().find(|loss| loss.cause == cause).unwrap().value;
    assert_eq!(lost(LossCause::Dropped), (20_000 - taken) * 3_000_000);
    assert_eq!(lost(LossCause::Truncated), 3_000_000);
}

/// Two stacks: one of native frames, and one with a Python frame that nobody knows.
#[derive(Debug)]
struct Fake {
    frames: [u64; 2],
}

impl HeapSource for Fake {
    fn period_bytes(&self) -> u64 {
        512 << 10
    }

    fn collect(&mut self, add: &mut dyn FnMut(HeapStack<'_>)) {
        let values = HeapValues {
            alloc_objects: 4,
            alloc_space: 4_000,
            inuse_objects: 1,
            inuse_space: 1_000,
        };
        let labels = Labels::NONE;
        for _ in 0..2 {
            add(HeapStack { frames: &self.frames, complete: true, labels, values });
        }
        let lost = [self.frames[0], PythonFrame::Unreadable.to_word()];
        add(HeapStack { frames: &lost, complete: true, labels, values });
    }
}

#[inline(never)]
fn allocates(bytes: usize) -> Vec<u8> {
    std::hint::black_box(vec![1; bytes])
}

fn files(dir: &Path) -> Vec<(String, Profile)> {
    let mut files: Vec<_> = dir.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, pprof::decode(&std::fs::read(path).unwrap()).unwrap())
    };
    files.iter().map(read).collect()
}

#[test]
fn each_flush_makes_a_heap_profile_of_the_same_time_while_there_is_a_source() {
    let _alone = ONE_AGENT.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(allocates(3).len(), 3);
    let dir = std::env::temp_dir().join(format!("sondage-heap-{}", std::process::id()));
    let targets = vec![Target::File(dir.clone())];
    let agent = Agent::start(Config { targets, ..quiet() }).unwrap();
    let address = allocates as fn(usize) -> Vec<u8> as usize as u64;
    let frames = [address, address + 1];
    agent.set_heap_source(Some(Box::new(Fake { frames }))).unwrap();
    agent.flush().unwrap();
    agent.set_heap_source(None).unwrap();
    agent.stop().unwrap();
    let files = files(&dir);
    std::fs::remove_dir_all(&dir).unwrap();
    let (heap, cpu): (Vec<_>, Vec<_>) =
        files.iter().partition(|(name, _)| name.ends_with("-heap.pb.gz"));
    assert_eq!((heap.len(), cpu.len()), (1, 2), "{files:?}");
    let heap = &heap[0].1;
    let types: Vec<String> =
        heap.sample_types().iter().map(|of| format!("{}/{}", of.kind, of.unit)).collect();
    let expected =
        ["alloc_objects/count", "alloc_space/bytes", "inuse_objects/count", "inuse_space/bytes"];
    assert_eq!(types, expected);
    assert_eq!(heap.meta.period, Some((ValueType::new("space", "bytes"), 512 << 10)));
    assert_eq!(heap.meta.start_unix_nanos, cpu[0].1.meta.start_unix_nanos);
    assert_eq!(heap.meta.labels, cpu[0].1.meta.labels);
    assert_eq!((0..4).map(|it| heap.total(it)).collect::<Vec<_>>(), [12, 12_000, 3, 3_000]);
    let names = |sample| shown(heap, sample).0.into_iter().map(|frame| frame.0).collect::<Vec<_>>();
    let samples: Vec<_> = (0..heap.samples().len()).map(|it| (names(it), it)).collect();
    let [(known, known_at), (lost, _)] = {
        let mut samples = samples;
        samples.sort();
        samples.sort_by_key(|(names, _)| names.iter().any(|name| name.starts_with('[')));
        <[_; 2]>::try_from(samples).unwrap()
    };
    assert!(known.iter().all(|name| name.ends_with("::allocates")), "{known:?}");
    assert_eq!(heap.samples()[known_at].values, [8, 8_000, 2, 2_000]);
    assert_eq!(lost[1], "[python frames lost]");
    let losses: Vec<_> = heap.losses().iter().map(|loss| (loss.cause, loss.value)).collect();
    assert_eq!(losses, [(LossCause::PythonLost, 1_000)]);
}

//! What a binding hands over: stacks that it took itself.

use crate::labels::{ONE_AGENT, quiet};
use sondage::config::{EnginePolicy, SignalPolicy, Target};
use sondage::profile::{LossCause, Profile, pprof};
use sondage::{Agent, Config, ForeignFrame, ForeignHeap, ForeignHeapStack, ForeignStack};
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
        samples: 0,
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

/// The signals that have a handler, and the timers of this process.
fn handlers_and_timers() -> (String, String) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let caught = status.lines().find(|line| line.starts_with("SigCgt")).unwrap().to_owned();
    (caught, std::fs::read_to_string("/proc/self/timers").unwrap_or_default())
}

fn use_cpu(time: Duration) {
    let clock = || sondage_sampler::Clock::Thread(sondage_sampler::current_tid()).now().unwrap();
    let start = clock();
    while clock() < start + time {}
}

#[test]
fn where_all_stacks_are_handed_over_nothing_is_sampled_and_the_rest_is_shown_as_unsampled() {
    let _alone = ONE_AGENT.lock().unwrap_or_else(PoisonError::into_inner);
    let before = handlers_and_timers();
    let engine = EnginePolicy::Handed { source: "python-thread", reason: "no layout" };
    let agent = Agent::start(Config { engine, signals: SignalPolicy::Off, ..quiet() }).unwrap();
    assert_eq!(handlers_and_timers(), before);
    sondage::register_thread();
    use_cpu(Duration::from_millis(300));
    let taken = ForeignStack {
        cpu: Duration::from_millis(100),
        waited: Duration::ZERO,
        ..stack(vec![frame("Cart.total", 12)])
    };
    agent.add_foreign([taken]).unwrap();
    let profile = agent.flush().unwrap();
    assert_eq!(profile.meta.sources, ["python-thread"]);
    assert_eq!(profile.total(0), 1);
    let stats = agent.stats();
    assert_eq!((stats.engine.as_str(), stats.threads), ("python-thread", 0));
    assert_eq!(stats.engine_reason.as_deref(), Some("no layout"));
    assert_eq!(stats.sampled_cpu, 100_000_000);
    assert_eq!(stats.sampled_cpu + stats.unsampled_cpu, stats.host_cpu);
    assert!(stats.unsampled_cpu >= 190_000_000, "{stats:?}");
    assert_eq!(u64::try_from(profile.total(1)).unwrap(), stats.host_cpu);
    // Who takes the stacks is told how often.
    agent.set_hz(50).unwrap();
    assert_eq!(agent.status().current_hz.round(), 50.0);
    agent.set_enabled(false).unwrap();
    assert!(!agent.status().sampling);
    agent.stop().unwrap();
}

#[test]
fn a_stack_that_only_waited_is_no_sample() {
    let _alone = ONE_AGENT.lock().unwrap_or_else(PoisonError::into_inner);
    let engine = EnginePolicy::Handed { source: "python-thread", reason: "" };
    let agent = Agent::start(Config { engine, wall: true, ..quiet() }).unwrap();
    agent
        .add_foreign([ForeignStack { cpu: Duration::ZERO, ..stack(vec![frame("f", 2)]) }])
        .unwrap();
    let profile = agent.stop().unwrap();
    let waited =
        (0..profile.samples().len()).find(|it| shown(&profile, *it).0[0].0 == "f").unwrap();
    assert_eq!(profile.samples()[waited].values, [0, 0, 7_000_000]);
}

/// The name at a sample's leaf, the labels and the values.
type Row = (String, Vec<String>, Vec<i64>);

/// The newest profile of memory in a folder: its columns, and its samples.
fn newest_heap(folder: &std::path::Path) -> (Profile, Vec<Row>) {
    let files = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let heaps = files.filter(|path| path.to_str().unwrap().contains("-heap"));
    let read = |path: std::path::PathBuf| pprof::decode(&std::fs::read(path).unwrap()).unwrap();
    let newest = heaps.map(read).max_by_key(|profile| profile.meta.start_unix_nanos).unwrap();
    let samples = newest.samples().iter().enumerate().map(|(number, sample)| {
        let (frames, labels) = shown(&newest, number);
        (frames[0].0.clone(), labels, sample.values.clone())
    });
    let mut samples: Vec<_> = samples.collect();
    samples.sort();
    (newest, samples)
}

#[test]
fn each_profile_shows_the_last_snapshot_of_every_part_s_memory() {
    let _alone = ONE_AGENT.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = std::env::temp_dir().join(format!("sondage-handed-{}", std::process::id()));
    let targets = vec![Target::File(folder.clone())];
    let agent = Agent::start(Config { targets, ..quiet() }).unwrap();
    let snapshot = |part, name: &str, bytes| ForeignHeap {
        source: "v8-heap",
        part,
        thread: format!("worker {part}").into(),
        rate: 512 << 10,
        stacks: vec![ForeignHeapStack { frames: vec![frame(name, 12)], bytes }],
    };
    for (part, name, bytes) in [(1, "cart", 10), (2, "cart", 20), (1, "cache", 30)] {
        assert!(agent.replace_foreign_heap(snapshot(part, name, bytes)).unwrap());
    }
    let cache = ("cache".to_owned(), vec!["thread=worker 1".to_owned()], vec![30]);
    // Also in the next profile: what is in use stays in use until somebody says otherwise.
    for _ in 0..2 {
        agent.flush().unwrap();
    }
    assert!(agent.stats().memory.sampling);
    agent.remove_foreign_heap("v8-heap", 2).unwrap();
    agent.stop().unwrap();
    let files = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let heaps = files.filter(|path| path.to_str().unwrap().contains("-heap")).count();
    assert_eq!(heaps, 3);
    let (profile, samples) = newest_heap(&folder);
    std::fs::remove_dir_all(&folder).unwrap();
    let types: Vec<_> = profile.sample_types().iter().map(|it| it.kind.as_str()).collect();
    assert_eq!(types, ["inuse_space"]);
    assert_eq!(samples, [cache]);
}

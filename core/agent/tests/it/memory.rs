//! Profiles of memory, of blocks that are only numbers.

use crate::labels::{ONE_AGENT, quiet};
use sondage::config::Target;
use sondage::heap::{allocated, announce, freed, resizing};
use sondage::profile::{Profile, ValueType, pprof};
use sondage::{Agent, Config};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

fn block(n: usize) -> usize {
    0x7e12_0000_0000 + n * 64
}

#[inline(never)]
fn orders(blocks: std::ops::Range<usize>) {
    blocks.for_each(|n| allocated(std::hint::black_box(block(n)), 1_000));
}

#[inline(never)]
fn carts(blocks: std::ops::Range<usize>) {
    blocks.for_each(|n| allocated(std::hint::black_box(block(n)), 10));
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("sondage-{name}-{}", std::process::id())))
    }

    fn config(&self, rate: u64) -> Config {
        announce(|| true);
        Config { targets: vec![Target::File(self.0.clone())], heap: Some(rate), ..quiet() }
    }

    /// The profiles of memory, or those of CPU time, in order.
    fn profiles(&self, of_memory: bool) -> Vec<Profile> {
        let mut files: Vec<_> =
            self.0.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.to_str().unwrap().contains("-heap") == of_memory);
        let read = |path: &PathBuf| pprof::decode(&std::fs::read(path).unwrap()).unwrap();
        let mut profiles: Vec<_> = files.iter().map(read).collect();
        profiles.sort_by_key(|profile| profile.meta.start_unix_nanos);
        profiles
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(Path::new(&self.0));
    }
}

/// The sums of the samples that have a function in their stacks.
fn of(profile: &Profile, function: &str) -> [i64; 4] {
    let mut sums = [0; 4];
    for sample in profile.samples() {
        let has = profile.frames(sample.stack).iter().any(|location| {
            profile.locations()[location.index()].lines.iter().any(|line| {
                let name = profile.functions()[line.function.index()].name;
                profile.text(name).ends_with(function)
            })
        });
        let values = if has { sample.values.clone() } else { vec![0; 4] };
        sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
    }
    sums
}

#[test]
fn each_flush_makes_a_profile_of_what_was_allocated_and_of_what_is_in_use() {
    let _alone = ONE_AGENT.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Folder::new("memory");
    let agent = Agent::start(folder.config(1)).unwrap();
    orders(0..100);
    carts(100..150);
    (0..60).for_each(|n| freed(block(n)));
    agent.flush().unwrap();
    orders(200..201);
    (100..125).for_each(|n| freed(block(n)));
    resizing(block(125)).finish(false);
    allocated(0, 20);
    agent.flush().unwrap();
    (126..150).for_each(|n| freed(block(n)));
    freed(block(125));
    let stats = agent.stats().memory;
    assert_eq!((stats.sampling, stats.untracked, &stats.error), (true, 0, &None));
    assert!(stats.samples >= 151 && stats.time > 0, "{stats:?}");
    agent.stop().unwrap();
    orders(300..301);
    let profiles = folder.profiles(true);
    let [first, second, last] = &profiles[..] else { panic!("{}", profiles.len()) };
    assert_eq!(of(first, "::orders"), [100, 100_000, 40, 40_000]);
    assert_eq!(of(first, "::carts"), [50, 500, 50, 500]);
    assert_eq!(of(second, "::orders"), [1, 1_000, 41, 41_000]);
    assert_eq!(of(second, "::carts"), [0, 0, 25, 250]);
    assert_eq!(of(last, "::orders"), [0, 0, 41, 41_000]);
    assert_eq!(of(last, "::carts"), [0; 4]);
    let types: Vec<String> =
        first.sample_types().iter().map(|it| format!("{}/{}", it.kind, it.unit)).collect();
    let expected =
        ["alloc_objects/count", "alloc_space/bytes", "inuse_objects/count", "inuse_space/bytes"];
    assert_eq!(types, expected);
    assert_eq!(first.meta.period, Some((ValueType::new("space", "bytes"), 1)));
    let cpu = &folder.profiles(false)[0];
    assert_eq!(cpu.meta.start_unix_nanos, first.meta.start_unix_nanos);
    assert_eq!(cpu.meta.labels, first.meta.labels);
}

#[test]
fn stacks_come_and_go_for_ever_and_those_of_blocks_in_use_keep_their_names() {
    let _alone = ONE_AGENT.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Folder::new("names");
    let agent = Agent::start(folder.config(1)).unwrap();
    let worker = std::thread::spawn(|| sondage::labels([("kept", "yes")]).scope(|| carts(0..1)));
    worker.join().unwrap();
    for round in 0..5 {
        orders(1..1_000);
        (1..1_000).for_each(|n| freed(block(n)));
        if round % 2 == 0 {
            agent.set_enabled(true).unwrap();
        }
        agent.flush().unwrap();
    }
    agent.stop().unwrap();
    let profiles = folder.profiles(true);
    assert!(profiles.iter().all(|profile| of(profile, "::carts")[2..] == [1, 10]));
    assert_eq!(of(&profiles[4], "::orders"), [999, 999_000, 0, 0]);
}

#[test]
fn without_a_setting_or_with_profiling_off_no_memory_is_sampled() {
    let _alone = ONE_AGENT.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Folder::new("none");
    let agent = Agent::start(Config { heap: None, ..folder.config(1) }).unwrap();
    orders(0..10);
    agent.flush().unwrap();
    assert!(!agent.stats().memory.sampling);
    agent.stop().unwrap();
    let agent = Agent::start(folder.config(1)).unwrap();
    agent.set_enabled(false).unwrap();
    orders(0..10);
    agent.set_enabled(true).unwrap();
    carts(10..20);
    agent.stop().unwrap();
    let profiles = folder.profiles(true);
    assert!(profiles.iter().all(|profile| of(profile, "::orders") == [0; 4]));
    assert_eq!(of(profiles.last().unwrap(), "::carts"), [10, 100, 10, 100]);
}

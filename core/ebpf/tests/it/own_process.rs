use crate::gate;
use crate::own_modules::{OwnModule, entries, names, own_modules};
use crate::tower::{self, LEVELS, Tower, Work};
use sondage_ebpf::{Engine, Options};
use sondage_sampler::{End, Labels, RawSample, Rule, Source};
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// One thread's sample, copied out.
struct Sample {
    end: End,
    frames: Vec<u64>,
}

fn options(hertz: u32) -> Options {
    Options { hertz: NonZeroU32::new(hertz).unwrap(), ..Options::own_process() }
}

/// Drains until the thread has this many samples.
fn collect(engine: &mut Engine, tid: u32, wanted: usize) -> Vec<Sample> {
    let mut samples = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(180);
    while samples.len() < wanted {
        assert!(Instant::now() < deadline, "{} of {wanted} samples in 180 s", samples.len());
        sleep(Duration::from_millis(20));
        engine.drain(|from, words| {
            let (sample, used) = RawSample::read(words).expect("a whole sample");
            assert_eq!(used, words.len());
            assert_eq!(
                (sample.source, sample.weight, sample.labels),
                (Source::Ebpf, 1, Labels::NONE)
            );
            if from == tid {
                samples.push(Sample { end: sample.end, frames: sample.frames.to_vec() });
            }
        });
    }
    samples
}

/// How many samples reach the root, hold level 24 to level 1, one above the other, and no other
/// level.
fn count_complete(samples: &[Sample], modules: &[OwnModule]) -> usize {
    let inside = |frame: &u64| frame - 1;
    let mut addresses: Vec<u64> =
        samples.iter().flat_map(|sample| sample.frames.iter().map(inside)).collect();
    addresses.sort_unstable();
    addresses.dedup();
    let levels = names(modules, &addresses).into_iter().map(|name| level(&name));
    let levels: HashMap<u64, Option<usize>> = addresses.iter().copied().zip(levels).collect();
    let complete = |sample: &&Sample| {
        let levels: Vec<Option<usize>> =
            sample.frames.iter().map(|frame| levels[&inside(frame)]).collect();
        let Some(first) = levels.iter().position(Option::is_some) else { return false };
        let tower = levels[first..].iter().map_while(|level| *level);
        sample.end == End::Root
            && tower.eq((1..=LEVELS).rev())
            && levels.iter().flatten().count() == LEVELS
    };
    samples.iter().filter(complete).count()
}

/// The number in the name of one of the tower's functions.
fn level(name: &str) -> Option<usize> {
    name.split_once("level_")?.1.get(..2)?.parse().ok()
}

/// Samples a tower and returns the share of stacks that are complete and as expected.
fn share_complete(work: Work, wanted: usize) -> f64 {
    let tower = Tower::of(work);
    let modules = own_modules();
    let mut engine = Engine::start(&options(499), entries(&modules)).unwrap();
    let samples = collect(&mut engine, tower.tid, wanted);
    let good = count_complete(&samples, &modules);
    for sample in samples.iter().filter(|sample| sample.end != End::Root).take(3) {
        println!("{:?} after {:x?}", sample.end, names(&modules, &sample.frames));
    }
    println!("{good} of {} complete; {:?}", samples.len(), engine.counters().unwrap());
    println!("{:?}, {:?}", engine.losses().unwrap(), engine.footprint().unwrap());
    good as f64 / samples.len() as f64
}

#[test]
fn deep_stacks_without_frame_pointers_reach_the_root() {
    let Some(_turn) = gate::enter("deep_stacks_without_frame_pointers_reach_the_root") else {
        return;
    };
    let share = share_complete(tower::burn, 500);
    assert!(share >= 0.95, "{share}");
}

#[test]
fn stacks_of_threads_inside_the_kernel_reach_the_root() {
    let Some(_turn) = gate::enter("stacks_of_threads_inside_the_kernel_reach_the_root") else {
        return;
    };
    let share = share_complete(tower::read_zeros, 500);
    assert!(share >= 0.95, "{share}");
}

#[test]
fn the_towers_functions_keep_no_frame_pointer() {
    let modules = own_modules();
    let address = tower::level_01 as *const () as u64;
    let entries = entries(&modules);
    let own = entries.iter().find(|entry| (entry.start..entry.end).contains(&address)).unwrap();
    let table = own.table.unwrap();
    for offset in 0..16 {
        let rule = table.lookup(address + offset - own.bias);
        assert_eq!((rule.cfa, rule.fp), (Rule::SP, 0), "at +{offset}");
    }
}

#[test]
fn a_module_list_can_be_replaced_while_samples_are_taken() {
    let Some(_turn) = gate::enter("a_module_list_can_be_replaced_while_samples_are_taken") else {
        return;
    };
    let tower = Tower::of(tower::burn);
    let modules = own_modules();
    let mut engine = Engine::start(&options(999), []).unwrap();
    for sample in collect(&mut engine, tower.tid, 20) {
        assert_eq!((sample.end, sample.frames.len()), (End::UnknownCode, 1));
    }
    // Far more often than there is room for the tables: they must be found again.
    for _ in 0..1000 {
        engine.set_modules(entries(&modules)).unwrap();
    }
    engine.drain(|_, _| {});
    let samples = collect(&mut engine, tower.tid, 200);
    let good = count_complete(&samples, &modules);
    assert!(good >= 190, "{good} of {}", samples.len());
}

#[test]
fn a_sample_never_mixes_two_module_lists() {
    let Some(_turn) = gate::enter("a_sample_never_mixes_two_module_lists") else { return };
    let _tower = Tower::of(tower::burn);
    let modules = own_modules();
    let entries = entries(&modules);
    let mut engine = Engine::start(&options(4999), []).unwrap();
    let (mut of_the_full_list, mut of_the_empty_list) = (0, 0);
    let deadline = Instant::now() + Duration::from_secs(180);
    // Until the list has changed under a few walks.
    while engine.losses().unwrap().modules_changed < 5 {
        assert!(Instant::now() < deadline, "{of_the_full_list} and {of_the_empty_list} samples");
        engine.set_modules(entries.iter().copied()).unwrap();
        sleep(Duration::from_millis(1));
        engine.set_modules([]).unwrap();
        engine.drain(|_, words| match RawSample::read(words).unwrap().0 {
            RawSample { end: End::UnknownCode, frames: [_], .. } => of_the_empty_list += 1,
            RawSample { end: End::UnknownCode, frames, .. } => panic!("cut at {frames:x?}"),
            RawSample { end: End::Root, .. } => of_the_full_list += 1,
            _ => {}
        });
    }
    println!("{of_the_full_list} and {of_the_empty_list} samples");
    assert!(of_the_full_list > 0 && of_the_empty_list > 0);
}

#[test]
fn what_a_full_ring_drops_is_counted() {
    let Some(_turn) = gate::enter("what_a_full_ring_drops_is_counted") else { return };
    let _tower = Tower::of(tower::burn);
    let modules = own_modules();
    let small = Options { ring_bytes: 0, ..options(4999) };
    let mut engine = Engine::start(&small, entries(&modules)).unwrap();
    let deadline = Instant::now() + Duration::from_secs(180);
    while engine.losses().unwrap().ring_full == 0 {
        assert!(Instant::now() < deadline, "{:?}", engine.counters());
        sleep(Duration::from_millis(20));
    }
    let taken = engine.counters().unwrap().samples;
    // At 64 KiB and 24 to 40 frames a sample.
    assert!((100..1000).contains(&taken), "{taken}");
    assert!(engine.drain(|_, _| {}) as u64 >= taken);
}

#[test]
fn only_the_chosen_process_is_sampled() {
    let Some(_turn) = gate::enter("only_the_chosen_process_is_sampled") else { return };
    let _tower = Tower::of(tower::burn);
    let nobody = Options { process: u32::MAX, ..options(999) };
    let mut engine = Engine::start(&nobody, []).unwrap();
    sleep(Duration::from_millis(500));
    assert_eq!(engine.drain(|_, _| {}), 0);
    assert_eq!(engine.counters().unwrap().samples, 0);
}

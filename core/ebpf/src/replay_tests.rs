//! The program's walk against the one in Rust: a second object, of the same source, hands out
//! beside each sample the registers and the stack it was taken from; the walk in Rust goes over
//! them with the same tables and must come to the same frames and the same end. What real stacks
//! seldom or never show comes from random ones.

#[path = "../tests/it/gate.rs"]
pub(crate) mod gate;
#[path = "../tests/it/own_modules.rs"]
#[allow(dead_code, reason = "shared with the integration tests")]
mod own_modules;
#[path = "../tests/it/tower.rs"]
#[allow(dead_code, reason = "shared with the integration tests")]
mod tower;

use crate::engine::Engine;
use crate::object::Object;
use crate::options::Options;
use crate::probe::probe;
use crate::sys;
use own_modules::{entries, own_modules};
use sondage_sampler::walk::walk;
use sondage_sampler::{End, MemoryReader, ModuleEntry, RawSample, Registers};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tower::{Tower, Work};

pub(crate) const CAPTURE: Object = Object {
    bytes: aya::include_bytes_aligned!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/bpf/capture.x86_64.o"
    )),
    program: "capture_on_cpu",
};

/// `CHUNK`, `MAX_FRAMES` and `struct capture` in `capture.bpf.c`, in words.
const CHUNK_WORDS: usize = 1024 / 8;
const SAMPLE_AT: usize = 5;
const STACK_AT: usize = SAMPLE_AT + 2 + 512;

/// A stack as it was, from the interrupted stack pointer on.
struct CapturedStack<'a> {
    start: u64,
    words: &'a [u64],
    /// A word behind the captured part was asked for.
    too_short: bool,
}

impl MemoryReader for CapturedStack<'_> {
    fn word(&mut self, address: u64) -> Option<u64> {
        if address & 7 != 0 {
            return None;
        }
        let index = usize::try_from(address.checked_sub(self.start)? / 8).ok()?;
        let word = self.words.get(index).copied();
        self.too_short |= word.is_none();
        word
    }
}

/// What came of the captures.
#[derive(Debug, Default)]
struct Outcome {
    /// Stacks that both walks saw in the same way.
    equal: usize,
    /// Of those, the ones that reach the root.
    complete: usize,
    /// Frames of the equal ones.
    frames: usize,
    /// Stacks deeper than what is captured.
    too_deep: usize,
}

fn replay(words: &[u64], modules: &[ModuleEntry<'_>], outcome: &mut Outcome) {
    let [pc, sp, fp, chunks, length, ..] = *words else { panic!("{} words", words.len()) };
    let stack = &words[STACK_AT..STACK_AT + chunks as usize * CHUNK_WORDS];
    let sample = &words[SAMPLE_AT..SAMPLE_AT + length as usize];
    let (sample, _) = RawSample::read(sample).expect("a whole sample");
    let mut memory = CapturedStack { start: sp, words: stack, too_short: false };
    let mut frames = Vec::new();
    let registers = Registers { pc, sp, fp, lr: None };
    let walked = walk(modules, registers, &mut memory, 128, |_, frame| frames.push(frame));
    if memory.too_short {
        outcome.too_deep += 1;
        return;
    }
    assert_eq!((sample.end, sample.frames), (walked.end, &frames[..]), "from {registers:x?}");
    outcome.equal += 1;
    outcome.complete += usize::from(sample.end == End::Root);
    outcome.frames += frames.len();
}

/// Samples threads that do this work, and replays each sample.
fn compare(works: &[Work], wanted: usize) -> Outcome {
    let modules = own_modules();
    let entries = entries(&modules);
    STOP_HANDLER.store(false, Ordering::Relaxed);
    let towers: Vec<Tower> = works.iter().copied().map(Tower::of).collect();
    let hertz = NonZeroU32::new(1999).unwrap();
    let options = Options { hertz, ..Options::own_process() };
    let mut engine = Engine::prepare(CAPTURE, &options, entries.iter().copied()).unwrap();
    let mut captures = engine.loaded().ring("captures").unwrap();
    engine.attach(&options).unwrap();
    let mut outcome = Outcome::default();
    let mut words = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(100);
    while outcome.equal + outcome.too_deep < wanted {
        assert!(Instant::now() < deadline, "{outcome:?} of {wanted}");
        sleep(Duration::from_millis(20));
        engine.drain(|_, _| {});
        // Bounded: some threads are sampled faster than their captures are replayed.
        while outcome.equal + outcome.too_deep < wanted
            && let Some(capture) = captures.next()
        {
            words.clear();
            words.extend(
                capture.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap())),
            );
            replay(&words, &entries, &mut outcome);
        }
    }
    STOP_HANDLER.store(true, Ordering::Relaxed);
    drop(towers);
    println!("{outcome:?}, {:?}, {:?}", engine.counters().unwrap(), engine.footprint().unwrap());
    outcome
}

fn assert_equal(outcome: &Outcome, wanted: usize) {
    assert!(outcome.too_deep * 100 <= wanted, "{outcome:?}");
    assert!(outcome.complete * 100 >= outcome.equal * 98, "{outcome:?}");
    assert!(outcome.frames / outcome.equal > 24, "{outcome:?}");
}

#[test]
fn both_walks_agree_on_calm_threads() {
    let Some(_turn) = gate::enter("both_walks_agree_on_calm_threads") else { return };
    assert_equal(&compare(&[tower::burn], 1000), 1000);
}

#[test]
fn both_walks_agree_on_threads_that_allocate_format_and_hash() {
    let Some(_turn) = gate::enter("both_walks_agree_on_threads_that_allocate") else { return };
    assert_equal(&compare(&[tower::churn, tower::churn], 5000), 5000);
}

#[test]
fn both_walks_agree_on_threads_inside_the_kernel() {
    let Some(_turn) = gate::enter("both_walks_agree_on_threads_inside_the_kernel") else { return };
    assert_equal(&compare(&[tower::read_zeros], 1000), 1000);
}

/// The handler cannot be given the thread's own flag, so all of them share this one.
static STOP_HANDLER: AtomicBool = AtomicBool::new(false);

extern "C" fn burn_in_handler(_signal: i32) {
    tower::burn(&STOP_HANDLER);
}

fn burn_in_a_signal_handler(_stop: &AtomicBool) -> u64 {
    sys::raise_to(burn_in_handler);
    1
}

#[test]
fn both_walks_cross_a_signal_frame() {
    let Some(_turn) = gate::enter("both_walks_cross_a_signal_frame") else { return };
    assert_equal(&compare(&[burn_in_a_signal_handler], 500), 500);
}

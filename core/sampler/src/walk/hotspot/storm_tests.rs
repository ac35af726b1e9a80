//! Walks from contexts, over memory and by layouts that are wrong in ways that nobody thought of.

use super::chunk::{Continuations, Pointers};
use super::fake::{Age, CALL_STUB_RETURN, CODE, HEAPS, INTERPRETER};
use super::fake_world::{COMPLETE, ENTRY, EPILOGUE, HANDLER, NATIVE, STACK, World, at};
use super::layout::Layout;
use super::step::Interrupted;
use super::word::HotspotFrame;
use crate::arch::Registers;
use crate::memory::MemoryReader;
use crate::sample::End;
use std::vec::Vec;

/// Frames of one sample.
const LIMIT: usize = 128;

/// Loads of one walk: of 10⁶ that were tried, none made more than 6,400. What the bounds of all loops
/// come to is more.
const MAX_LOADS: u64 = 20_000;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        crate::interner::mix(self.0)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }
}

/// A world with a stack of all kinds of frames, and what numbers may be found in it.
struct Storm {
    world: World,
    random: Random,
    /// Where words are that can be corrupted.
    places: Vec<u64>,
    /// Addresses that mean something.
    values: Vec<u64>,
    registers: Registers,
}

impl Storm {
    fn new(age: Age, seed: u64) -> Self {
        let mut world = World::new(age);
        let names = ["main", "run", "pay", "sum"];
        let [main, run, pay, sum] = names.map(|name| world.method("app/Shop", name));
        let entries = [(0x40, &[(sum, 3), (pay, 150)][..]), (0x60, &[(pay, 4)])];
        let code = world.compiled(pay, 4, &entries);
        let native = world.compiled_as("native nmethod", sum, 0, &[]);
        let stubs = [("RuntimeStub - f", 4), ("StubRoutines (2)", 0)];
        let [sized, plain] = stubs.map(|(name, words)| world.blob(0, name, words));
        let fetching = world.blob(0, "StubRoutines (continuation stubs)", 0);
        world.fake.put_bytes(plain.code + 0x20, &[0x55, 0x48, 0x8b, 0xec]);
        let calls = [code.code + 0x40, code.code + 0x60, plain.code + 0x60, sized.code + 0x60];
        for address in calls {
            world.called(address);
        }
        let mut storm = Self {
            values: Vec::new(),
            places: Vec::new(),
            random: Random(seed),
            registers: at(plain.code + 0x80, STACK, STACK + 0x1000),
            world,
        };
        storm.build_stack(calls, [run, main], fetching.code + 0x40);
        let offsets = [0, ENTRY, ENTRY + 8, COMPLETE, 0x40, 0x60, EPILOGUE + 4, HANDLER];
        for blob in [code, native, sized, plain, fetching] {
            storm.values.extend(offsets.map(|offset| blob.code + offset));
            storm.values.push(blob.address);
        }
        let methods = [main, run, pay, sum];
        storm.values.extend(methods);
        storm.values.extend(methods.map(|method| storm.world.bytecode(method) + 5));
        storm.values.extend([INTERPRETER + 0x40, CALL_STUB_RETURN, NATIVE, CODE, 0, 1, 8]);
        storm.values.extend([u64::MAX, u64::MAX - 7, 1 << 63, STACK, STACK + 0x108]);
        storm.find_places();
        storm
    }

    /// A stub, compiled code, two frames of the interpreter, and more of each, up to a piece in the
    /// heap with a frame.
    fn build_stack(&mut self, calls: [u64; 4], methods: [u64; 2], fetching: u64) {
        let world = &mut self.world;
        (0..0x200).for_each(|word| world.fake.put(STACK + word * 8, word));
        let [pay, other, ..] = calls;
        world.fake.put(STACK, pay);
        world.frame(STACK + 8, 6, STACK + 0x100, INTERPRETER + 0x40);
        let caller = at(INTERPRETER + 0x80, STACK + 0x110, STACK + 0x200);
        world.interpreted(STACK + 0x100, methods[0], 5, caller);
        world.interpreted(STACK + 0x200, methods[1], 6, at(other, STACK + 0x218, STACK + 0x300));
        world.frame(STACK + 0x218, 6, STACK + 0x300, CALL_STUB_RETURN);
        world.fake.put(STACK + 0x300, STACK + 0x400);
        world.fake.put(STACK + 0x308, calls[3]);
        world.frame(STACK + 0x310, 4, STACK + 0x400, pay);
        world.frame(STACK + 0x330, 6, STACK + 0x400, fetching);
        let layout = Continuations {
            entry_continuation: 16,
            tail: 16,
            parent: 32,
            size: 20,
            sp: 24,
            bottom: 28,
            counts_arguments: false,
            stack: 48,
            pointers: Pointers::Whole,
        };
        world.facts.continuations = Some(layout);
        let (continuation, chunk) = (world.fake.object(64), world.fake.object(48 + 20 * 8));
        world.fake.put(STACK + 0x360 + 24, continuation);
        world.fake.put(continuation + 16, chunk);
        [20, 4, 16].into_iter().zip([20, 24, 28]).for_each(|(half, at)| {
            world.fake.put_half(chunk + at, half);
        });
        world.fake.put(chunk + 48 + 3 * 8, pay);
        world.fake.put(chunk + 48 + 9 * 8, other);
        let anchor = [STACK + 0x310, calls[3], STACK + 0x400];
        (0..).zip(anchor).for_each(|(at, word)| world.fake.put(world.thread + 200 + at * 8, word));
        self.values.extend([continuation, chunk, world.thread]);
    }

    /// All words that there are, but for most of the code.
    fn find_places(&mut self) {
        let objects = 0x5000_0000..self.world.fake.object(0);
        let stack = STACK..STACK + 0x400;
        let heaps = HEAPS.map(|start| start..start + 0x2000);
        let blobs = CODE + 0x1_0000..CODE + 0x1_3000;
        let ranges = [objects.clone(), stack.clone(), stack, blobs].into_iter().chain(heaps);
        for address in ranges.flat_map(|range| range.step_by(8)) {
            if self.world.fake.word(address).is_some() {
                self.places.push(address);
            }
        }
        let some = (0..32).map(|_| self.random.of(&self.places)).collect::<Vec<_>>();
        self.values.extend(some);
    }

    /// A number that is near something, or not.
    fn value(&mut self) -> u64 {
        let near = self.random.of(&self.values);
        match self.random.below(8) {
            0..4 => near,
            4 => near.wrapping_add(self.random.below(32)).wrapping_sub(16),
            5 => STACK + self.random.below(0x80) * 8,
            6 => near ^ 1 << self.random.below(64),
            _ => self.random.next() >> self.random.below(64),
        }
    }

    fn context(&mut self) -> (Registers, Interrupted) {
        let Registers { pc, sp, fp, .. } = self.registers;
        let mut any = |usual: u64| if self.random.below(2) == 0 { usual } else { self.value() };
        let registers = at(any(pc), any(sp), any(fp));
        let [r13, rbx, rax] = [(); 3].map(|()| self.value());
        (registers, Interrupted { r13, rbx, rax })
    }

    /// Makes words others; returns what they were.
    fn corrupt(&mut self) -> Vec<(u64, u64)> {
        let mut before = Vec::new();
        for _ in 0..self.random.below(12) {
            let place = self.random.of(&self.places);
            let Some(word) = self.world.fake.word(place) else { continue };
            before.push((place, word));
            match self.random.below(8) {
                0 => self.world.fake.forget(place),
                1 => self.world.fake.put(place, word ^ 1 << self.random.below(64)),
                2 => {
                    let half = self.random.next() >> 32 | word & 0xffff_ffff_0000_0000;
                    self.world.fake.put(place, half);
                }
                _ => {
                    let value = self.value();
                    self.world.fake.put(place, value);
                }
            }
        }
        before
    }

    /// Makes one number of a layout another.
    fn misplace(&mut self, layout: &mut Layout) {
        let number = self.random.below(Layout::COUNT as u64) as usize;
        let value = self.random.next() >> self.random.below(64);
        layout.each()[number].1.set(value as i64);
    }

    /// One walk; returns how many frames of Java there were.
    fn round(&mut self) -> usize {
        let right = self.world.facts.layout;
        let before = self.corrupt();
        if self.random.below(8) == 0 {
            let mut layout = right;
            self.misplace(&mut layout);
            self.world.facts.layout = layout;
        }
        let (registers, interrupted) = self.context();
        self.world.registers = interrupted;
        let (words, stepped) = self.world.walk_words(registers, LIMIT);
        self.world.facts.layout = right;
        for (place, word) in before.into_iter().rev() {
            self.world.fake.put(place, word);
        }
        assert!(words.len() <= LIMIT, "{registers:x?} {interrupted:x?}");
        assert!(stepped.loads <= MAX_LOADS, "{} loads {registers:x?}", stepped.loads);
        let things = self.world.known.filling().things;
        let mut java = 0;
        for word in words.into_iter().skip(1) {
            match HotspotFrame::from_word(word) {
                Some(HotspotFrame::Lost) => assert!(stepped.lost > 0),
                Some(HotspotFrame::Method { number, .. }) => {
                    java += 1;
                    assert!(u64::from(number) < things, "{number} of {things}");
                }
                None => assert!((4096..1 << 56).contains(&word), "{word:#x}"),
            }
        }
        java
    }
}

fn full() -> bool {
    std::env::var("SONDAGE_STORM").is_ok_and(|size| size == "full")
}

#[test]
fn the_stack_of_the_storm_is_walked_to_its_end_without_one() {
    for age in [Age::Old, Age::New] {
        let mut storm = Storm::new(age, 1);
        let stepped = storm.world.walk(storm.registers, LIMIT);
        let java = stepped.frames.iter().filter(|frame| frame.starts_with("app/Shop.")).count();
        assert_eq!((stepped.result, java), (Err(End::Root), 10), "{:#?}", stepped.frames);
    }
}

#[test]
fn a_walk_over_anything_ends_with_frames_that_there_are() {
    let worlds = if full() { 100 } else { 2 };
    let rounds = if full() { 10_000 } else { 5000 };
    let mut java = 0;
    for seed in 0..worlds {
        let age = if seed % 2 == 0 { Age::Old } else { Age::New };
        let mut storm = Storm::new(age, seed);
        java += (0..rounds).map(|_| storm.round()).sum::<usize>();
    }
    // It is not only walks that end at once.
    assert!(java as u64 > worlds * rounds, "{java}");
}

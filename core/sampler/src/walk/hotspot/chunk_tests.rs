//! Frames of virtual threads in hand-made pieces of their stacks.

use super::chunk::{Continuations, Pointers};
use super::fake::{Age, INTERPRETER};
use super::fake_world::{HANDLER, NewBlob, ORIGINAL, STACK, Stepped, World, at};
use crate::memory::MemoryReader;
use crate::sample::End;
use std::vec::Vec;

/// Where on the carrier's stack the virtual thread's entry is.
const ENTRY: u64 = STACK + 0x18;

/// Where in a piece its frames begin, in words.
const SP: u64 = 4;

/// Bytes before the words of a piece.
const HEADER: u64 = 48;

/// A frame in the heap.
#[derive(Clone, Copy)]
enum Frozen {
    /// Code at an address, and words.
    Code(u64, u64),
    /// A method, the instruction, and its arguments.
    Interpreted(u64, u64, u64),
}
use Frozen::{Code, Interpreted};

/// A virtual thread, of which nothing is on the carrier's stack.
struct Thread {
    world: World,
    layout: Continuations,
    fetching: u64,
    continuation: u64,
    code: NewBlob,
    methods: [u64; 2],
}

/// As 24 has it, and as 21.
const LAYOUTS: [(bool, bool); 4] = [(false, false), (false, true), (true, false), (true, true)];

impl Thread {
    fn new((counts_arguments, narrow): (bool, bool)) -> Self {
        let mut world = World::new(Age::New);
        let (base, shift) = (0x4000_0000, 3);
        let layout = Continuations {
            entry_continuation: 16,
            tail: 12,
            parent: 12,
            size: 20,
            sp: 24,
            bottom: 28,
            counts_arguments,
            stack: HEADER as u16,
            pointers: Pointers::Narrow { base, shift },
        };
        let whole = Continuations { tail: 16, parent: 32, pointers: Pointers::Whole, ..layout };
        let layout = if narrow { layout } else { whole };
        world.facts.continuations = Some(layout);
        let fetching = world.blob(0, "StubRoutines (continuation stubs)", 0).code + 0x40;
        let continuation = world.fake.object(64);
        let methods = ["run", "call"].map(|name| world.method("app/Task", name));
        let code = world.compiled(methods[0], 4, &[(0x40, &[(methods[1], 3), (methods[0], 4)])]);
        (0..32).for_each(|word| world.fake.put(STACK + word * 8, 0x77));
        world.fake.put(ENTRY + 16, continuation);
        Self { world, layout, fetching, continuation, code, methods }
    }

    /// A frame of compiled code, into which one method was put.
    fn code(&self) -> Frozen {
        Code(self.code.code + 0x40, 6)
    }

    fn point(&mut self, at: u64, to: u64) {
        match self.layout.pointers {
            Pointers::Whole => self.world.fake.put(at, to),
            Pointers::Narrow { base, .. } if to != 0 => {
                self.world.fake.put_half(at, ((to - base) >> 3) as u32);
            }
            Pointers::Narrow { .. } => self.world.fake.put_half(at, 0),
        }
    }

    /// A piece with frames, leaf first.
    fn chunk(&mut self, frames: &[Frozen], parent: u64) -> u64 {
        let mut words = Vec::from([0x77; SP as usize]);
        let mut put = |index: u64, word: u64| {
            words.resize(words.len().max(index as usize + 4), 0x77);
            words[index as usize] = word;
        };
        let (mut sp, mut values) = (SP, SP);
        for frame in frames {
            match *frame {
                Code(pc, count) => {
                    put(sp - 1, pc);
                    sp = values + count;
                    values = sp;
                }
                Interpreted(method, instruction, arguments) => {
                    put(sp - 1, INTERPRETER + 0x40);
                    put(sp - 2, 14);
                    let fp = sp + 12;
                    put(fp - 1, 2 + arguments);
                    put(fp - 3, method);
                    put(fp - 7, 1 + arguments);
                    put(fp - 8, self.world.bytecode(method) + instruction);
                    sp = fp + 2;
                    values = sp + arguments;
                }
            }
        }
        put(values, 0x77);
        let size = words.len() as u64;
        let chunk = self.world.fake.object(HEADER + size * 8);
        self.point(chunk + u64::from(self.layout.parent), parent);
        self.world.fake.put_half(chunk + 20, size as u32);
        self.world.fake.put_half(chunk + 24, SP as u32);
        let bottom = if self.layout.counts_arguments { size - values } else { values };
        self.world.fake.put_half(chunk + 28, bottom as u32);
        (0..).zip(words).for_each(|(at, word)| self.world.fake.put(chunk + HEADER + at * 8, word));
        chunk
    }

    /// Makes a piece the first one.
    fn begin(&mut self, chunk: u64) {
        self.point(self.continuation + u64::from(self.layout.tail), chunk);
    }

    fn step(&mut self) -> Stepped {
        self.world.step(at(self.fetching, STACK, 0x77), false)
    }
}

const CALL: &str = "app/Task.call@3 Inlined";
const RUN: &str = "app/Task.run@4 C2";

#[test]
fn frames_in_the_heap_are_those_of_a_stack() {
    for kind in LAYOUTS {
        let mut thread = Thread::new(kind);
        let [run, call] = thread.methods;
        // The interpreter is called by compiled code, and by itself, and has called it.
        let frames = [
            thread.code(),
            Interpreted(call, 9, 0),
            Interpreted(run, 8, 3),
            thread.code(),
            thread.code(),
        ];
        let chunk = thread.chunk(&frames, 0);
        thread.begin(chunk);
        let stepped = thread.step();
        let interpreted = ["app/Task.call@9 Interpreter", "app/Task.run@8 Interpreter"];
        let wanted = [CALL, RUN, interpreted[0], interpreted[1], CALL, RUN, CALL, RUN];
        assert_eq!(stepped.frames, wanted, "{kind:?}");
        assert_eq!((stepped.result, stepped.lost), (Err(End::Root), 0));
    }
}

#[test]
fn the_last_frame_may_be_one_of_the_interpreter_whose_variables_are_the_last_words() {
    for kind in LAYOUTS {
        let mut thread = Thread::new(kind);
        let frames = [thread.code(), Interpreted(thread.methods[1], 9, 5)];
        let chunk = thread.chunk(&frames, 0);
        thread.begin(chunk);
        let stepped = thread.step();
        assert_eq!(stepped.frames, [CALL, RUN, "app/Task.call@9 Interpreter"], "{kind:?}");
        assert_eq!(stepped.result, Err(End::Root));
    }
}

#[test]
fn what_the_last_frame_returns_to_is_no_frame() {
    // It ends where the piece does, or its saved frame pointer and return address lie behind.
    for behind in 0..4 {
        let mut thread = Thread::new((false, false));
        let frames = [thread.code()];
        let chunk = thread.chunk(&frames, 0);
        let size = thread.world.fake.half(chunk + 20).unwrap();
        thread.world.fake.put_half(chunk + 20, size + 8);
        thread.world.fake.put_half(chunk + 28, SP as u32 + 6 + behind);
        thread.begin(chunk);
        let stepped = thread.step();
        let end = if behind <= 2 { End::Root } else { End::Corrupt };
        assert_eq!((stepped.frames.len(), stepped.result), (2, Err(end)), "{behind}");
    }
}

#[test]
fn pieces_follow_one_another() {
    for kind in LAYOUTS {
        let mut thread = Thread::new(kind);
        let last = [Interpreted(thread.methods[0], 1, 0)];
        let last = thread.chunk(&last, 0);
        // All of one was copied back.
        let empty = thread.chunk(&[], last);
        let frames = [thread.code()];
        let first = thread.chunk(&frames, empty);
        thread.begin(first);
        let stepped = thread.step();
        assert_eq!(stepped.frames, [CALL, RUN, "app/Task.run@1 Interpreter"], "{kind:?}");
        assert_eq!(stepped.result, Err(End::Root));
    }
}

#[test]
fn frames_that_are_copied_while_they_stand_on_the_stack_are_there_once() {
    for kind in LAYOUTS {
        let mut thread = Thread::new(kind);
        let [run, call] = thread.methods;
        let returns_to = thread.code.code + 0x40;
        let frames = [thread.code(), Interpreted(call, 9, 0), Interpreted(run, 8, 3)];
        let chunk = thread.chunk(&frames, 0);
        thread.begin(chunk);
        let registers = at(thread.fetching, STACK, 0x77);
        let mut step = |frozen| thread.world.step_from(registers, false, Some(frozen)).frames;
        assert_eq!(step((returns_to, 2)), ["app/Task.run@8 Interpreter"], "{kind:?}");
        assert_eq!(step((returns_to + 1, 2)).len(), 4, "not yet copied");
    }
}

#[test]
fn what_lies_in_a_new_piece_by_chance_is_no_copy() {
    for kind in LAYOUTS {
        let mut thread = Thread::new(kind);
        let returns_to = thread.code.code + 0x40;
        let frames = [thread.code(), Interpreted(thread.methods[0], 8, 3)];
        let parent = thread.chunk(&frames, 0);
        // As an object that was there before has left it.
        let new = thread.chunk(&[], parent);
        thread.world.fake.put(new + HEADER + SP * 8 - 8, returns_to);
        thread.begin(new);
        let registers = at(thread.fetching, STACK, 0x77);
        let stepped = thread.world.step_from(registers, false, Some((returns_to, 2)));
        assert_eq!(stepped.frames, [CALL, RUN, "app/Task.run@8 Interpreter"], "{kind:?}");
    }
}

#[test]
fn pieces_in_a_circle_end() {
    let mut thread = Thread::new((false, true));
    for frames in [&[thread.code()][..], &[]] {
        let first = thread.chunk(frames, 0);
        let second = thread.chunk(frames, first);
        thread.point(first + 12, second);
        thread.begin(first);
        let stepped = thread.step();
        assert_eq!(stepped.frames.len(), frames.len() * 64 * 2);
        assert_eq!(stepped.result, Err(End::Depth));
    }
}

#[test]
fn no_more_frames_are_read_than_a_sample_has() {
    let mut thread = Thread::new((false, false));
    let frames: Vec<_> = (0..5000).map(|_| thread.code()).collect();
    let chunk = thread.chunk(&frames, 0);
    thread.begin(chunk);
    let stepped = thread.step();
    assert_eq!((stepped.frames.len(), stepped.result), (512, Err(End::Depth)));
    assert!(stepped.loads < 512 * 100, "{} loads", stepped.loads);
}

#[test]
fn a_stub_among_the_frames_is_stepped_over() {
    let mut thread = Thread::new((false, true));
    let stub = thread.world.blob(0, "RuntimeStub - monitorenter", 8).code + 0x40;
    let frames = [Code(stub, 8), thread.code()];
    let chunk = thread.chunk(&frames, 0);
    thread.begin(chunk);
    let stepped = thread.step();
    assert_eq!(
        (stepped.frames, stepped.result),
        (Vec::from([CALL, RUN].map(Into::into)), Err(End::Root))
    );
}

#[test]
fn code_in_the_heap_that_was_found_to_be_wrong_is_where_its_frame_says() {
    let mut thread = Thread::new((false, true));
    let frames = [Code(thread.code.code + HANDLER, 6)];
    let chunk = thread.chunk(&frames, 0);
    let original = thread.code.code + 0x40;
    thread.world.fake.put(chunk + HEADER + SP * 8 + ORIGINAL, original);
    thread.begin(chunk);
    assert_eq!(thread.step().frames, [CALL, RUN]);
}

#[test]
fn the_entry_is_looked_for_behind_arguments_only() {
    let mut thread = Thread::new((false, true));
    let frames = [thread.code()];
    let chunk = thread.chunk(&frames, 0);
    thread.begin(chunk);
    let (fake, continuation) = (&mut thread.world.fake, thread.continuation);
    fake.put(ENTRY + 16, 0x77);
    fake.put(STACK + 16 + 15 * 8, continuation);
    fake.put(STACK + 16 + 14 * 8, 0x77);
    assert_eq!(thread.step().frames.len(), 2);
    let fake = &mut thread.world.fake;
    fake.put(STACK + 16 + 15 * 8, 0x77);
    fake.put(STACK + 16 + 16 * 8, continuation);
    let stepped = thread.step();
    assert_eq!((stepped.frames.len(), stepped.result), (0, Err(End::Corrupt)));
    thread.world.fake.forget(STACK + 40);
    let stepped = thread.step();
    assert_eq!((stepped.frames.len(), stepped.result), (0, Err(End::Memory)));
}

#[test]
fn an_argument_that_leads_to_something_like_a_piece_is_not_the_continuation() {
    let mut thread = Thread::new((false, false));
    let frames = [thread.code()];
    let chunk = thread.chunk(&frames, 0);
    thread.begin(chunk);
    let (argument, other) = (thread.world.fake.object(64), thread.world.fake.object(256));
    thread.world.fake.put(STACK + 16, argument);
    thread.world.fake.put(argument + 16, other);
    [10, 4, 10].into_iter().zip([20, 24, 28]).for_each(|(half, at)| {
        thread.world.fake.put_half(other + at, half);
    });
    let stepped = thread.step();
    assert_eq!((stepped.frames.len(), stepped.result), (2, Err(End::Root)));
}

#[test]
fn a_piece_that_makes_no_sense_is_none() {
    // Its words, where frames begin, and where they end.
    let wrong = [(0, 0, 0), (1 << 21, 4, 10), (10, 11, 10), (10, 4, 11), (10, u32::MAX, 10)];
    for (size, sp, bottom) in wrong {
        let mut thread = Thread::new((false, true));
        let frames = [thread.code()];
        let chunk = thread.chunk(&frames, 0);
        [size, sp, bottom].into_iter().zip([20, 24, 28]).for_each(|(half, at)| {
            thread.world.fake.put_half(chunk + at, half);
        });
        thread.begin(chunk);
        let stepped = thread.step();
        assert_eq!((stepped.frames.len(), stepped.result), (0, Err(End::Corrupt)), "{size}");
        // As the second one.
        let first = thread.chunk(&frames, chunk);
        thread.begin(first);
        let stepped = thread.step();
        assert_eq!((stepped.frames.len(), stepped.result), (2, Err(End::Corrupt)), "{size}");
    }
    let mut thread = Thread::new((true, true));
    let frames = [thread.code()];
    let chunk = thread.chunk(&frames, 0);
    thread.world.fake.put_half(chunk + 28, 1000);
    thread.begin(chunk);
    assert_eq!(thread.step().result, Err(End::Corrupt), "more arguments than words");
    thread.begin(0x4666_0000);
    assert_eq!(thread.step().result, Err(End::Corrupt), "it is not there");
    let first = thread.chunk(&frames, 0x4666_0000);
    thread.begin(first);
    assert_eq!(thread.step().result, Err(End::Corrupt), "the second is not there");
}

#[test]
fn a_corrupt_frame_ends_the_walk_and_is_not_handed_out() {
    let mut thread = Thread::new((false, false));
    let frames = [thread.code(), Interpreted(thread.methods[1], 9, 0), thread.code()];
    let chunk = thread.chunk(&frames, 0);
    thread.begin(chunk);
    // How many frames there are, and how the walk ends, where a word is another.
    let mut with = |word: u64, value: u64| {
        let address = chunk + HEADER + word * 8;
        let before = thread.world.fake.word(address).unwrap();
        thread.world.fake.put(address, value);
        let stepped = thread.step();
        thread.world.fake.put(address, before);
        (stepped.frames.len(), stepped.result.unwrap_err())
    };
    // Return addresses: of native code, of the interpreter's neighbour, of no code.
    for wrong in [0x1234_5678, INTERPRETER - 8, 0x4300_0000, 0] {
        assert_eq!(with(SP - 1, wrong), (0, End::Corrupt), "{wrong:#x}");
        assert_eq!(with(SP + 5, wrong), (2, End::Corrupt), "{wrong:#x}");
    }
    // The frame pointer of the interpreter: below, far above, around the end of memory.
    for wrong in [0, 1, u64::MAX, 30, 1 << 40, 1 << 60] {
        assert_eq!(with(SP + 4, wrong), (2, End::Corrupt), "{wrong:#x}");
    }
    let fp = SP + 6 + 12;
    assert_eq!(with(fp - 3, 0x6666_0000), (2, End::Corrupt), "its method");
    assert_eq!(with(fp - 1, 100_u64.wrapping_neg()), (5, End::Corrupt), "its caller is below");
    for circle in [4_u64, 24] {
        assert_eq!(with(fp - 1, circle.wrapping_neg()), (5, End::Corrupt), "it is its own caller");
    }
}

#[test]
fn no_word_of_a_piece_can_make_frames_without_end() {
    let values = [0, 1, 0x77, u64::MAX, 1 << 63, STACK, INTERPRETER + 8, 0x1_0000_0001];
    for kind in LAYOUTS {
        let mut thread = Thread::new(kind);
        let frames = [thread.code(), Interpreted(thread.methods[1], 9, 1), thread.code()];
        let second = thread.chunk(&frames, 0);
        let first = thread.chunk(&frames, second);
        thread.begin(first);
        let right = thread.step().frames;
        let end = first + HEADER + 40 * 8;
        for address in (second..end).step_by(8) {
            let Some(before) = thread.world.fake.word(address) else { continue };
            for value in values {
                thread.world.fake.put(address, value);
                let stepped = thread.step();
                assert!(stepped.loads < 100_000 && stepped.frames.len() <= 512);
                let known = |frame| right.contains(frame) || frame == "app/Task.call@? Interpreter";
                assert!(stepped.frames.iter().all(known), "{:?}", stepped.frames);
            }
            thread.world.fake.put(address, before);
        }
    }
}

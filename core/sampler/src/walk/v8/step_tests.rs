//! Steps over frames of V8 on a hand-made stack.

use super::definition::Definition;
use super::fake::{self, Fake, layout, pointer, small};
use super::isolate::{Facts, Isolate};
use super::layout::Layout;
use super::step::Running;
use super::word::V8Frame;
use crate::arch::Registers;
use crate::interner::Interner;
use crate::interner_tests::Tables;
use crate::sample::End;
use crate::walk::runtime::Runtime;
use std::boxed::Box;
use std::string::String;
use std::vec::Vec;

const CODE: u64 = 0x1000_0000;
const BUILTINS: u64 = 0x40_0000;
const STACK: u64 = 0x7000_0000;

/// An isolate with a heap in which there is one function, `outer`, and its bytecode.
struct World {
    fake: Fake,
    layout: Layout,
    isolate: Box<Isolate>,
    tables: Tables,
    function: u64,
    bytecode: u64,
}

impl World {
    fn new() -> Self {
        let mut fake = Fake::new();
        let script = fake.script(3, "/app/shop.js");
        let scope = fake.scope("outer", (10, 90));
        let shared = fake.shared(script, scope);
        let function = fake.function(shared);
        let bytecode = fake.bytecode(40, &[1, 2, 3]);
        // SAFETY: all zero is a valid isolate.
        let isolate: Box<Isolate> = unsafe { Box::new_zeroed().assume_init() };
        isolate.describe(
            1,
            &Facts {
                isolate: 0x9000,
                code: CODE..CODE + (128 << 20),
                builtins: BUILTINS..BUILTINS + 0x10_0000,
                copied_builtins: 0..0,
            },
        );
        Self { fake, layout: layout(), isolate, tables: Tables::new(), function, bytecode }
    }

    /// A frame at `fp` that was called by code at `caller`, with what it runs on and its function.
    fn frame(&mut self, fp: u64, caller: u64, context: u64, function: u64) {
        self.fake.put(fp, fp + 0x100);
        self.fake.put(fp + 8, caller);
        self.fake.put(fp - 8, context);
        self.fake.put(fp - 16, function);
    }

    /// The interpreter's frame of `outer` at a bytecode offset.
    fn interpreted(&mut self, fp: u64, offset: i32) {
        let (function, bytecode) = (pointer(self.function), pointer(self.bytecode));
        self.frame(fp, BUILTINS + 0x500, pointer(0x30_0000), function);
        self.fake.put(fp - 32, bytecode);
        self.fake.put(fp - 40, small(offset + 63));
    }

    /// Sparkplug's code of `outer`, and its frame; returns where the code begins.
    fn baseline(&mut self, fp: u64) -> u64 {
        let start = CODE + 0x1000;
        let (fake, layout) = (&mut self.fake, &self.layout);
        let code = fake.object(fake::CODE, &[0; 12]);
        let at = |offset: u16| code + u64::from(offset);
        fake.put(at(layout.code_instruction_start), start);
        fake.put(at(layout.code_instruction_size), 0x100);
        fake.put(at(layout.code_flags) & !7, u64::from(layout.code_kind_baseline) << 32);
        fake.put(at(layout.code_deoptimization), pointer(self.bytecode));
        let first = self.bytecode + u64::from(layout.bytecode_data);
        (first..first + 40).step_by(8).for_each(|at| fake.put(at, 0));
        let offsets = fake.bytes(&[1, 2, 3]);
        fake.put(at(layout.code_positions), pointer(offsets));
        let stream = start - u64::from(layout.stream_header);
        let map = fake.map(fake::STREAM);
        (stream..start + 0x100).step_by(8).for_each(|at| fake.put(at, 0));
        fake.put(stream, pointer(map));
        fake.put(stream + u64::from(layout.stream_code), pointer(code));
        let (function, bytecode) = (pointer(self.function), pointer(self.bytecode));
        self.frame(fp, BUILTINS + 0x500, pointer(0x30_0000), function);
        self.fake.put(fp - 32, bytecode);
        start
    }

    fn step(&self, known: &Interner, registers: &mut Registers, top: Option<[u64; 3]>) -> Stepped {
        let memory = self.fake.clone();
        let running = Running::new(&self.layout, &self.isolate, known, memory);
        let mut running = running.interrupted(top.unwrap_or_default());
        let mut words = Vec::new();
        let mut stack = self.fake.clone();
        let result =
            running.step(registers, top.is_some(), &mut stack, &mut |word| words.push(word));
        Stepped { words, result, lost: running.lost }
    }
}

struct Stepped {
    words: Vec<u64>,
    result: Result<(), End>,
    lost: u32,
}

fn at(pc: u64, fp: u64) -> Registers {
    Registers { pc, sp: fp - 0x60, fp, lr: None }
}

fn name(known: &Interner, number: u32) -> (String, u32) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    match Definition::parse(known.copy(number).unwrap()).unwrap() {
        Definition::Bytecode { function, .. } => name(known, function),
        Definition::Function { name, script, range } => {
            assert_eq!(range, Some((10, 90)));
            (text(name.parts[0].1), script.unwrap())
        }
        Definition::Script { name, id, source } => {
            assert_eq!((id, source.count, source.width, source.outside), (3, 10, 1, None));
            (text(name.parts[0].1), 0)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_frame_of_the_interpreter_is_its_function_and_where_it_is() {
    let mut world = World::new();
    world.interpreted(STACK, 33);
    let known = Interner::new(world.tables.start());
    let mut registers = at(BUILTINS + 0x40, STACK);
    let Stepped { words, result, lost } = world.step(&known, &mut registers, None);
    assert_eq!((result, lost), (Ok(()), 0));
    let [word] = words[..] else { panic!("{words:?}") };
    let Some(V8Frame::Code { code, offset: Some(33) }) = V8Frame::from_word(word) else {
        panic!("{word:#x}")
    };
    let (function, script) = name(&known, code);
    assert_eq!((function.as_str(), name(&known, script).0.as_str()), ("outer", "/app/shop.js"));
    let Registers { pc, sp, fp, .. } = registers;
    assert_eq!((pc, sp, fp), (BUILTINS + 0x500, STACK + 16, STACK + 0x100));
    // Once more, from what is remembered.
    world.interpreted(STACK, 35);
    let again = world.step(&known, &mut at(BUILTINS + 0x40, STACK), None);
    let expected = V8Frame::Code { code, offset: Some(35) }.to_word();
    assert_eq!(again.words, [expected]);
}

#[test]
fn the_instruction_that_was_interrupted_is_the_one_in_the_register() {
    let mut world = World::new();
    world.interpreted(STACK, 20);
    let known = Interner::new(world.tables.start());
    let offset_with = |world: &World, registers| {
        let stepped = world.step(&known, &mut at(BUILTINS + 0x40, STACK), Some(registers));
        match V8Frame::from_word(stepped.words[0]) {
            Some(V8Frame::Code { offset, .. }) => offset,
            other => panic!("{other:?}"),
        }
    };
    let bytecode = pointer(world.bytecode);
    assert_eq!(offset_with(&world, [63 + 7, bytecode, 0]), Some(7));
    assert_eq!(offset_with(&world, [63 + 7, 0x1234, 0]), Some(20), "of something else");
    assert_eq!(offset_with(&world, [63 + 40, bytecode, 0]), Some(20), "behind the end");
    assert_eq!(offset_with(&world, [5, bytecode, 0]), Some(20), "before the beginning");
}

#[test]
fn so_it_is_where_what_runs_it_has_a_frame_of_its_own_and_kept_the_register() {
    const HANDLERS: u64 = 0x40_0000;
    let mut world = World::new();
    let interpreter = STACK + 0x100;
    world.frame(STACK, BUILTINS + 0x500, 9 << 1, small(0));
    world.interpreted(interpreter, 20);
    // The operation of the eighth byte, for one byte and for four.
    let operation = 5;
    let byte = world.bytecode + 64 + 7;
    world.fake.put(byte & !7, u64::from(operation as u8) << (8 * (byte & 7)));
    world.fake.put(HANDLERS + 8 * operation, BUILTINS + 0x4000);
    world.fake.put(HANDLERS + 8 * (512 + operation), BUILTINS + 0x8000);
    let known = Interner::new(world.tables.start());
    let offset_at = |pc: u64, offset: u64| {
        let registers = [63 + offset, pointer(world.bytecode), HANDLERS];
        let memory = world.fake.clone();
        let running = Running::new(&world.layout, &world.isolate, &known, memory);
        let mut running = running.interrupted(registers);
        let mut words = Vec::new();
        let mut registers = at(pc, STACK);
        for interrupted in [true, false] {
            let put = &mut |word| words.push(word);
            running.step(&mut registers, interrupted, &mut world.fake.clone(), put).unwrap();
        }
        assert_eq!(words[0], pc);
        match V8Frame::from_word(words[1]) {
            Some(V8Frame::Code { offset: Some(offset), .. }) => offset,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(offset_at(BUILTINS + 0x4000, 7), 7);
    assert_eq!(offset_at(BUILTINS + 0x8123, 7), 7);
    assert_eq!(offset_at(BUILTINS + 0x4000, 6), 20, "another operation");
    assert_eq!(offset_at(BUILTINS + 0x3fff, 7), 20, "before what runs it");
    assert_eq!(offset_at(BUILTINS + 0x6000, 7), 20, "behind what runs it");
}

#[test]
fn what_v8_runs_without_a_frame_for_compiled_code_is_left_even_if_no_code_was_met_before() {
    let mut world = World::new();
    let start = world.baseline(STACK);
    let known = Interner::new(world.tables.start());
    let mut registers = at(BUILTINS + 0x40, STACK);
    world.fake.put(registers.sp, start + 0x40);
    let leaf = world.step(&known, &mut registers, Some([0; 3]));
    assert_eq!((leaf.words, registers.pc), (Vec::from([BUILTINS + 0x40]), start + 0x40));
    let caller = world.step(&known, &mut registers, None);
    match V8Frame::from_word(caller.words[0]) {
        Some(V8Frame::Code { offset: Some(0x3f), .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn frames_without_javascript_are_passed_over_except_at_the_leaf() {
    let mut world = World::new();
    world.frame(STACK, BUILTINS + 0x600, 3 << 1, small(0));
    let known = Interner::new(world.tables.start());
    let mut registers = at(BUILTINS + 0x40, STACK);
    assert!(world.step(&known, &mut registers, None).words.is_empty());
    assert_eq!(registers.pc, BUILTINS + 0x600);
    let leaf = world.step(&known, &mut at(BUILTINS + 0x40, STACK), Some([0; 3]));
    assert_eq!(leaf.words, [BUILTINS + 0x40]);
    // A frame pointer that was just set: what lies below is left from before.
    world.interpreted(STACK, 3);
    let mut registers = Registers { sp: STACK, ..at(BUILTINS + 0x40, STACK) };
    assert_eq!(world.step(&known, &mut registers, Some([0; 3])).words, [BUILTINS + 0x40]);
    world.frame(STACK, BUILTINS + 0x600, 31 << 1, small(0));
    let regexp = world.step(&known, &mut at(CODE + 0x40, STACK), None);
    assert_eq!(regexp.words, [V8Frame::Regexp.to_word()]);
}

#[test]
fn garbage_is_no_frame() {
    let mut world = World::new();
    let known = Interner::new(world.tables.start());
    world.frame(STACK, BUILTINS + 0x600, pointer(0x30_0000), pointer(0x6660));
    let Stepped { words, result, lost } = world.step(&known, &mut at(BUILTINS + 0x40, STACK), None);
    assert_eq!((words, result, lost), (Vec::from([V8Frame::Lost.to_word()]), Ok(()), 1));
    let ends = |world: &World, registers: Registers| {
        world.step(&known, &mut { registers }, None).result.unwrap_err()
    };
    let registers = at(BUILTINS + 0x40, STACK);
    assert_eq!(ends(&world, Registers { fp: STACK + 4, ..registers }), End::Corrupt);
    assert_eq!(ends(&world, Registers { fp: STACK - 0x100, ..registers }), End::Corrupt);
    assert_eq!(ends(&world, Registers { fp: STACK + 0x1000, ..registers }), End::Corrupt);
    world.fake.put(STACK + 8, 1);
    assert_eq!(ends(&world, registers), End::Corrupt, "no return address");
    world.fake.forget(STACK + 8);
    assert_eq!(ends(&world, registers), End::Memory);
}

#[test]
fn the_collector_is_told_once_and_moved_objects_are_followed() {
    let mut world = World::new();
    world.interpreted(STACK, 1);
    let known = Interner::new(world.tables.start());
    world.isolate.collection_begins(4, crate::labels::Labels::NONE);
    // The function was moved: in place of its map stands where it is now.
    let old = world.fake.object(super::fake::FUNCTION, &[0; 4]);
    world.fake.put(old, world.function);
    world.fake.put(STACK - 16, pointer(old));
    let Stepped { words, lost, .. } = world.step(&known, &mut at(BUILTINS + 0x40, STACK), None);
    let [collector, frame] = words[..] else { panic!("{words:?}") };
    assert_eq!(collector, V8Frame::GarbageCollector.to_word());
    let Some(V8Frame::Code { code, .. }) = V8Frame::from_word(frame) else { panic!("{frame:#x}") };
    assert_eq!((name(&known, code).0.as_str(), lost), ("outer", 0));
    world.isolate.collection_ends(4);
    let Stepped { words, .. } = world.step(&known, &mut at(BUILTINS + 0x40, STACK), None);
    assert_eq!(words, [V8Frame::Lost.to_word()], "followed only while garbage is collected");
}

#[test]
fn what_is_remembered_of_bytecode_outlives_a_collection_of_young_objects_only() {
    let mut world = World::new();
    world.interpreted(STACK, 1);
    let known = Interner::new(world.tables.start());
    let read = |world: &World| world.step(&known, &mut at(BUILTINS + 0x40, STACK), None);
    let words = read(&world).words;
    // The function went, as young ones do, and something else is in its place.
    world.fake.forget(world.function);
    world.isolate.collection_begins(1, crate::labels::Labels::NONE);
    assert_eq!(read(&world).words, [&[V8Frame::GarbageCollector.to_word()], &*words].concat());
    world.isolate.collection_ends(1);
    assert_eq!(read(&world).words, words);
    world.isolate.collection_begins(4, crate::labels::Labels::NONE);
    world.isolate.collection_ends(4);
    assert_eq!(read(&world).words, [V8Frame::Lost.to_word()]);
}

//! Frames of compiled code on a hand-made stack.

use super::code_cache::Code;
use super::fake::Age;
use super::fake_world::{
    COMPLETE, ENTRY, EPILOGUE, HANDLER, NATIVE, NOWHERE, NewBlob, ORIGINAL, STACK, Stepped, World,
    at, unsigned5,
};
use super::layout::{CodeCache, Layout};
use crate::memory::MemoryReader;
use crate::sample::End;
use crate::walk::fake_memory::Words;
use std::string::String;
use std::vec::Vec;

const AGES: [Age; 2] = [Age::Old, Age::New];

/// The caller's frame pointer, as saved; and what the register holds.
const SAVED: u64 = 0x5a5a_5a58;
const FP: u64 = 0x1357_9bd8;

/// A world with code of `pay`, into which `sum` and `add` were put.
fn world(age: Age) -> (World, NewBlob) {
    let mut world = World::new(age);
    let methods = ["pay", "sum", "add"].map(|name| world.method("app/Shop", name));
    let [pay, sum, add] = methods;
    let inner = [(add, 150), (sum, 0), (pay, 33)];
    let entries = [(0x40, &inner[..2][1..]), (0x50, &inner[..]), (0x60, &[(pay, 40)])];
    let code = world.compiled(pay, 4, &entries);
    (world, code)
}

/// Steps from a whole frame at an address.
fn step(world: &mut World, pc: u64, interrupted: bool) -> Stepped {
    world.frame(STACK, 6, SAVED, NATIVE);
    world.step(at(pc, STACK, FP), interrupted)
}

#[test]
fn methods_that_were_put_into_one_another_are_frames_leaf_first() {
    for age in AGES {
        let (mut world, code) = world(age);
        let stepped = step(&mut world, code.code + 0x50, false);
        let wanted = ["app/Shop.add@150 Inlined", "app/Shop.sum@0 Inlined", "app/Shop.pay@33 C2"];
        assert_eq!(stepped.frames, wanted, "{age:?}");
        assert_eq!((stepped.result, stepped.lost), (Ok(()), 0));
        assert_eq!(stepped.registers, at(NATIVE, STACK + 48, SAVED));
    }
}

#[test]
fn a_return_address_is_looked_up_exactly_and_an_interrupted_one_behind_it() {
    let (mut world, code) = world(Age::New);
    let mut leaf =
        |offset, interrupted| step(&mut world, code.code + offset, interrupted).frames.remove(0);
    assert_eq!(leaf(0x40, false), "app/Shop.sum@0 C2");
    assert_eq!(leaf(0x41, false), "app/Shop.add@150 Inlined");
    assert_eq!(leaf(0x3f, true), "app/Shop.sum@0 C2");
    assert_eq!(leaf(0x40, true), "app/Shop.add@150 Inlined");
    assert_eq!(leaf(0x50, true), "app/Shop.pay@40 C2");
    assert_eq!(leaf(0x60, true), "app/Shop.pay@40 C2", "behind the last one");
}

#[test]
fn what_has_no_instruction_of_its_own_is_where_the_method_was_before_unless_another_was_put_there()
{
    for age in AGES {
        let mut world = World::new(age);
        let [pay, sum] = ["pay", "sum"].map(|name| world.method("app/Shop", name));
        let nowhere = [(pay, NOWHERE)];
        let code = world.compiled(
            pay,
            3,
            &[
                (0x40, &[(sum, 7), (pay, 3)]),
                (0x50, &nowhere),
                (0x60, &[(pay, 9)]),
                (0x70, &nowhere),
            ],
        );
        let mut leaf = |offset, interrupted| {
            step(&mut world, code.code + offset, interrupted).frames.remove(0)
        };
        assert_eq!(leaf(0x48, true), "app/Shop.pay@? C1", "{age:?}: it may be either");
        assert_eq!(leaf(0x58, true), "app/Shop.pay@9 C1", "{age:?}");
        assert_eq!(leaf(0x68, true), "app/Shop.pay@9 C1", "{age:?}");
        assert_eq!(leaf(0x70, false), "app/Shop.pay@? C1", "{age:?}: what is returned to is known");
    }
}

#[test]
fn the_levels_of_the_compiler_are_c1_up_to_3() {
    for (level, tier) in [(1, "C1"), (2, "C1"), (3, "C1"), (4, "C2")] {
        let mut world = World::new(Age::New);
        let method = world.method("A", "b");
        let code = world.compiled(method, level, &[(0x40, &[(method, 1)])]);
        let frames = step(&mut world, code.code + 0x40, false).frames;
        assert_eq!(frames, [std::format!("A.b@1 {tier}")]);
    }
}

#[test]
fn what_calls_a_native_method_is_that_method() {
    for age in AGES {
        let mut world = World::new(age);
        let method = world.method("java/lang/Thread", "sleep0");
        let code = world.compiled_as("native nmethod", method, 0, &[]);
        for interrupted in [false, true] {
            let stepped = step(&mut world, code.code + 0x40, interrupted);
            assert_eq!(stepped.frames, ["java/lang/Thread.sleep0@? Native"]);
            assert_eq!(stepped.registers, at(NATIVE, STACK + 48, SAVED));
        }
    }
}

/// Steps from where a thread was interrupted, `popped` bytes above where its whole frame begins.
fn interrupted(world: &mut World, pc: u64, popped: u64) -> Stepped {
    world.frame(STACK, 6, SAVED, NATIVE);
    // The words below are still there, and wrong.
    world.step(at(pc, STACK + popped, FP), true)
}

#[test]
fn while_a_frame_is_made_the_caller_is_where_the_instructions_have_put_it() {
    for age in AGES {
        let (mut world, code) = world(age);
        let nothing = at(NATIVE, STACK + 48, FP);
        let made = at(NATIVE, STACK + 48, SAVED);
        let steps = [
            (ENTRY - 8, 40, nothing),
            (ENTRY, 40, nothing),
            (ENTRY + 7, 40, nothing),
            (ENTRY + 8, 32, made),
            (COMPLETE, 0, made),
        ];
        for (offset, popped, caller) in steps {
            let stepped = interrupted(&mut world, code.code + offset, popped);
            assert_eq!(stepped.registers, caller, "{age:?} at {offset:#x}");
            if offset < COMPLETE {
                assert_eq!(stepped.frames, ["app/Shop.pay@0 C2"], "nothing of it has run");
            }
        }
    }
}

#[test]
fn a_frame_whose_pointer_is_not_saved_yet_leaves_the_register_as_it_is() {
    for sub in [&[0x48, 0x83, 0xec, 0x20][..], &[0x48, 0x81, 0xec, 0x20, 0, 0, 0]] {
        let (mut world, code) = world(Age::New);
        let end = ENTRY + 16 + sub.len() as u64;
        world.fake.put_bytes(code.code + ENTRY, &[0x90; 32]);
        world.fake.put_bytes(code.code + ENTRY + 16, sub);
        // `mov [rsp + 32], rbp` follows.
        world.fake.put_bytes(code.code + end, &[0x48, 0x89, 0x6c, 0x24, 0x20]);
        world.fake.put_half(code.address + 36, end as u32 + 5);
        let stepped = interrupted(&mut world, code.code + end, 0);
        assert_eq!(stepped.registers, at(NATIVE, STACK + 48, FP), "Unsaved");
        let stepped = interrupted(&mut world, code.code + end - 4, 40);
        assert_eq!(stepped.registers, at(NATIVE, STACK + 48, FP), "the frame is not there yet");
        let stepped = interrupted(&mut world, code.code + end + 5, 0);
        assert_eq!(stepped.registers, at(NATIVE, STACK + 48, SAVED), "all of it is");
    }
}

#[test]
fn code_whose_frame_never_stands_has_no_place_but_its_beginning() {
    let (mut world, code) = world(Age::New);
    // Its offset is -1, in 2 or in 4 bytes.
    world.fake.put_half(code.address + 36, u32::MAX);
    let stepped = interrupted(&mut world, code.code + 0x200, 40);
    assert_eq!(stepped.frames, ["app/Shop.pay@0 C2"]);
    assert_eq!(stepped.registers, at(NATIVE, STACK + 48, FP));
}

#[test]
fn code_without_a_frame_has_its_return_address_on_top() {
    let (mut world, code) = world(Age::New);
    world.fake.put_half(code.address + 40, 0);
    let stepped = interrupted(&mut world, code.code + ENTRY + 8, 40);
    assert_eq!(stepped.registers, at(NATIVE, STACK + 48, FP));
}

#[test]
fn what_makes_a_frame_is_looked_for_behind_the_entry() {
    let (mut world, code) = world(Age::New);
    world.fake.put_bytes(code.code + ENTRY, &[0x90; 32]);
    world.fake.put_half(code.address + 36, 0x100);
    // The check of the class before the entry; and what is too far back.
    for offset in [ENTRY - 8, ENTRY + 0x20] {
        world.fake.put_bytes(code.code + offset, &[0x48, 0x83, 0xec, 0x20]);
    }
    let stepped = interrupted(&mut world, code.code + ENTRY + 0x18, 40);
    assert_eq!(stepped.registers, at(NATIVE, STACK + 48, FP));
    let stepped = interrupted(&mut world, code.code + ENTRY + 0x61, 40);
    assert_eq!(stepped.registers, at(NATIVE, STACK + 48, FP));
    let stepped = interrupted(&mut world, code.code + ENTRY + 0x60, 0);
    assert_eq!(stepped.registers, at(NATIVE, STACK + 48, FP), "just near enough");
}

#[test]
fn while_a_frame_is_left_the_caller_is_where_the_instructions_have_left_it() {
    let whole = at(NATIVE, STACK + 48, SAVED);
    let popped = at(NATIVE, STACK + 48, FP);
    let (mut world, code) = world(Age::New);
    let steps =
        [(0, 0, whole), (4, 32, whole), (5, 40, popped), (12, 40, popped), (18, 40, popped)];
    for (offset, left, caller) in steps {
        let stepped = interrupted(&mut world, code.code + EPILOGUE + offset, left);
        assert_eq!((stepped.result, stepped.registers), (Ok(()), caller), "at {offset}");
    }
    // As 11 checks for a safepoint, far and near; and as 17.
    let polls = [
        &[0x5d, 0x4d, 0x8b, 0x97, 8, 1, 0, 0, 0x41, 0x85, 0x02, 0xc3][..],
        &[0x5d, 0x41, 0x85, 0x02, 0xc3],
        &[0x5d, 0x85, 0x05, 1, 2, 3, 4, 0xc3],
        &[0x5d, 0x49, 0x3b, 0x67, 0x28, 0x0f, 0x87, 1, 2, 3, 4, 0xc3],
    ];
    for bytes in polls {
        world.fake.put_bytes(code.code + 0x200, bytes);
        let stepped = interrupted(&mut world, code.code + 0x201, 40);
        assert_eq!((stepped.result, stepped.registers), (Ok(()), popped), "{bytes:x?}");
        world.fake.put_bytes(code.code + 0x200, &[0x90; 16]);
    }
    // The same where nothing was popped is a check in a loop.
    world.fake.put_bytes(code.code + 0x201, &polls[3][1..5]);
    let stepped = interrupted(&mut world, code.code + 0x201, 0);
    assert_eq!((stepped.result, stepped.registers), (Ok(()), whole));
}

#[test]
fn code_that_was_found_to_be_wrong_is_where_its_frame_says() {
    for age in AGES {
        let (mut world, code) = world(age);
        world.frame(STACK, 6, SAVED, NATIVE);
        world.fake.put(STACK + ORIGINAL, code.code + 0x60);
        let stepped = world.step(at(code.code + HANDLER, STACK, FP), false);
        assert_eq!(stepped.frames, ["app/Shop.pay@40 C2"], "{age:?}");
        assert_eq!(stepped.registers, at(NATIVE, STACK + 48, SAVED));
        // An address that cannot be it.
        for wrong in [0, NATIVE, code.code - 8, u64::MAX] {
            world.fake.put(STACK + ORIGINAL, wrong);
            let stepped = world.step(at(code.code + HANDLER, STACK, FP), false);
            assert_eq!(stepped.frames, ["app/Shop.pay@? C2"], "{wrong:#x}");
        }
    }
}

#[test]
fn a_frame_that_leads_nowhere_is_handed_out_and_ends_the_walk() {
    let (mut world, code) = world(Age::New);
    let pc = code.code + 0x60;
    world.frame(STACK, 6, SAVED, 0x77);
    let stepped = world.step(at(pc, STACK, FP), false);
    assert_eq!((stepped.frames.len(), stepped.result), (1, Err(End::Corrupt)));
    let stepped = world.step(at(pc, 0x6666_0000, FP), false);
    assert_eq!((stepped.frames.len(), stepped.result), (1, Err(End::Memory)));
    for size in [0, 1] {
        world.fake.put_half(code.address + 40, size);
        world.frame(STACK, 6, SAVED, NATIVE);
        let stepped = world.step(at(pc, STACK, FP), false);
        assert_eq!(stepped.result, Err(End::Corrupt), "no frame has {size} words");
    }
}

/// Where the methods of a blob are described.
fn scopes(world: &mut World, code: NewBlob) -> u64 {
    let fixed = world.fake.word(code.address + 160).unwrap();
    fixed + u64::from(world.fake.half(code.address + 116).unwrap())
}

#[test]
fn what_describes_the_methods_may_be_wrong() {
    let (mut world, code) = world(Age::New);
    let pc = code.code + 0x40;
    let scope = scopes(&mut world, code) + 1;
    // A caller that is not described before what was put into it.
    for caller in [1, 2, 150] {
        world.fake.put_bytes(scope, &[caller + 1]);
        assert_eq!(step(&mut world, pc, false).frames, ["app/Shop.sum@0 Inlined"]);
    }
    // A byte that no number begins with; a metadata number that is none; another thing's.
    for bytes in [[0, 2], [1, 1], [1, 100]] {
        world.fake.put_bytes(scope, &bytes);
        assert_eq!(step(&mut world, pc, false).frames, ["app/Shop.pay@? C2"], "{bytes:?}");
    }
    let mutable = world.fake.word(code.address + 48).unwrap();
    world.fake.put_bytes(scope, &[1, 2]);
    world.fake.put(mutable + 24, STACK);
    let stepped = step(&mut world, pc, false);
    assert_eq!((stepped.frames, stepped.lost), (std::vec![String::from("lost")], 1));
    // Tables that end before they begin, or never, or are not there.
    for (offset, half) in [(124, 0), (124, u32::MAX), (120, u32::MAX)] {
        let before = world.fake.half(code.address + offset).unwrap();
        world.fake.put_half(code.address + offset, half);
        let stepped = step(&mut world, pc, false);
        assert_eq!(stepped.frames, ["app/Shop.pay@? C2"], "{offset} {half}");
        assert!(stepped.loads < 300, "{}", stepped.loads);
        world.fake.put_half(code.address + offset, before);
    }
    world.fake.forget(code.address + 160);
    assert_eq!(step(&mut world, pc, false).frames, ["app/Shop.pay@? C2"]);
    world.fake.forget(code.address + 96);
    assert_eq!(step(&mut world, pc, false).frames, ["lost"]);
}

#[test]
fn no_more_methods_are_put_into_one_another_than_256() {
    let mut world = World::new(Age::New);
    let method = world.method("A", "b");
    let deep: Vec<_> = (0..300).map(|place| (method, place)).collect();
    let code = world.compiled(method, 4, &[(0x40, &deep)]);
    let frames = step(&mut world, code.code + 0x40, false).frames;
    assert_eq!(frames.len(), 256);
    assert_eq!((frames[0].as_str(), frames[255].as_str()), ("A.b@0 Inlined", "A.b@255 Inlined"));
}

#[test]
fn the_instruction_before_the_first_is_no_place() {
    // -1: where a synchronized method takes its lock.
    let (mut world, code) = world(Age::New);
    let scope = scopes(&mut world, code) + 1;
    world.fake.put_bytes(scope + 2, &[1]);
    assert_eq!(step(&mut world, code.code + 0x40, false).frames, ["app/Shop.sum@? C2"]);
}

#[test]
fn compressed_numbers_are_read_as_hotspot_writes_them() {
    // The bytes of some, by hand.
    let known: [(u8, u32, &[u8]); 8] = [
        (0, 0, &[0]),
        (0, 191, &[191]),
        (0, 192, &[192, 0]),
        (0, 255, &[255, 0]),
        (1, 0, &[1]),
        (1, 190, &[191]),
        (1, 191, &[192, 1]),
        (1, 254, &[255, 1]),
    ];
    for (excluded, number, bytes) in known {
        assert_eq!(unsigned5(number, excluded), bytes);
    }
    for excluded in [0, 1] {
        let layout = Layout { unsigned5_excluded: excluded.into(), ..Layout::default() };
        let cache = CodeCache::default();
        let numbers = (0..70_000).chain((0..32).flat_map(|bit| {
            let power = 1u32 << bit;
            [power.wrapping_sub(1), power, !power]
        }));
        for number in numbers {
            let mut memory = Words::default();
            let bytes = unsigned5(number, excluded);
            memory.put_bytes(STACK + 5, &bytes);
            let mut at = STACK + 5;
            let mut code = Code { memory, layout: &layout, cache: &cache };
            assert_eq!(code.unsigned5(&mut at), Some(number));
            assert_eq!(at, STACK + 5 + bytes.len() as u64);
        }
    }
}

//! Frames of the interpreter on a hand-made stack.

use super::fake::{Age, INTERPRETER};
use super::fake_world::{NATIVE, STACK, World, at};
use super::step::Interrupted;
use crate::arch::Registers;
use crate::sample::End;

/// In the interpreter.
const INSIDE: u64 = INTERPRETER + 0x40;

/// Where a frame has its frame pointer.
const FP: u64 = STACK + 0x100;

/// The caller of all frames here.
const CALLER: Registers = Registers { pc: NATIVE, sp: FP + 0x30, fp: FP + 0x90, lr: None };

/// A world with a method and its frame, of which instruction 7 runs by the frame.
fn world() -> (World, u64) {
    let mut world = World::new(Age::New);
    let method = world.method("app/Shop", "pay");
    world.interpreted(FP, method, 7, CALLER);
    world.fake.put(STACK, 0x77);
    (world, method)
}

#[test]
fn the_leaf_runs_the_instruction_in_its_register() {
    let (mut world, method) = world();
    world.registers.r13 = world.bytecode(method) + 9;
    let stepped = world.step(at(INSIDE, FP - 0x60, FP), true);
    assert_eq!(stepped.frames, ["app/Shop.pay@9 Interpreter"]);
    assert_eq!((stepped.result, stepped.registers, stepped.lost), (Ok(()), CALLER, 0));
}

#[test]
fn a_caller_runs_the_instruction_in_its_frame_whatever_the_register_holds() {
    let (mut world, method) = world();
    world.registers.r13 = world.bytecode(method) + 9;
    let stepped = world.step(at(INSIDE, FP - 0x60, FP), false);
    assert_eq!(stepped.frames, ["app/Shop.pay@7 Interpreter"]);
    assert_eq!((stepped.result, stepped.registers), (Ok(()), CALLER));
}

#[test]
fn an_instruction_is_one_only_inside_the_bytecode() {
    let (mut world, method) = world();
    let bytecode = world.bytecode(method);
    let place = |world: &mut World, r13, in_frame| {
        world.registers.r13 = r13;
        world.fake.put(FP - 64, in_frame);
        world.step(at(INSIDE, FP - 0x60, FP), true).frames.remove(0)
    };
    assert_eq!(place(&mut world, bytecode - 1, bytecode), "app/Shop.pay@0 Interpreter");
    assert_eq!(place(&mut world, bytecode + 200, bytecode + 199), "app/Shop.pay@199 Interpreter");
    assert_eq!(place(&mut world, 0, bytecode + 200), "app/Shop.pay@? Interpreter");
}

#[test]
fn a_frame_that_begins_is_that_of_the_method_in_its_register() {
    let (mut world, method) = world();
    // Its arguments lie between the return address and where the caller's stack pointer was.
    world.registers = Interrupted { r13: STACK + 0x28, rbx: method, rax: 0 };
    let caller = world.called(super::fake::CODE + 0x5000);
    world.fake.put(STACK, caller);
    let stepped = world.step(at(INSIDE, STACK, 0x1234_5678), true);
    assert_eq!(stepped.frames, ["app/Shop.pay@0 Interpreter"]);
    assert_eq!(stepped.registers, at(caller, STACK + 0x28, 0x1234_5678));
    // The frame pointer is that of a frame above, which is returned from elsewhere.
    let fp = STACK + 0x100;
    world.fake.put(fp + 8, caller + 0x100);
    world.fake.put(fp - 24, 0);
    let stepped = world.step(at(INSIDE, STACK, fp), true);
    assert_eq!(stepped.registers, at(caller, STACK + 0x28, fp));
    // The return address was taken from the stack, and is put back behind the variables.
    world.fake.put(STACK, 0);
    world.registers.rax = caller;
    let stepped = world.step(at(INSIDE, STACK, 0x1234_5678), true);
    assert_eq!(stepped.frames, ["app/Shop.pay@0 Interpreter"]);
    assert_eq!(stepped.registers, at(caller, STACK + 0x28, 0x1234_5678));
}

#[test]
fn a_frame_that_is_half_made_is_left_by_its_frame_pointer() {
    let (mut world, method) = world();
    let fp = STACK + 0x18;
    let caller = world.called(super::fake::CODE + 0x5000);
    world.registers = Interrupted { r13: fp + 0x20, rbx: method, rax: 0 };
    world.fake.put(fp, 0x5678);
    world.fake.put(fp + 8, caller);
    let stepped = world.step(at(INSIDE, STACK, fp), true);
    assert_eq!(stepped.frames, ["app/Shop.pay@0 Interpreter"]);
    assert_eq!(stepped.registers, at(caller, fp + 0x20, 0x5678));
    // A caller's stack pointer that cannot be it is not used.
    for wrong in [fp + 0x21, fp - 8, fp + (1 << 21), 0, u64::MAX] {
        world.registers.r13 = wrong;
        let stepped = world.step(at(INSIDE, STACK, fp), true);
        assert_eq!(stepped.registers, at(caller, fp + 16, 0x5678), "{wrong:#x}");
    }
}

#[test]
fn a_frame_that_ended_is_left_to_the_address_in_its_register() {
    let (mut world, _) = world();
    let caller = world.called(super::fake::CODE + 0x5000);
    // What it returns may look like an address, too.
    world.registers = Interrupted { r13: caller, rbx: STACK + 0x40, rax: caller + 0x100 };
    let stepped = world.step(at(INSIDE, STACK, 0x5678), true);
    assert_eq!(stepped.frames.len(), 0, "which method it was is not known any more");
    assert_eq!(stepped.registers, at(caller, STACK + 0x40, 0x5678));
    // Or it was put back on the stack.
    world.fake.put(STACK, caller);
    world.registers.r13 = 0;
    let stepped = world.step(at(INSIDE, STACK, 0x5678), true);
    assert_eq!(stepped.registers, at(caller, STACK + 0x40, 0x5678));
}

#[test]
fn where_nothing_tells_the_caller_there_is_no_frame() {
    let (mut world, _) = world();
    for registers in [Interrupted::default(), Interrupted { r13: NATIVE, rbx: FP, rax: NATIVE }] {
        world.registers = registers;
        let stepped = world.step(at(INSIDE, STACK, 0x5678), true);
        assert_eq!((stepped.frames.len(), stepped.result), (0, Err(End::Corrupt)));
    }
    let stepped = world.step(at(INSIDE, 0x6666_0000, 0x5678), true);
    assert_eq!((stepped.frames.len(), stepped.result), (0, Err(End::Memory)));
}

#[test]
fn a_frame_pointer_that_cannot_be_one_is_not_followed() {
    let (mut world, method) = world();
    world.interpreted(FP + (1 << 21), method, 7, CALLER);
    for (sp, fp) in [(FP + 8, FP), (FP - 0x38, FP), (FP - 0x60, FP + 4), (FP, FP + (1 << 21))] {
        let stepped = world.step(at(INSIDE, sp, fp), false);
        assert_eq!((stepped.frames.len(), stepped.result), (0, Err(End::Corrupt)), "{sp:#x}");
    }
    // A value that is no method.
    world.fake.put(FP - 24, method + 8);
    let stepped = world.step(at(INSIDE, FP - 0x60, FP), false);
    assert_eq!((stepped.frames.len(), stepped.result), (0, Err(End::Corrupt)));
}

#[test]
fn frames_that_are_being_made_of_compiled_ones_are_not_read() {
    let (mut world, method) = world();
    world.registers.r13 = world.bytecode(method) + 9;
    world.fake.put(world.thread + 304, 0x9000);
    for interrupted in [true, false] {
        let stepped = world.step(at(INSIDE, FP - 0x60, FP), interrupted);
        assert_eq!((stepped.frames.len(), stepped.result), (0, Err(End::Corrupt)));
    }
    world.fake.forget(world.thread + 304);
    let stepped = world.step(at(INSIDE, FP - 0x60, FP), false);
    assert_eq!((stepped.frames.len(), stepped.result), (0, Err(End::Corrupt)), "nobody knows");
    // Of a thread that is not known nobody can.
    world.thread = 0;
    let stepped = world.step(at(INSIDE, FP - 0x60, FP), false);
    assert_eq!(stepped.frames, ["app/Shop.pay@7 Interpreter"]);
}

#[test]
fn a_method_that_cannot_be_copied_is_a_lost_frame_and_counts() {
    let (mut world, method) = world();
    // Its signature.
    let pool = world.bytecode(method) - 48;
    let pool = crate::memory::MemoryReader::word(&mut world.fake, pool + 8).unwrap();
    world.fake.forget(pool + 72 + 16);
    let stepped = world.step(at(INSIDE, FP - 0x60, FP), false);
    assert_eq!((stepped.frames, stepped.lost), (std::vec!["lost".into()], 1));
    assert_eq!((stepped.result, stepped.registers), (Ok(()), CALLER), "the walk goes on");
}

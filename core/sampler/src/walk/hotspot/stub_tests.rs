//! Stubs, adapters and parts of the runtime on a hand-made stack.

use super::fake::Age;
use super::fake_world::{NATIVE, STACK, World, at};
use crate::sample::End;
use std::format;

const FP: u64 = 0x1357_9bd8;

/// A world with compiled code that has called, at this address.
fn world() -> (World, u64) {
    let mut world = World::new(Age::New);
    let method = world.method("app/Shop", "pay");
    let code = world.compiled(method, 4, &[(0x40, &[(method, 1)])]);
    let caller = world.called(code.code + 0x40);
    // What looks like code, but follows no call.
    (0..64).for_each(|word| world.fake.put(STACK + word * 8, code.code + 0x80));
    (world, caller)
}

#[test]
fn a_stub_with_a_size_is_left_by_it_and_is_no_frame_of_java() {
    let (mut world, caller) = world();
    let stub = world.blob(0, "RuntimeStub - _new_instance_Java", 4);
    world.frame(STACK, 4, 0x5678, caller);
    let stepped = world.step(at(stub.code + 0x40, STACK, FP), false);
    assert_eq!((stepped.frames.len(), stepped.result), (0, Ok(())));
    assert_eq!(stepped.registers, at(caller, STACK + 32, 0x5678));
    // Where it was interrupted it is one by its address.
    let stepped = world.step(at(stub.code + 0x40, STACK, FP), true);
    assert_eq!(stepped.frames, [format!("{:#x}", stub.code + 0x40)]);
    assert_eq!(stepped.registers, at(caller, STACK + 32, 0x5678));
}

#[test]
fn a_stub_with_a_frame_pointer_is_left_by_it() {
    let (mut world, caller) = world();
    let stub = world.blob(0, "StubRoutines (2)", 0);
    let (pc, fp) = (stub.code + 0x160, STACK + 0x80);
    world.fake.put_bytes(stub.code + 0x40, &[0x55, 0x48, 0x8b, 0xec]);
    world.fake.put(fp, 0x5678);
    world.fake.put(fp + 8, caller);
    // What is left of an earlier call.
    world.fake.put(STACK + 24, caller);
    for interrupted in [false, true] {
        let stepped = world.step(at(pc, STACK, fp), interrupted);
        assert_eq!((stepped.frames.len(), stepped.result), (usize::from(interrupted), Ok(())));
        assert_eq!(stepped.registers, at(caller, fp + 16, 0x5678));
    }
    // It is another stub's, which ended.
    world.fake.put_bytes(stub.code + 0x100, &[0xc3, 0x90]);
    let stepped = world.step(at(pc, STACK, fp), false);
    assert_eq!(stepped.registers, at(caller, STACK + 32, fp));
    // A frame pointer of the caller, of which the stub knows nothing.
    world.fake.put_bytes(stub.code + 0x100, &[0x90, 0x90]);
    for wrong in [STACK - 8, fp + 4, STACK + (1 << 21)] {
        let stepped = world.step(at(pc, STACK, wrong), false);
        assert_eq!(stepped.registers, at(caller, STACK + 32, wrong), "{wrong:#x}");
    }
}

#[test]
fn a_stub_without_a_frame_returns_by_the_top_of_the_stack() {
    let (mut world, caller) = world();
    let stub = world.blob(0, "StubRoutines (1)", 0);
    let pc = stub.code + 0x40;
    world.fake.put(STACK, caller);
    let stepped = world.step(at(pc, STACK, FP), true);
    assert_eq!(stepped.frames, [format!("{pc:#x}")]);
    assert_eq!(stepped.registers, at(caller, STACK + 8, FP));
    // `push rbp` was its first instruction.
    world.fake.put(STACK, 0x5678);
    world.fake.put(STACK + 8, caller);
    let stepped = world.step(at(pc, STACK, FP), true);
    assert_eq!(stepped.registers, at(caller, STACK + 16, 0x5678));
}

#[test]
fn the_caller_of_a_stub_is_the_first_address_behind_a_call() {
    let (mut world, caller) = world();
    let stub = world.blob(0, "I2C/C2I adapters", 0);
    world.fake.put(STACK + 31 * 8, caller);
    let stepped = world.step(at(stub.code + 0x40, STACK, FP), false);
    assert_eq!((stepped.frames.len(), stepped.result), (0, Ok(())));
    assert_eq!(stepped.registers, at(caller, STACK + 32 * 8, FP));
    world.fake.put(STACK + 31 * 8, NATIVE);
    world.fake.put(STACK + 32 * 8, caller);
    let stepped = world.step(at(stub.code + 0x40, STACK, FP), false);
    assert_eq!(stepped.result, Err(End::Corrupt), "it is looked for among 32 words");
    assert!(stepped.loads < 32 * 20, "{}", stepped.loads);
    world.fake.forget(STACK + 16);
    let stepped = world.step(at(stub.code + 0x40, STACK, FP), true);
    assert_eq!(stepped.result, Err(End::Memory));
}

#[test]
fn the_beginning_of_a_stub_is_not_looked_for_without_end() {
    let (mut world, caller) = world();
    let stub = world.blob_of(0, "StubRoutines (2)", 0, 0x4000);
    for word in 0..0x800 {
        // Nothing but `push rbp`, without what follows it.
        world.fake.put(stub.code + word * 8, 0x5555_5555_5555_5555);
    }
    world.fake.put(STACK, caller);
    let stepped = world.step(at(stub.code + 0x3000, STACK, STACK + 0x80), false);
    assert_eq!(stepped.registers, at(caller, STACK + 8, STACK + 0x80));
    assert!(stepped.loads < 2048 * 4 + 64, "{}", stepped.loads);
}

#[test]
fn code_in_no_blob_is_unknown() {
    let (mut world, _) = world();
    let stepped = world.step(at(super::fake::HEAPS[1] + 0x8_0000, STACK, FP), true);
    assert_eq!((stepped.frames.len(), stepped.result), (0, Err(End::UnknownCode)));
    let fetching = world.blob(0, "StubRoutines (continuation stubs)", 0);
    let stepped = world.step(at(fetching.code + 0x40, STACK, FP), false);
    assert_eq!(stepped.result, Err(End::UnknownCode), "of virtual threads nothing is known");
}

//! Whole walks over hand-made stacks: from Java into native code, and back.

use super::fake::{Age, CALL_STUB_RETURN, CODE};
use super::fake_world::{NATIVE, NewBlob, STACK, World, at};
use super::step::Running;
use crate::sample::End;
use crate::walk::runtime::{Recovered, Runtime};
use std::format;

const FP: u64 = 0x1357_9bd8;

/// A world with code of a method that has called.
fn world() -> (World, NewBlob) {
    let mut world = World::new(Age::New);
    let method = world.method("app/Shop", "pay");
    let code = world.compiled(method, 4, &[(0x40, &[(method, 1)]), (0x60, &[(method, 2)])]);
    world.called(code.code + 0x40);
    (world, code)
}

#[test]
fn a_call_stub_is_left_to_its_native_caller_without_a_frame() {
    let (mut world, _) = world();
    world.fake.put(STACK + 0x80, 0x5678);
    world.fake.put(STACK + 0x88, NATIVE);
    let stepped = world.step(at(CALL_STUB_RETURN, STACK, STACK + 0x80), false);
    assert_eq!((stepped.frames.len(), stepped.result), (0, Ok(())));
    assert_eq!(stepped.registers, at(NATIVE, STACK + 0x90, 0x5678));
    let stepped = world.step(at(CALL_STUB_RETURN, STACK, 0x6666_0000), false);
    assert_eq!(stepped.result, Err(End::Memory));
}

#[test]
fn a_call_stub_that_was_interrupted_is_a_frame() {
    let (mut world, code) = world();
    // One that has the address to which Java returns.
    let stub = world.blob_of(0, "StubRoutines (1)", 0, 0x2_0000);
    assert!((stub.code..stub.code + 0x1_f000).contains(&CALL_STUB_RETURN));
    world.fake.put(STACK, code.code + 0x40);
    world.fake.put(STACK + 8, 0);
    let stepped = world.step(at(CALL_STUB_RETURN, STACK, STACK + 0x80), true);
    assert_eq!(stepped.frames, [format!("{CALL_STUB_RETURN:#x}")]);
    assert_eq!(stepped.registers, at(code.code + 0x40, STACK + 8, STACK + 0x80));
}

#[test]
fn a_walk_goes_through_all_kinds_of_frames_to_the_native_caller() {
    let (mut world, code) = world();
    let method = world.method("app/Shop", "main");
    let stub = world.blob(0, "StubRoutines (1)", 0);
    world.fake.put(STACK, code.code + 0x40);
    // Compiled code, called by the interpreter, called by the call stub.
    world.frame(STACK + 8, 6, STACK + 0x100, super::fake::INTERPRETER + 0x40);
    let base = at(CALL_STUB_RETURN, STACK + 0x110, STACK + 0x200);
    world.interpreted(STACK + 0x100, method, 5, base);
    world.fake.put(STACK + 0x200, 0);
    world.fake.put(STACK + 0x208, NATIVE);
    let stepped = world.walk(at(stub.code + 0x40, STACK, FP), 100);
    let (stub, native) = (format!("{:#x}", stub.code + 0x40), format!("{NATIVE:#x}"));
    let wanted =
        [stub.as_str(), "app/Shop.pay@1 C2", "app/Shop.main@5 Interpreter", native.as_str()];
    assert_eq!(stepped.frames, wanted);
    assert_eq!(stepped.result, Err(End::UnknownCode));
    let stepped = world.walk(at(code.code + 0x50, STACK + 8, FP), 2);
    assert_eq!((stepped.frames.len(), stepped.result), (2, Err(End::Depth)));
}

/// Says where the thread left Java.
fn leave_java(world: &mut World, anchor: [u64; 3]) {
    let at = world.thread + 200;
    (0..).zip(anchor).for_each(|(index, word)| world.fake.put(at + index * 8, word));
}

#[test]
fn where_native_code_cannot_be_walked_the_walk_goes_on_where_java_was_left() {
    let (mut world, code) = world();
    let left = STACK + 0x100;
    world.frame(left, 6, 0, NATIVE + 0x1000);
    leave_java(&mut world, [left, code.code + 0x40, FP]);
    let native = [NATIVE, NATIVE + 0x1000].map(|pc| format!("{pc:#x}"));
    let wanted = [native[0].as_str(), "app/Shop.pay@1 C2", native[1].as_str()];
    let stepped = world.walk(at(NATIVE, STACK, FP), 100);
    assert_eq!(
        (&stepped.frames[..], stepped.result),
        (&wanted.map(Into::into)[..], Err(End::UnknownCode))
    );
    // The address may be on the stack only.
    leave_java(&mut world, [left, 0, FP]);
    world.fake.put(left - 8, code.code + 0x40);
    assert_eq!(world.walk(at(NATIVE, STACK, FP), 100).frames, wanted);
}

#[test]
fn a_walk_does_not_go_on_where_java_was_not_left() {
    let (mut world, code) = world();
    let left = STACK + 0x100;
    world.frame(left, 6, 0, NATIVE);
    let pc = code.code + 0x40;
    // Java runs; it is left below; not from code of Java; nowhere.
    for anchor in [[0, pc, 0], [STACK, pc, 0], [left, NATIVE, 0], [0x6666_0000, 0, 0]] {
        leave_java(&mut world, anchor);
        assert_eq!(world.walk(at(NATIVE, STACK, FP), 100).frames.len(), 1, "{anchor:x?}");
    }
    leave_java(&mut world, [left, pc, 0]);
    world.thread = 0;
    assert_eq!(world.walk(at(NATIVE, STACK, FP), 100).frames.len(), 1);
}

#[test]
fn a_walk_goes_on_where_java_was_left_once() {
    let (mut world, code) = world();
    leave_java(&mut world, [STACK + 0x100, code.code + 0x40, FP]);
    let mut memory = (*world.fake).clone();
    let mut running = Running::new(&world.facts, &world.known, world.thread, (*world.fake).clone());
    let mut registers = at(NATIVE, STACK, 0);
    assert_eq!(running.recover(&mut registers, &mut memory), Recovered::Elsewhere);
    assert_eq!(registers, at(code.code + 0x40, STACK + 0x100, FP));
    let mut registers = at(NATIVE, STACK, 0);
    assert_eq!(running.recover(&mut registers, &mut memory), Recovered::Nowhere);
    assert_eq!(registers, at(NATIVE, STACK, 0));
}

#[test]
fn a_walk_goes_on_where_java_was_left_before_native_code_called_it() {
    let (mut world, code) = world();
    let (fp, wrapper) = (STACK + 0x80, STACK + 0x400);
    let outer = STACK + 0x200;
    // What calls Java returns to code of which nothing is known.
    world.fake.put(fp, 0);
    world.fake.put(fp + 8, NATIVE);
    world.fake.put(fp - 48, wrapper);
    (0..).zip([outer, code.code + 0x40, FP]).for_each(|(index, word)| {
        world.fake.put(wrapper + 32 + index * 8, word);
    });
    world.frame(STACK, 6, fp, CALL_STUB_RETURN);
    world.frame(outer, 6, FP, NATIVE);
    let pay = "app/Shop.pay@2 C2";
    let walked = world.walk(at(code.code + 0x40, STACK, fp), 100);
    let native = format!("{NATIVE:#x}");
    assert_eq!(walked.frames, [pay, &native, "app/Shop.pay@1 C2", &native]);
    assert_eq!(walked.result, Err(End::UnknownCode), "Java was left there, but by whom?");
    // Nothing was left before: this is the thread's first call.
    world.fake.put(wrapper + 32, 0);
    let walked = world.walk(at(code.code + 0x40, STACK, fp), 100);
    assert_eq!(
        (&walked.frames[..], walked.result),
        (&[pay.to_owned(), native][..], Err(End::Root))
    );
}

#[test]
fn a_step_that_leads_down_does_not_lead_to_frames_a_second_time() {
    let (mut world, code) = world();
    let method = world.method("app/Shop", "main");
    // Compiled code, called by the interpreter, whose frame leads below both.
    let sp = STACK + 0x100;
    world.frame(sp, 6, STACK + 0x200, super::fake::INTERPRETER + 0x40);
    world.interpreted(STACK + 0x200, method, 5, at(code.code + 0x40, STACK, FP));
    leave_java(&mut world, [sp, code.code + 0x40, FP]);
    let stepped = world.walk(at(code.code + 0x3f, sp, FP), 100);
    assert_eq!(stepped.frames, ["app/Shop.pay@1 C2", "app/Shop.main@5 Interpreter"]);
    assert_eq!(stepped.result, Err(End::Corrupt));
}

#[test]
fn an_address_that_would_be_a_frame_of_another_kind_is_none() {
    let (mut world, code) = world();
    for wrong in [1 << 56, 3 << 56, u64::MAX, 4095] {
        world.frame(STACK, 6, 0, wrong);
        let stepped = world.walk(at(code.code + 0x40, STACK, FP), 100);
        assert_eq!(stepped.frames, ["app/Shop.pay@2 C2"], "{wrong:#x}");
        assert_eq!(stepped.result, Err(End::Corrupt));
    }
}

#[test]
fn a_stack_of_call_stubs_alone_ends_at_the_limit() {
    let (mut world, _) = world();
    for record in 0..2000 {
        let fp = STACK + record * 16;
        world.fake.put(fp, fp + 16);
        world.fake.put(fp + 8, CALL_STUB_RETURN);
    }
    let stub = world.blob(0, "RuntimeStub - f", 2);
    let stepped = world.walk(at(stub.code + 0x40, STACK, STACK + 16), 64);
    assert_eq!((stepped.frames.len(), stepped.result), (1, Err(End::Depth)));
    assert!(stepped.loads < 64 * 8, "{} loads", stepped.loads);
}

#[test]
fn code_next_to_that_of_hotspot_is_not_its() {
    let (mut world, _) = world();
    let stepped = world.walk(at(CODE - 1, STACK, FP), 100);
    assert_eq!((stepped.frames.len(), stepped.result), (1, Err(End::UnknownCode)));
}

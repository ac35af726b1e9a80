//! Threads that have their states where one C library or the other puts them.

use super::fake::{Fake, interpreter};
use super::outside::{Outside, OutsideSymbols};
use super::thread_slot::ThreadSlot;

const RUNTIME: u64 = 0x50_0000;
const INTERPRETER: u64 = 0x51_0000;
const THREADS: [(u64, u64); 2] = [(0x60_0000, 0x70_0000), (0x61_0000, 0x71_0000)];
const THREAD_ID: u64 = 176;

/// Two threads, each a state and a thread pointer, whose states lie at `slot`.
fn two(base: Option<u32>, slot: u32) -> (Outside, Fake) {
    let mut memory = Fake::new();
    memory.put(RUNTIME + 32, INTERPRETER);
    memory.put(INTERPRETER, 0);
    memory.put(INTERPRETER + 8, THREADS[0].0);
    for (index, (state, pointer)) in THREADS.into_iter().enumerate() {
        let (before, after) = if index == 0 { (0, THREADS[1].0) } else { (THREADS[0].0, 0) };
        memory.put(state, before);
        memory.put(state + 8, after);
        memory.put(state + 16, INTERPRETER);
        memory.put(state + THREAD_ID, pointer);
        memory.put(pointer, pointer);
        let values = pointer + 0x8000;
        if let Some(base) = base {
            memory.put(pointer + u64::from(base), values);
        }
        let from = if base.is_some() { values } else { pointer };
        memory.put(from + u64::from(slot), state);
    }
    let symbols = OutsideSymbols {
        minor: 10,
        runtime: RUNTIME,
        code_type: super::fake::CODE_TYPE,
        bytes_type: super::fake::BYTES_TYPE,
        evaluation: 1,
    };
    let outside = Outside::find(&symbols, &mut memory).unwrap();
    assert_eq!(outside.layout(), interpreter(10).layout);
    (outside, memory)
}

#[test]
fn the_place_of_a_threads_state_is_found_in_either_c_library() {
    for (what, base, slot) in [
        ("glibc, the first key", None, 0x318),
        ("glibc, key 31", None, 0x318 + 31 * 16),
        ("glibc, key 70", Some(0x520), 6 * 16 + 8),
        ("musl, key 3", Some(0x80), 24),
    ] {
        let (outside, mut memory) = two(base, slot);
        let found = outside.thread_slot(&mut memory).unwrap();
        assert_eq!(found, ThreadSlot { base, slot, thread_id: 176 }, "{what}");
        for (state, pointer) in THREADS {
            assert_eq!(found.state(&mut memory, pointer), Some(state), "{what}");
        }
        assert_eq!(found.state(&mut memory, 0x99_0000), None);
    }
}

#[test]
fn a_state_that_is_another_threads_is_not_believed() {
    let (outside, mut memory) = two(None, 0x318);
    let found = outside.thread_slot(&mut memory).unwrap();
    let [(state, pointer), (_, other)] = THREADS;
    memory.put(other + 0x318, state);
    assert_eq!(found.state(&mut memory, other), None);
    memory.put(pointer + 0x318, 0);
    assert_eq!(found.state(&mut memory, pointer), None);
}

#[test]
fn where_no_thread_has_its_state_nothing_is_found() {
    let (outside, mut memory) = two(None, 0x318);
    for (_, pointer) in THREADS {
        memory.put(pointer + 0x318, 0);
    }
    assert_eq!(outside.thread_slot(&mut memory), None);
}

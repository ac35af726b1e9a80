//! The interner over tables in a test's own memory.

use super::interner::{Interned, Interner, Key};
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::vec::Vec;

/// Two tables that are all zero.
pub(crate) struct Tables(*mut Interned);

const LAYOUT: Layout = match Layout::array::<Interned>(Interner::TABLES) {
    Ok(layout) => layout,
    Err(_) => panic!("too large"),
};

impl Tables {
    pub(crate) fn new() -> Self {
        // SAFETY: the layout is not empty.
        Self(unsafe { alloc_zeroed(LAYOUT) }.cast())
    }

    pub(crate) fn start(&self) -> *const Interned {
        self.0
    }
}

impl Drop for Tables {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.0.cast(), LAYOUT) };
    }
}

/// A key as code objects have: of an address, and of a number without a pattern.
fn key(address: u64) -> Key {
    let x = address.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    Key { address: address << 4, fingerprint: x ^ x >> 31 }
}

fn add(interner: &Interner, name: u64) -> Option<u32> {
    interner.add(key(name), 11, |room| {
        room.put(name, 8);
        room.put(0x0a0b_0c0d, 3);
        room.put(1, 8);
        true
    })
}

fn turn(interner: &Interner) {
    let (start, len) = interner.other();
    // SAFETY: the table that is not current, which nobody else uses.
    unsafe { start.write_bytes(0, len) };
    interner.turn();
}

fn copy(name: u64) -> Vec<u8> {
    [&name.to_ne_bytes()[..], &0x0a0b_0c0du64.to_ne_bytes()[..3]].concat()
}

#[test]
fn a_thing_keeps_its_number_and_its_copy_until_the_second_turn() {
    let tables = Tables::new();
    let interner = Interner::new(tables.start());
    assert_eq!(interner.find(key(7)), None);
    let number = add(&interner, 7).unwrap();
    assert_eq!(interner.find(key(7)), Some(number));
    assert_eq!(interner.find(Key { fingerprint: 1, ..key(7) }), None);
    assert_eq!(interner.copy(number), Some(copy(7).as_slice()));
    turn(&interner);
    assert_eq!(interner.find(key(7)), None, "the new table is empty");
    assert_eq!(interner.copy(number), Some(copy(7).as_slice()));
    let again = add(&interner, 7).unwrap();
    assert_ne!(again, number);
    turn(&interner);
    assert_eq!(interner.copy(number), None);
    assert_eq!(interner.copy(again), Some(copy(7).as_slice()));
}

#[test]
fn numbers_differ_over_many_turns() {
    let tables = Tables::new();
    let interner = Interner::new(tables.start());
    let mut numbers = Vec::new();
    for _ in 0..2048 {
        numbers.push(add(&interner, 1).unwrap());
        numbers.iter().rev().take(2).for_each(|last| assert!(interner.copy(*last).is_some()));
        // What one thing takes is all that has to be emptied: not the room, which is most of it.
        let (start, len) = interner.other();
        // SAFETY: the table that is not current, up to its room.
        unsafe { start.write_bytes(0, len - (16 << 20)) };
        interner.turn();
    }
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 2048);
    assert!(numbers.iter().all(|number| *number < crate::walk::python::PythonFrame::MAX_CODES));
}

#[test]
fn a_thing_whose_copy_fails_has_no_number() {
    let tables = Tables::new();
    let interner = Interner::new(tables.start());
    assert_eq!(interner.add(key(3), 8, |_| false), None);
    assert_eq!(interner.find(key(3)), None);
    assert!(add(&interner, 3).is_some());
}

#[test]
fn a_full_table_takes_nothing_in_and_asks_for_a_turn_long_before() {
    let tables = Tables::new();
    let interner = Interner::new(tables.start());
    let mut asked = 0;
    let mut taken = 0u64;
    while add(&interner, taken + 1).is_some() {
        taken += 1;
        asked += u64::from(interner.is_half_full());
    }
    assert_eq!(taken, 32_768);
    assert_eq!(asked, 16_384);
    assert_eq!(interner.filling().things, taken);
    let known = (1..=taken).filter(|name| interner.find(key(*name)).is_some()).count();
    assert_eq!(known as u64, taken);
    turn(&interner);
    assert!(!interner.is_half_full());
    assert_eq!(interner.add(key(1), 17 << 20, |_| true), None, "larger than all the room");
    assert!(interner.add(key(1), 15 << 20, |_| true).is_some());
    assert!(interner.is_half_full());
}

#[test]
fn threads_that_meet_a_thing_at_once_all_get_a_number_for_it() {
    let tables = Tables::new();
    let interner = Interner::new(tables.start());
    let start = std::sync::Barrier::new(4);
    struct Shared(Interner);
    // SAFETY: all that threads change through it are atomics, and room that one of them reserved.
    unsafe impl Sync for Shared {}
    let shared = Shared(interner);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let (shared, start) = (&shared, &start);
            scope.spawn(move || {
                start.wait();
                for name in 1..5_000 {
                    let known = shared.0.find(key(name));
                    let number = known.or_else(|| add(&shared.0, name)).unwrap();
                    assert_eq!(shared.0.copy(number), Some(copy(name).as_slice()));
                }
            });
        }
    });
    // Rarely one has two, and never more than there are threads.
    assert!((4_999..10_000).contains(&shared.0.filling().things));
}

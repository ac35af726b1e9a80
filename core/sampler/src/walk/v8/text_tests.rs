//! Strings of every shape, and the labels that are kept in a map.

use super::fake::{CONS, EXTERNAL, Fake, JS_MAP, SLICED, SYMBOL, THIN, layout, pointer, small};
use super::heap::Heap;
use super::isolate::{Facts, Isolate};
use super::labels;
use crate::labels::Labels;
use crate::memory::MemoryReader;
use std::string::String;
use std::vec::Vec;

fn read(fake: &Fake, string: u64) -> Option<String> {
    let layout = layout();
    let mut heap = fake.heap(&layout);
    let text = heap.text(string)?;
    let mut units = Vec::new();
    for run in text.runs {
        for index in 0..u64::from(run.count) {
            let at = run.start + index * u64::from(run.width);
            let bytes = heap.memory.bytes_from(at)?;
            units.push(if run.width == 1 { u16::from(bytes as u8) } else { bytes as u16 });
        }
    }
    Some(String::from_utf16(&units).unwrap())
}

#[test]
fn a_string_is_read_whatever_it_is_kept_as() {
    let mut fake = Fake::new();
    let plain = fake.string("plain naïve");
    assert_eq!(read(&fake, plain).as_deref(), Some("plain naïve"));
    let wide = fake.string("Жук 😀");
    assert_eq!(read(&fake, wide).as_deref(), Some("Жук 😀"));
    let both = fake.shaped(CONS, 17, pointer(plain), pointer(wide));
    assert_eq!(read(&fake, both).as_deref(), Some("plain naïveЖук 😀"));
    let empty = fake.string("");
    let flat = fake.shaped(CONS, 11, pointer(plain), pointer(empty));
    let part = fake.shaped(SLICED, 5, pointer(flat), small(6));
    assert_eq!(read(&fake, part).as_deref(), Some("naïve"));
    let same = fake.shaped(THIN, 5, pointer(part), 0);
    assert_eq!(read(&fake, same).as_deref(), Some("naïve"));
    fake.put_bytes(0x7000, b"outside");
    let outside = fake.shaped(EXTERNAL, 7, 0, 0x7000);
    assert_eq!(read(&fake, outside).as_deref(), Some("outside"));
}

#[test]
fn what_is_no_string_or_has_no_end_is_none() {
    let mut fake = Fake::new();
    let symbol = fake.shaped(SYMBOL, 3, 0, 0);
    let circle = fake.shaped(THIN, 3, 0, 0);
    fake.put(circle + 16, pointer(circle));
    let plain = fake.string("plain");
    let beyond = fake.shaped(SLICED, 4, pointer(plain), small(3));
    let nowhere = fake.shaped(EXTERNAL, 4, 0, 0);
    for string in [0, 0x9990, symbol, circle, beyond, nowhere] {
        assert_eq!(read(&fake, string), None, "{string:#x}");
    }
}

const SLOT: u64 = 0x50_0000;
const KEY: u64 = 0x50_0100;

/// The labels where the map of stores has these entries of key and value.
fn labels_with(fake: &mut Fake, entries: &[(u64, u64)], deleted: i32) -> Option<Labels> {
    let mut table = Vec::from([small(16)]);
    table.extend([small(entries.len() as i32 - deleted), small(deleted), small(4)]);
    table.extend([small(-1); 4]);
    for (key, value) in entries {
        table.extend([*key, *value, small(-1)]);
    }
    let table = fake.object(super::fake::ARRAY, &table);
    let map = fake.object(JS_MAP, &[0, 0, pointer(table)]);
    fake.put(SLOT + 16, pointer(map));
    look(fake)
}

fn look(fake: &Fake) -> Option<Labels> {
    let layout = layout();
    let mut heap: Heap<'_, Fake> = fake.heap(&layout);
    // SAFETY: all zero is a valid isolate.
    let isolate: std::boxed::Box<Isolate> = unsafe { std::boxed::Box::new_zeroed().assume_init() };
    isolate.describe(1, &Facts { isolate: SLOT, ..Facts::default() });
    isolate.continuation.set(16, KEY);
    labels::labels(&mut heap, &isolate)
}

#[test]
fn the_store_of_our_storage_is_found_among_others() {
    let mut fake = Fake::new();
    let (ours, other) = (fake.object(FUNCTION_LIKE, &[]), fake.object(FUNCTION_LIKE, &[]));
    fake.put(KEY, pointer(ours));
    let set = |set| Some(Labels { set, ..Labels::NONE });
    let entries = [(pointer(other), small(5)), (pointer(ours), small(7))];
    assert_eq!(labels_with(&mut fake, &entries, 0), set(7));
    assert_eq!(labels_with(&mut fake, &entries, 1), set(7), "with a deleted one before");
    assert_eq!(labels_with(&mut fake, &entries[..1], 0), set(0), "not there");
    let mut store = Vec::from(*b"SDG1");
    store.extend(9u32.to_le_bytes());
    store.extend(0x1234u64.to_le_bytes());
    store.extend(1u64.to_le_bytes());
    store.extend(2u64.to_le_bytes());
    let text: String = store.iter().map(|byte| char::from(*byte)).collect();
    let store = fake.string(&text);
    let span = Labels { set: 9, span: 0x1234, trace: 1 << 64 | 2 };
    assert_eq!(labels_with(&mut fake, &[(pointer(ours), pointer(store))], 0), Some(span));
}

const FUNCTION_LIKE: u16 = super::fake::FUNCTION;

#[test]
fn without_a_map_or_with_a_broken_one_there_are_no_labels() {
    let mut fake = Fake::new();
    let ours = fake.object(FUNCTION_LIKE, &[]);
    fake.put(KEY, pointer(ours));
    fake.put(SLOT + 16, small(0));
    assert_eq!(look(&fake), Some(Labels::NONE), "undefined");
    let entries = [(pointer(ours), pointer(ours))];
    assert_eq!(labels_with(&mut fake, &entries, 0), Some(Labels::NONE), "another's store");
    let table = fake.object(super::fake::ARRAY, &[small(9), small(1 << 20), small(0), small(4)]);
    let map = fake.object(JS_MAP, &[0, 0, pointer(table)]);
    fake.put(SLOT + 16, pointer(map));
    assert_eq!(look(&fake), Some(Labels::NONE), "more entries than room");
    fake.forget(KEY);
    assert_eq!(look(&fake), None, "the key is gone");
}

//! Copies of hand-made code objects.

use super::code::{key, parts};
use super::definition::{CodeDefinition, LineTable, Text};
use super::fake::{Fake, interpreter};
use super::interpreter::Interpreter;
use crate::interner::{Interner, Key};
use crate::interner_tests::Tables;
use std::vec::Vec;

fn copied(python: &Interpreter, memory: &mut Fake, code: u64) -> Option<Vec<u8>> {
    let tables = Tables::new();
    let interner = Interner::new(tables.start());
    let key = key(python, memory, code)?;
    let parts = parts(python, memory, code)?;
    let number = interner.add(key, parts.shape.bytes(), |room| parts.copy(memory, room))?;
    interner.copy(number).map(<[u8]>::to_vec)
}

#[test]
fn a_code_object_of_every_version_is_copied_whole() {
    let formats = [(9, LineTable::Lnotab), (10, LineTable::Ranges), (12, LineTable::Locations)];
    for (minor, format) in formats {
        let (python, mut memory) = (interpreter(minor), Fake::new());
        let code = memory.code(&python.layout, "Order.größe_中", -7);
        let copy = copied(&python, &mut memory, code).unwrap();
        let definition = CodeDefinition::parse(&copy).unwrap();
        assert_eq!((definition.first_line, definition.format), (-7, format));
        assert_eq!(definition.line_table, [249; 300]);
        let name: Vec<u8> = "Order.größe_中".encode_utf16().flat_map(u16::to_ne_bytes).collect();
        assert_eq!(definition.name, Text { char_bytes: 2, bytes: &name });
        let file: Vec<u8> = "/srv/größe.py".chars().map(|character| character as u8).collect();
        assert_eq!(definition.file, Text { char_bytes: 1, bytes: &file });
    }
    let (python, mut memory) = (interpreter(14), Fake::new());
    let code = memory.code(&python.layout, "𝔘", 1);
    let copy = copied(&python, &mut memory, code).unwrap();
    let name = CodeDefinition::parse(&copy).unwrap().name;
    assert_eq!(name, Text { char_bytes: 4, bytes: &u32::from('𝔘').to_ne_bytes() });
}

#[test]
fn a_text_that_lies_elsewhere_or_makes_no_sense_is_copied_as_none() {
    let (python, mut memory) = (interpreter(12), Fake::new());
    let code = memory.code(&python.layout, "f", 1);
    let offsets = python.layout.offsets;
    let name = memory.object(80, super::fake::TEXT_TYPE);
    memory.put(name + 16, u64::MAX);
    memory.put(code + u64::from(offsets.code_name), name);
    for state in [0u32, 1 << 2, 3 << 2 | 1 << 5, 7 << 2] {
        memory.put_bytes(name + u64::from(offsets.text_state), &state.to_le_bytes());
        let copy = copied(&python, &mut memory, code).unwrap();
        assert_eq!(CodeDefinition::parse(&copy).unwrap().name, Text::default());
    }
    // A length that cannot be: the copy ends at the limit, or where memory does.
    memory.put_bytes(name + u64::from(offsets.text_state), &(1u32 << 2 | 3 << 5).to_le_bytes());
    assert_eq!(copied(&python, &mut memory, code), None);
}

#[test]
fn a_code_object_in_the_place_of_another_has_another_key() {
    let (python, mut memory) = (interpreter(13), Fake::new());
    let offsets = python.layout.offsets;
    let code = memory.code(&python.layout, "f", 1);
    let mut keys = Vec::<Key>::new();
    let mut new = |memory: &mut Fake| {
        let key = key(&python, memory, code).unwrap();
        assert!(!keys.contains(&key));
        keys.push(key);
    };
    new(&mut memory);
    memory.put_bytes(code + u64::from(offsets.code_first_line), &2u32.to_le_bytes());
    new(&mut memory);
    for offset in [offsets.code_name, offsets.code_file] {
        let text = memory.text(&python.layout, "f");
        memory.put(code + u64::from(offset), text);
        new(&mut memory);
    }
    let table = memory.bytes(&[1; 20]);
    memory.put(code + u64::from(offsets.code_line_table), table);
    new(&mut memory);
    memory.put(table + 16, 21);
    new(&mut memory);
    memory.put_bytes(table + 32, &[2]);
    new(&mut memory);
    memory.forget(table + 16);
    assert_eq!(key(&python, &mut memory, code), None);
}

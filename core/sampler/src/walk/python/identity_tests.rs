//! What tells code objects apart that have had the same place, and reading them from outside.

use super::definition::CodeDefinition;
use super::fake::{CODE_TYPE, Fake, THREAD, interpreter};
use super::frames::Frames;
use super::identity::CodeIdentity;
use super::outside::Outside;
use super::word::PythonFrame;
use crate::memory::MemoryReader;
use std::vec::Vec;

/// Gives code objects numbers in the order in which they are met.
#[derive(Default)]
struct Met(Vec<u64>, Vec<PythonFrame>);

impl<M: MemoryReader> Frames<M> for Met {
    fn code(&mut self, _: &mut M, _: u64, code: u64) -> Option<u32> {
        self.0.push(code);
        u32::try_from(self.0.len() - 1).ok()
    }

    fn put(&mut self, index: usize, word: u64) {
        self.1.truncate(index);
        self.1.extend(PythonFrame::from_word(word));
    }
}

/// A living code object of version 3.`minor`.
fn one(minor: u8) -> (Outside, Fake, u64) {
    let (python, mut memory) = (interpreter(minor), Fake::new());
    let code = memory.code(&python.layout, "Cart.total", 12);
    memory.put(code, 2);
    (Outside::of(python), memory, code)
}

#[test]
fn a_code_object_is_walked_recognised_and_read_from_outside() {
    for minor in 8..=14 {
        let (python, mut memory, code) = one(minor);
        let layout = interpreter(minor).layout;
        let frame = memory.frame(&layout, code, 3, 0);
        memory.enter(&layout, frame, 0);
        memory.run(&layout, frame, 0);
        let mut met = Met::default();
        let walked = python.frames(&mut memory, (THREAD, &[]), 10, &mut met);
        assert_eq!((walked.frames, walked.lost), (1, false), "3.{minor}");
        assert_eq!(met.0, [code]);
        assert_eq!(met.1, [PythonFrame::Code { code: 0, unit: 3, entry: true }]);
        let identity = python.identity(&mut memory, code).unwrap();
        assert_eq!(python.check(&mut memory, code), Some(identity));
        let mut bytes = Vec::new();
        python.define(&mut memory, code, |piece| bytes.extend_from_slice(piece)).unwrap();
        let read = CodeDefinition::parse(&bytes).unwrap();
        assert_eq!((read.first_line, read.name.bytes), (12, &b"Cart.total"[..]));
        assert_eq!((read.file.char_bytes, read.line_table), (1, &[12u8; 300][..]));
    }
}

#[test]
fn another_object_in_the_same_place_has_another_check() {
    for minor in 8..=14 {
        let (python, mut memory, code) = one(minor);
        let offsets = interpreter(minor).layout.offsets;
        let before = python.identity(&mut memory, code).unwrap();
        let name = memory.word(code + u64::from(offsets.code_name)).unwrap();
        let table = memory.word(code + u64::from(offsets.code_line_table)).unwrap();
        for (what, place, change) in [
            ("the name elsewhere", code + u64::from(offsets.code_name), 0),
            ("the file elsewhere", code + u64::from(offsets.code_file), 0),
            ("another name in the same place", name + u64::from(offsets.text_ascii), 1 << 56),
            ("a shorter name in the same place", name + 16, 1),
            ("another line table in the same place", table + u64::from(offsets.bytes_start), 1),
        ] {
            let value = memory.word(place).unwrap();
            let other = match change {
                0 => memory.text(&interpreter(minor).layout, "other"),
                change => value - change,
            };
            memory.put(place, other);
            let after = python.identity(&mut memory, code);
            assert!(after.is_some_and(|after| after.check != before.check), "3.{minor}: {what}");
            memory.put(place, value);
        }
        assert_eq!(python.identity(&mut memory, code), Some(before));
    }
}

#[test]
fn what_is_freed_or_is_no_code_object_has_no_identity() {
    let gone = |python: &Outside, memory: &mut Fake, code| -> Option<CodeIdentity> {
        python.identity(memory, code)
    };
    let (python, mut memory, code) = one(12);
    for freed in [0, 0x7f12_3456_7890] {
        memory.put(code, freed);
        assert_eq!(gone(&python, &mut memory, code), None);
    }
    memory.put(code, 0xffff_ffff);
    assert!(gone(&python, &mut memory, code).is_some(), "immortal");
    memory.put(code + 8, CODE_TYPE + 16);
    assert_eq!(gone(&python, &mut memory, code), None);
    assert_eq!(gone(&python, &mut memory, 0x666), None);
}

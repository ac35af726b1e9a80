//! Hand-made interpreters: objects at addresses of a memory that is a map.

use super::interpreter::{Interpreter, Symbols};
use super::layout::{Entry, Instruction, Layout, Root};
use crate::walk::fake_memory::{Words, wraps_words};

pub(super) const CODE_TYPE: u64 = 0x10_0000;
pub(super) const BYTES_TYPE: u64 = 0x10_1000;
pub(super) const TEXT_TYPE: u64 = 0x10_2000;
pub(super) const THREAD: u64 = 0x20_0000;

/// The memory, and where the next object goes.
#[derive(Default)]
pub(super) struct Fake {
    words: Words,
    next: u64,
}

wraps_words!(Fake);

impl Fake {
    pub(super) fn new() -> Self {
        Self { words: Words::default(), next: 0x30_0000 }
    }

    /// A zeroed object with a type.
    pub(super) fn object(&mut self, size: u64, kind: u64) -> u64 {
        let address = self.next;
        self.next += (size + 63) & !15;
        (0..size.div_ceil(8)).for_each(|index| self.put(address + index * 8, 0));
        self.put(address + 8, kind);
        address
    }

    pub(super) fn bytes(&mut self, content: &[u8]) -> u64 {
        let bytes = self.object(33 + content.len() as u64, BYTES_TYPE);
        self.put(bytes + 16, content.len() as u64);
        self.put_bytes(bytes + 32, content);
        bytes
    }

    /// A compact text, as the interpreter would store it.
    pub(super) fn text(&mut self, layout: &Layout, text: &str) -> u64 {
        let widest = text.chars().map(u32::from).max().unwrap_or(0);
        let width = if widest > 0xffff {
            4
        } else if widest > 0xff {
            2
        } else {
            1
        };
        let ascii = widest < 0x80;
        let start = if ascii { layout.offsets.text_ascii } else { layout.offsets.text_compact };
        let count = text.chars().count() as u64;
        let object = self.object(u64::from(start) + (count + 1) * width, TEXT_TYPE);
        self.put(object + 16, count);
        let state = (width as u32 | 8 | if ascii { 16 } else { 0 }) << layout.text_kind_shift;
        self.put_bytes(object + u64::from(layout.offsets.text_state), &state.to_le_bytes());
        for (index, character) in (0u64..).zip(text.chars()) {
            let bytes = &u32::from(character).to_le_bytes()[..width as usize];
            self.put_bytes(object + u64::from(start) + index * width, bytes);
        }
        object
    }

    pub(super) fn code(&mut self, layout: &Layout, name: &str, line: i32) -> u64 {
        let offsets = layout.offsets;
        let code = self.object(320, CODE_TYPE);
        let name = self.text(layout, name);
        let file = self.text(layout, "/srv/größe.py");
        let table = self.bytes(&[line as u8; 300]);
        self.put_bytes(code + u64::from(offsets.code_first_line), &line.to_le_bytes());
        self.put(code + u64::from(offsets.code_name), name);
        self.put(code + u64::from(offsets.code_file), file);
        self.put(code + u64::from(offsets.code_line_table), table);
        code
    }

    /// A frame at instruction `unit` of `code`, called by `caller`.
    pub(super) fn frame(&mut self, layout: &Layout, code: u64, unit: i32, caller: u64) -> u64 {
        let offsets = layout.offsets;
        let frame = self.object(160, 0);
        let tag = if layout.tag_bits > 0 { 1 } else { 0 };
        self.put(frame + u64::from(offsets.frame_code), code | tag);
        self.put(frame + u64::from(offsets.frame_previous), caller);
        let at = frame + u64::from(offsets.frame_instruction);
        match layout.instruction {
            Instruction::Bytes => self.put_bytes(at, &(unit * 2).to_le_bytes()),
            Instruction::Units => self.put_bytes(at, &unit.to_le_bytes()),
            Instruction::Pointer => {
                let start = code + u64::from(offsets.code_start);
                self.put(at, start.wrapping_add_signed(i64::from(unit) * 2));
            }
        }
        frame
    }

    /// Says that the evaluation function was entered for `frame`, whose caller is `caller`.
    pub(super) fn enter(&mut self, layout: &Layout, frame: u64, caller: u64) {
        let offsets = layout.offsets;
        match layout.entry {
            Entry::Always => {}
            Entry::Flag => self.put_bytes(frame + u64::from(offsets.frame_entry), &[1]),
            Entry::Below(_) => {
                let shim = self.object(160, 0);
                self.put(shim + u64::from(offsets.frame_previous), caller);
                self.put_bytes(shim + u64::from(offsets.frame_owner), &[3]);
                self.put(frame + u64::from(offsets.frame_previous), shim);
            }
        }
    }

    /// A structure on the C stack: frame, and the one before.
    pub(super) fn cframe(&mut self, layout: &Layout, frame: u64, previous: u64) -> u64 {
        let cframe = self.object(32, 0);
        self.put(cframe + u64::from(layout.offsets.cframe_frame), frame);
        self.put(cframe + u64::from(layout.offsets.cframe_previous), previous);
        cframe
    }

    /// Makes `frame` the running one, in a call of the evaluation function before which `before`
    /// ran. Returns the structure on the C stack, if there is one.
    pub(super) fn run(&mut self, layout: &Layout, frame: u64, before: u64) -> u64 {
        let mut top = frame;
        if layout.root == Root::CFrame {
            // The first structure is a part of the thread state.
            let first = THREAD + 320;
            self.put(first + u64::from(layout.offsets.cframe_frame), 0);
            self.put(first + u64::from(layout.offsets.cframe_previous), 0);
            let previous = if before == 0 { first } else { self.cframe(layout, before, first) };
            top = if frame == 0 { first } else { self.cframe(layout, frame, previous) };
        }
        self.put(THREAD + u64::from(layout.offsets.thread_frame), top);
        top
    }
}

/// An interpreter of version 3.`minor` without functions.
pub(super) fn interpreter(minor: u8) -> Interpreter {
    // From 3.13 on the layout is confirmed by a table that a fake has not.
    let symbols = Symbols {
        minor: minor.min(12),
        this_thread_state: 1,
        current_thread_state: 1,
        code_type: CODE_TYPE as usize,
        bytes_type: BYTES_TYPE as usize,
        evaluation: 1,
        runtime: 0,
    };
    // SAFETY: nothing calls the functions.
    let mut interpreter = unsafe { Interpreter::new(&symbols, 0) }.unwrap();
    interpreter.layout = super::layouts(minor)[0];
    interpreter
}

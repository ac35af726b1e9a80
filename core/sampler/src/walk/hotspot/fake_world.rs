//! A hand-made virtual machine with methods, code, a thread and its stack.

use super::definition::Definition;
use super::fake::{Age, Fake, HEAPS, SEGMENT_SHIFT};
use super::layout::Facts;
use super::step::{Interrupted, Running};
use super::word::HotspotFrame;
use crate::arch::Registers;
use crate::interner::Interner;
use crate::interner_tests::Tables;
use crate::memory::MemoryReader;
use crate::rules::Modules;
use crate::sample::End;
use crate::walk::runtime::Runtime;
use crate::walk::{Code, walk_with};
use std::cell::{Cell, RefCell};
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

pub(super) const STACK: u64 = 0x7000_0000;

/// Code that no runtime has made.
pub(super) const NATIVE: u64 = 0x1234_5670;

/// Bytes of bytecode of each method.
pub(super) const BYTECODE: u64 = 200;

/// In compiled code, from where it begins: where callers enter, where its frame stands, where it is
/// left, and where frames return to whose code was found to be wrong.
pub(super) const ENTRY: u64 = 0x10;
pub(super) const COMPLETE: u64 = 0x1c;
pub(super) const EPILOGUE: u64 = 0x300;
pub(super) const HANDLER: u64 = 0x3c0;
pub(super) const CODE_SIZE: u64 = 0x400;

/// Bytes before its code; tables follow that, if they are not apart.
const HEADER: u64 = 0x100;

/// Where in a frame the address is that the handler's stands for.
pub(super) const ORIGINAL: u64 = 8;

/// From `push rbp` on, after a check of the stack's end.
const PROLOGUE: [u8; 12] = [0x89, 0x84, 0x24, 0, 0xc0, 0xfe, 0xff, 0x55, 0x48, 0x83, 0xec, 0x20];

/// `add rsp`, `pop rbp`, the check for a safepoint, `ret`.
const LEAVING: [u8; 19] = [
    0x48, 0x83, 0xc4, 0x20, 0x5d, 0x49, 0x3b, 0xa7, 0x48, 4, 0, 0, 0x0f, 0x87, 0x10, 0, 0, 0, 0xc3,
];

/// What is known of a method.
#[derive(Clone, Copy)]
pub(super) struct Named<'a> {
    pub(super) class: &'a str,
    pub(super) name: &'a str,
    pub(super) signature: &'a str,
    pub(super) file: Option<&'a str>,
    pub(super) lines: Option<&'a [u8]>,
}

/// A blob of code.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewBlob {
    pub(super) address: u64,
    pub(super) code: u64,
}

/// No instruction of bytecode.
pub(super) const NOWHERE: u16 = u16::MAX;

/// The methods that run where an instruction ends, leaf first, each with its bytecode instruction.
pub(super) type Entry<'a> = (u64, &'a [(u64, u16)]);

pub(super) struct World {
    pub(super) fake: Fake,
    pub(super) facts: Facts,
    pub(super) known: Interner,
    _tables: Tables,
    pub(super) thread: u64,
    pub(super) registers: Interrupted,
    next: [u64; 3],
}

/// What came of a step, or of a walk.
#[derive(Debug)]
pub(super) struct Stepped {
    pub(super) frames: Vec<String>,
    pub(super) result: Result<(), End>,
    pub(super) registers: Registers,
    pub(super) lost: u32,
    pub(super) loads: u64,
}

/// A memory that counts.
struct Counted<'m, M> {
    memory: &'m RefCell<&'m mut M>,
    loads: &'m Cell<u64>,
}

impl<M: MemoryReader> MemoryReader for Counted<'_, M> {
    fn word(&mut self, address: u64) -> Option<u64> {
        self.loads.set(self.loads.get() + 1);
        self.memory.borrow_mut().word(address)
    }
}

pub(super) fn at(pc: u64, sp: u64, fp: u64) -> Registers {
    Registers { pc, sp, fp, lr: None }
}

/// A number as HotSpot compresses it.
pub(super) fn unsigned5(mut number: u32, excluded: u8) -> Vec<u8> {
    let most = 192 - u32::from(excluded);
    let mut bytes = Vec::new();
    while number >= most && bytes.len() < 4 {
        number -= most;
        bytes.push(192 + (number % 64) as u8);
        number /= 64;
    }
    bytes.push(number as u8 + excluded);
    bytes
}

impl World {
    pub(super) fn new(age: Age) -> Self {
        let mut fake = Fake::new(age);
        let facts = fake.facts().unwrap();
        let thread = fake.object(512);
        let tables = Tables::new();
        let known = Interner::new(tables.start());
        let registers = Interrupted::default();
        // The interpreter is in the first heap.
        let next = [HEAPS[0] + 0x1_0000, HEAPS[1], HEAPS[2]];
        Self { fake, facts, known, _tables: tables, thread, registers, next }
    }

    fn excluded(&self) -> u8 {
        if self.fake.age == Age::Old { 0 } else { 1 }
    }

    pub(super) fn symbol(&mut self, text: &str) -> u64 {
        let symbol = self.fake.object(text.len() as u64 + 8);
        self.fake.put_short(symbol + 4, text.len() as u16);
        self.fake.put_bytes(symbol + 6, text.as_bytes());
        symbol
    }

    pub(super) fn method(&mut self, class: &str, name: &str) -> u64 {
        let (signature, file, lines) = ("()V", Some("Shop.java"), Some(&[0x10, 0x18, 0][..]));
        self.named(Named { class, name, signature, file, lines })
    }

    pub(super) fn named(&mut self, named: Named<'_>) -> u64 {
        let (method, class) = (self.fake.object(64), self.fake.object(400));
        let pool = self.fake.object(112);
        let lines = named.lines.unwrap_or_default();
        let constant = self.fake.object(48 + BYTECODE + 64 + lines.len() as u64);
        let texts = [Some(named.name), Some(named.signature), named.file];
        for (number, text) in (1..).zip(texts) {
            let symbol = text.map_or(0, |text| self.symbol(text));
            self.fake.put(pool + 72 + number * 8, symbol);
        }
        let class_name = self.symbol(named.class);
        let fake = &mut self.fake;
        fake.put(method + 8, constant);
        fake.put(constant + 8, pool);
        fake.put(pool + 24, class);
        fake.put(class + 24, class_name);
        let file = if named.file.is_some() { 3 } else { 0 };
        let (flags, file_at) = match fake.age {
            Age::Old => (constant + 32, class + 300),
            Age::New => (constant + 28, pool + 34),
        };
        fake.put_short(flags, 0x40 | u16::from(named.lines.is_some()));
        fake.put_short(file_at, file);
        fake.put_short(constant + 36, BYTECODE as u16);
        fake.put_short(constant + 38, 1);
        fake.put_short(constant + 40, 2);
        fake.put_bytes(constant + 48 + BYTECODE, lines);
        method
    }

    /// Where the bytecode of a method begins.
    pub(super) fn bytecode(&mut self, method: u64) -> u64 {
        self.fake.word(method + 8).unwrap() + 48
    }

    /// A block of a code heap.
    pub(super) fn block(&mut self, heap: usize, size: u64) -> u64 {
        let block = self.next[heap];
        let first = (block - HEAPS[heap]) >> SEGMENT_SHIFT;
        let segments = size.div_ceil(1 << SEGMENT_SHIFT);
        self.next[heap] += segments << SEGMENT_SHIFT;
        let map = self.fake.word(self.facts.code.heaps[heap] + 136).unwrap();
        for segment in 0..segments {
            // As `mark_segmap_as_used` counts.
            let back = if segment == 0 { 0 } else { (segment - 1) % 254 + 1 };
            self.fake.put_bytes(map + first + segment, &[back as u8]);
        }
        self.fake.put(block, segments);
        self.fake.put(block + 8, 1);
        block
    }

    /// A blob whose frames have so many words.
    pub(super) fn blob(&mut self, heap: usize, name: &str, frame_words: u32) -> NewBlob {
        self.blob_of(heap, name, frame_words, HEADER + 2 * CODE_SIZE)
    }

    pub(super) fn blob_of(
        &mut self,
        heap: usize,
        name: &str,
        frame_words: u32,
        size: u64,
    ) -> NewBlob {
        let address = self.block(heap, size + 16) + 16;
        let code = address + HEADER;
        let name = self.fake.text(name);
        (0..HEADER / 8).for_each(|word| self.fake.put(address + word * 8, 0));
        (0..CODE_SIZE / 8).for_each(|word| self.fake.put(code + word * 8, 0x9090_9090_9090_9090));
        self.fake.put(address + 8, name);
        self.fake.put_half(address + 40, frame_words);
        match self.fake.age {
            Age::Old => self.fake.put(address + 16, code),
            Age::New => self.fake.put_half(address + 44, HEADER as u32),
        }
        NewBlob { address, code }
    }

    /// Compiled code of a method; its frames have 6 words.
    pub(super) fn compiled(&mut self, method: u64, level: u8, entries: &[Entry<'_>]) -> NewBlob {
        self.compiled_as("nmethod", method, level, entries)
    }

    pub(super) fn compiled_as(
        &mut self,
        name: &str,
        method: u64,
        level: u8,
        entries: &[Entry<'_>],
    ) -> NewBlob {
        let heap = if level == 4 { 2 } else { 1 };
        let blob = self.blob(heap, name, 6);
        self.fake.put_bytes(blob.code + ENTRY, &PROLOGUE);
        self.fake.put_bytes(blob.code + EPILOGUE, &LEAVING);
        let NewBlob { address, code } = blob;
        self.fake.put_half(address + 36, COMPLETE as u32);
        self.fake.put(address + 96, method);
        self.fake.put_half(address + 136, ORIGINAL as u32);
        self.fake.put_bytes(address + 150, &[level]);
        let (pcs, scopes, metadata) = self.describe(entries);
        // Behind them stands something else.
        let pcs_end = pcs.len() as u64;
        let scopes_at = pcs_end + 16;
        let start = match self.fake.age {
            Age::Old => code + CODE_SIZE,
            Age::New => self.fake.object(scopes_at + scopes.len() as u64 + 16),
        };
        self.fake.put_bytes(start, &pcs);
        self.fake.put_bytes(start + scopes_at, &scopes);
        let base = if self.fake.age == Age::Old { start - address } else { 0 };
        self.fake.put_half(address + 120, base as u32);
        self.fake.put_half(address + 124, (base + pcs_end) as u32);
        let metadata_at = match self.fake.age {
            Age::Old => {
                self.fake.put(address + 168, code + ENTRY);
                self.fake.put(address + 176, code + HANDLER);
                self.fake.put(address + 184, start + scopes_at);
                self.fake.put_half(address + 140, (base + 512) as u32);
                start + 512
            }
            Age::New => {
                let mutable = self.fake.object(24 + metadata.len() as u64 * 8);
                self.fake.put(address + 48, mutable);
                self.fake.put_half(address + 56, 24);
                self.fake.put(address + 160, start);
                self.fake.put_half(address + 116, scopes_at as u32);
                self.fake.put_short(address + 128, ENTRY as u16);
                self.fake.put_half(address + 132, (HEADER + HANDLER) as u32);
                mutable + 24
            }
        };
        (0..).zip(metadata).for_each(|(index, it)| self.fake.put(metadata_at + index * 8, it));
        blob
    }

    /// The tables of addresses, of methods, and of metadata.
    fn describe(&self, entries: &[Entry<'_>]) -> (Vec<u8>, Vec<u8>, Vec<u64>) {
        let excluded = self.excluded();
        let (mut pcs, mut scopes, mut metadata) = (Vec::new(), Vec::from([0xff]), Vec::new());
        let mut pc = |offset: i32, scope: u32| {
            [offset as u32, scope, 0, 0].iter().for_each(|it| pcs.extend(it.to_le_bytes()));
        };
        pc(-1, 0);
        for (offset, methods) in entries {
            let mut caller = 0;
            for (method, place) in methods.iter().rev() {
                metadata.push(*method);
                let scope = scopes.len() as u32;
                let numbers = [caller, metadata.len() as u32, u32::from(place.wrapping_add(1))];
                numbers.into_iter().for_each(|it| scopes.extend(unsigned5(it, excluded)));
                caller = scope;
            }
            pc(*offset as i32, caller);
        }
        pc(CODE_SIZE as i32, 0);
        (pcs, scopes, metadata)
    }

    /// Makes an address one that is returned to.
    pub(super) fn called(&mut self, address: u64) -> u64 {
        self.fake.put_bytes(address - 5, &[0xe8]);
        address
    }

    /// A frame of compiled code at `sp`, which returns.
    pub(super) fn frame(&mut self, sp: u64, words: u64, fp: u64, pc: u64) {
        (0..words).for_each(|word| self.fake.put(sp + word * 8, 0x77));
        self.fake.put(sp + words * 8 - 16, fp);
        self.fake.put(sp + words * 8 - 8, pc);
    }

    /// A frame of the interpreter at `fp`, which runs an instruction of a method, and returns.
    pub(super) fn interpreted(&mut self, fp: u64, method: u64, place: u64, caller: Registers) {
        let instruction = self.bytecode(method) + place;
        (1..12).for_each(|word| self.fake.put(fp - word * 8, 0));
        self.fake.put(fp - 24, method);
        self.fake.put(fp - 64, instruction);
        self.fake.put(fp - 8, caller.sp);
        self.fake.put(fp, caller.fp);
        self.fake.put(fp + 8, caller.pc);
    }

    fn run(
        &mut self,
        run: impl FnOnce(RunningFake<'_>, &mut CountedFake<'_>) -> Stepped,
    ) -> Stepped {
        let loads = Cell::new(0);
        let memory = RefCell::new(&mut self.fake);
        let counted = || Counted { memory: &memory, loads: &loads };
        let running = Running::new(&self.facts, &self.known, self.thread, counted());
        let stepped = run(running.interrupted(self.registers), &mut counted());
        Stepped { loads: loads.get(), ..stepped }
    }

    pub(super) fn step(&mut self, registers: Registers, interrupted: bool) -> Stepped {
        self.step_from(registers, interrupted, None)
    }

    /// A step behind frames that a virtual thread leaves its carrier with: see `Running::frozen`.
    pub(super) fn step_from(
        &mut self,
        mut registers: Registers,
        interrupted: bool,
        frozen: Option<(u64, u32)>,
    ) -> Stepped {
        let mut words = Vec::new();
        let stepped = self.run(|mut running, stack| {
            running.frozen = frozen;
            let put = &mut |word| words.push(word);
            let result = running.step(&mut registers, interrupted, stack, put);
            Stepped { frames: Vec::new(), result, registers, lost: running.lost, loads: 0 }
        });
        Stepped { frames: self.names(&words), ..stepped }
    }

    /// A whole walk, from where the thread was interrupted.
    pub(super) fn walk(&mut self, registers: Registers, limit: usize) -> Stepped {
        let (words, stepped) = self.walk_words(registers, limit);
        Stepped { frames: self.names(&words), ..stepped }
    }

    pub(super) fn walk_words(&mut self, registers: Registers, limit: usize) -> (Vec<u64>, Stepped) {
        let mut words = Vec::new();
        let stepped = self.run(|mut running, stack| {
            let code = Code { modules: Modules::new(&[]), runtime: &mut running };
            let emit = |index, word| {
                assert_eq!(index, words.len());
                words.push(word);
            };
            let end = walk_with(code, registers, stack, limit, emit).end;
            let lost = running.lost;
            Stepped { frames: Vec::new(), result: Err(end), registers, lost, loads: 0 }
        });
        (words, stepped)
    }

    fn names(&self, words: &[u64]) -> Vec<String> {
        words.iter().map(|word| self.name(*word)).collect()
    }

    /// A frame as text: `Shop.pay@5 C2`.
    fn name(&self, word: u64) -> String {
        match HotspotFrame::from_word(word) {
            None => format!("{word:#x}"),
            Some(HotspotFrame::Lost) => "lost".into(),
            Some(HotspotFrame::Method { number, place, tier }) => {
                let definition = Definition::parse(self.known.copy(number).unwrap()).unwrap();
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                let place = place.map_or("?".to_string(), |place| place.to_string());
                let (class, method) = (text(definition.class), text(definition.method));
                format!("{class}.{method}@{place} {tier:?}")
            }
        }
    }
}

type CountedFake<'m> = Counted<'m, Fake>;
type RunningFake<'m> = Running<'m, CountedFake<'m>>;

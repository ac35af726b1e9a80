//! Hand-made virtual machines: the tables that libjvm exports, in a memory that is a map.

use super::layout::{Facts, Unsupported};
use crate::walk::fake_memory::{Words, wraps_words};
use std::collections::HashMap;
use std::string::String;
use std::vec::Vec;

pub(super) const CODE: u64 = 0x4000_0000;
pub(super) const CODE_END: u64 = 0x4300_0000;
/// Where the code heaps begin; each is this large.
pub(super) const HEAPS: [u64; 3] = [CODE, CODE + HEAP_SIZE, CODE + 2 * HEAP_SIZE];
pub(super) const HEAP_SIZE: u64 = 0x100_0000;
pub(super) const INTERPRETER: u64 = CODE + 0x1000;
pub(super) const INTERPRETER_SIZE: u64 = 0x8000;
/// In a stub of the first heap.
pub(super) const CALL_STUB_RETURN: u64 = CODE + 0x2_0100;

/// Bytes of a segment, as a power of two.
pub(super) const SEGMENT_SHIFT: u32 = 7;

/// Where a field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// So many bytes from the start of its structure.
    Offset(u64),
    /// A static one, at an address.
    Static(u64),
}

/// Which of the two ways to describe compiled code a virtual machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// As 17: pointers, and tables in the blob of the code.
    Old,
    /// As 25: offsets, and tables apart from it.
    New,
}

/// Fields that all have.
const FIELDS: [(&str, &str, u64); 31] = [
    ("CodeBlob", "_name", 8),
    ("CodeBlob", "_frame_size", 40),
    ("CodeBlob", "_frame_complete_offset", 36),
    ("nmethod", "_comp_level", 150),
    ("nmethod", "_orig_pc_offset", 136),
    ("nmethod", "_scopes_pcs_offset", 120),
    ("Method", "_constMethod", 8),
    ("ConstMethod", "_constants", 8),
    ("ConstMethod", "_code_size", 36),
    ("ConstMethod", "_name_index", 38),
    ("ConstMethod", "_signature_index", 40),
    ("ConstantPool", "_pool_holder", 24),
    ("Klass", "_name", 24),
    ("Symbol", "_length", 4),
    ("Symbol", "_body", 6),
    ("JavaThread", "_anchor", 200),
    ("JavaCallWrapper", "_anchor", 32),
    ("JavaFrameAnchor", "_last_Java_sp", 0),
    ("JavaFrameAnchor", "_last_Java_pc", 8),
    ("JavaFrameAnchor", "_last_Java_fp", 16),
    ("JavaThread", "_vframe_array_head", 304),
    ("OSThread", "_thread_id", 16),
    ("CodeHeap", "_memory", 8),
    ("CodeHeap", "_segmap", 120),
    ("CodeHeap", "_log2_segment_size", 240),
    ("VirtualSpace", "_low", 16),
    ("VirtualSpace", "_high", 24),
    ("HeapBlock::Header", "_used", 8),
    ("GrowableArray<int>", "_data", 8),
    ("StubQueue", "_stub_buffer", 8),
    ("StubQueue", "_buffer_limit", 20),
];

/// Those of 17 only.
const OLD_FIELDS: [(&str, &str, u64); 10] = [
    ("CodeBlob", "_code_begin", 16),
    ("CompiledMethod", "_method", 96),
    ("nmethod", "_verified_entry_point", 168),
    ("CompiledMethod", "_deopt_handler_begin", 176),
    ("CompiledMethod", "_scopes_data_begin", 184),
    ("nmethod", "_metadata_offset", 140),
    ("ConstMethod", "_flags", 32),
    ("InstanceKlass", "_source_file_name_index", 300),
    ("Thread", "_osthread", 320),
    ("GenericGrowableArray", "_len", 0),
];

/// Those of 25 only.
const NEW_FIELDS: [(&str, &str, u64); 12] = [
    ("CodeBlob", "_code_offset", 44),
    ("CodeBlob", "_mutable_data", 48),
    ("CodeBlob", "_relocation_size", 56),
    ("nmethod", "_immutable_data", 160),
    ("nmethod", "_method", 96),
    ("nmethod", "_verified_entry_offset", 128),
    ("nmethod", "_deopt_handler_offset", 132),
    ("nmethod", "_scopes_data_offset", 116),
    ("ConstMethod", "_flags._flags", 28),
    ("ConstantPool", "_source_file_name_index", 34),
    ("JavaThread", "_osthread", 320),
    ("GrowableArrayBase", "_len", 0),
];

const SIZES: [(&str, u64); 3] = [("ConstMethod", 48), ("ConstantPool", 72), ("HeapBlock", 16)];

/// How libjvm says what an entry of its tables looks like.
const SHAPE: [(&str, u64); 9] = [
    ("gHotSpotVMStructEntryArrayStride", 48),
    ("gHotSpotVMStructEntryTypeNameOffset", 0),
    ("gHotSpotVMStructEntryFieldNameOffset", 8),
    ("gHotSpotVMStructEntryIsStaticOffset", 24),
    ("gHotSpotVMStructEntryOffsetOffset", 32),
    ("gHotSpotVMStructEntryAddressOffset", 40),
    ("gHotSpotVMTypeEntryArrayStride", 40),
    ("gHotSpotVMTypeEntryTypeNameOffset", 0),
    ("gHotSpotVMTypeEntrySizeOffset", 32),
];

/// The memory, what the tables are to have, and where the next object goes.
#[derive(Debug)]
pub(super) struct Fake {
    words: Words,
    next: u64,
    pub(super) age: Age,
    pub(super) fields: Vec<(&'static str, &'static str, At)>,
    pub(super) sizes: Vec<(&'static str, u64)>,
    pub(super) symbols: HashMap<&'static str, u64>,
    names: HashMap<String, u64>,
}

wraps_words!(Fake);

impl Fake {
    /// A virtual machine with three code heaps; nothing is in them but the interpreter.
    pub(super) fn new(age: Age) -> Self {
        let of_age = match age {
            Age::Old => &OLD_FIELDS[..],
            Age::New => &NEW_FIELDS[..],
        };
        let fields = FIELDS.iter().chain(of_age);
        let mut fake = Self {
            words: Words::default(),
            next: 0x5000_0000,
            age,
            fields: fields.map(|(of, name, offset)| (*of, *name, At::Offset(*offset))).collect(),
            sizes: SIZES.into(),
            symbols: HashMap::new(),
            names: HashMap::new(),
        };
        for (name, value) in SHAPE {
            let address = fake.object(8);
            fake.put(address, value);
            fake.symbols.insert(name, address);
        }
        fake.add_statics();
        fake
    }

    fn add_statics(&mut self) {
        let version = if self.age == Age::Old { 17 } else { 25 };
        let array = self.object(16);
        let heaps = HEAPS.map(|start| self.code_heap(start));
        let list = self.object(24);
        for (at, heap) in (0..).zip(heaps) {
            self.put(list + at * 8, heap);
        }
        self.put(array, heaps.len() as u64);
        self.put(array + 8, list);
        let queue = self.object(24);
        self.put(queue + 8, INTERPRETER);
        self.put_half(queue + 20, INTERPRETER_SIZE as u32);
        let statics = [
            ("Abstract_VM_Version", "_vm_major_version", version),
            ("CodeCache", "_low_bound", CODE),
            ("CodeCache", "_high_bound", CODE_END),
            ("CodeCache", "_heaps", array),
            ("AbstractInterpreter", "_code", queue),
            ("StubRoutines", "_call_stub_return_address", CALL_STUB_RETURN),
        ];
        for (of, name, value) in statics {
            let address = self.object(8);
            self.put(address, value);
            self.fields.push((of, name, At::Static(address)));
        }
    }

    /// A heap of code in which every segment is free.
    fn code_heap(&mut self, start: u64) -> u64 {
        let heap = self.object(256);
        let segments = (HEAP_SIZE >> SEGMENT_SHIFT).div_ceil(8);
        // Only as much of the map as code is put into.
        let map = self.object(segments * 8);
        for word in 0..segments.min(256) {
            self.put(map + word * 8, u64::MAX);
        }
        self.put(heap + 24, start);
        self.put(heap + 32, start + HEAP_SIZE);
        self.put(heap + 136, map);
        self.put_half(heap + 240, SEGMENT_SHIFT);
        heap
    }

    /// Zeroed memory, as much of it as is small.
    pub(super) fn object(&mut self, size: u64) -> u64 {
        let address = self.next;
        self.next += (size + 31) & !15;
        (0..size.div_ceil(8).min(64)).for_each(|index| self.put(address + index * 8, 0));
        address
    }

    pub(super) fn put_half(&mut self, address: u64, half: u32) {
        self.put_bytes(address, &half.to_le_bytes());
    }

    pub(super) fn put_short(&mut self, address: u64, short: u16) {
        self.put_bytes(address, &short.to_le_bytes());
    }

    /// A C string; each is there once, not aligned, as the linker would have it.
    pub(super) fn text(&mut self, text: &str) -> u64 {
        if let Some(address) = self.names.get(text) {
            return *address;
        }
        let address = self.object(text.len() as u64 + 8) + self.names.len() as u64 % 8;
        self.put_bytes(address, text.as_bytes());
        self.put_bytes(address + text.len() as u64, &[0]);
        self.names.insert(text.into(), address);
        address
    }

    /// The address of a static field.
    pub(super) fn address(&self, of: &str, name: &str) -> u64 {
        let found = self.fields.iter().find(|field| (field.0, field.1) == (of, name));
        let Some((.., At::Static(address))) = found else { panic!("{of}::{name} is not static") };
        *address
    }

    /// Writes the tables.
    pub(super) fn write_tables(&mut self) {
        let fields = self.fields.clone();
        let table = self.next;
        self.next += (fields.len() as u64 + 1) * 48 + 16;
        for (at, (of, name, place)) in (0..).zip(&fields) {
            let entry = table + at * 48;
            let (is_static, offset, address) = match place {
                At::Offset(offset) => (0, *offset, 0),
                At::Static(address) => (1, 0, *address),
            };
            // Beside the flag stands what does not belong to it.
            let flag = 0xcccc_cccc_0000_0000 | is_static;
            let words = [self.text(of), self.text(name), 0, flag, offset, address];
            (0..).zip(words).for_each(|(index, word)| self.put(entry + index * 8, word));
        }
        let end = table + fields.len() as u64 * 48;
        (0..6).for_each(|index| self.put(end + index * 8, 0));
        let sizes = self.sizes.clone();
        let types = self.next;
        self.next += (sizes.len() as u64 + 1) * 40 + 16;
        for (at, (of, size)) in (0..).zip(&sizes) {
            let words = [self.text(of), 0, 0, 0, *size];
            (0..).zip(words).for_each(|(index, word)| self.put(types + at * 40 + index * 8, word));
        }
        let end = types + sizes.len() as u64 * 40;
        (0..5).for_each(|index| self.put(end + index * 8, 0));
        for (name, start) in [("gHotSpotVMStructs", table), ("gHotSpotVMTypes", types)] {
            let address = self.object(8);
            self.put(address, start);
            self.symbols.insert(name, address);
        }
    }

    /// What the tables say.
    pub(super) fn facts(&mut self) -> Result<Facts, Unsupported> {
        self.write_tables();
        let symbols = self.symbols.clone();
        Facts::read(&mut self.words, &|name| symbols.get(name).copied())
    }
}

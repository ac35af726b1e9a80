//! Hand-made heaps of V8: objects at addresses of a memory that is a map.

use super::heap::Heap;
use super::layout::{Layout, Version};
use crate::walk::fake_memory::{Words, wraps_words};
use std::vec::Vec;

pub(super) const SEQUENTIAL_ONE_BYTE: u16 = 8;
pub(super) const SEQUENTIAL_TWO_BYTE: u16 = 0;
pub(super) const CONS: u16 = 1 | 8;
pub(super) const EXTERNAL: u16 = 2 | 8;
pub(super) const SLICED: u16 = 3 | 8;
pub(super) const THIN: u16 = 5 | 8;
pub(super) const SYMBOL: u16 = 128;
pub(super) const FUNCTION: u16 = 2066;
pub(super) const SHARED: u16 = 280;
pub(super) const SCOPE: u16 = 270;
pub(super) const SCRIPT: u16 = 170;
pub(super) const CODE: u16 = 190;
pub(super) const STREAM: u16 = 192;
pub(super) const BYTECODE: u16 = 180;
pub(super) const JS_MAP: u16 = 2112;
pub(super) const ARRAY: u16 = 200;

/// The constants of a V8 13.6, as far as they are asked for.
fn constant(name: &str) -> Option<i32> {
    Some(match name {
        "TaggedSize" => 8,
        "SmiValueShift" => 1,
        "SmiShiftSize" => 31,
        "frametype_IrregexpFrame" => 31,
        "class_Map__instance_type__uint16_t" => 12,
        "class_JSFunction__shared__SharedFunctionInfo" => 32,
        "class_SharedFunctionInfo__script__Tagged_HeapObject_" => 40,
        "class_SharedFunctionInfo__name_or_scope_info__Tagged_NameOrScopeInfoT_" => 24,
        "class_Script__name__Object" => 16,
        "class_Script__source__Object" => 8,
        "class_Script__line_ends__Object" => 56,
        "scopeinfo_idx_ncontextlocals" => 2,
        "scopeinfo_idx_first_vars" => 5,
        "class_Code__instruction_start__Address" => 40,
        "class_Code__instruction_size__int" => 56,
        "class_Code__flags__uint32_t" => 52,
        "class_InstructionStream__instruction_start__uintptr_t" => 32,
        "CodeKindFieldMask" => 15,
        "CodeKindBaseline" => 10,
        "class_BytecodeArray__data__uintptr_t" => 64,
        "DeoptimizationDataInlinedFunctionCountIndex" => 1,
        "DeoptimizationDataLiteralArrayIndex" => 2,
        "DeoptimizationDataInliningPositionsIndex" => 5,
        "DeoptimizationDataSharedFunctionInfoIndex" => 4,
        "FirstNonstringType" => i32::from(SYMBOL),
        "class_String__length__int32_t" => 12,
        "StringRepresentationMask" => 7,
        "SeqStringTag" => 0,
        "ConsStringTag" => 1,
        "ExternalStringTag" => 2,
        "SlicedStringTag" => 3,
        "ThinStringTag" => 5,
        "StringEncodingMask" | "OneByteStringTag" => 8,
        "class_FixedArrayBase__length__SMI" => 8,
        "type_JSFunction__JS_FUNCTION_TYPE" | "FirstJSFunctionType" => i32::from(FUNCTION),
        "LastJSFunctionType" => i32::from(FUNCTION) + 16,
        "type_SharedFunctionInfo__SHARED_FUNCTION_INFO_TYPE" => i32::from(SHARED),
        "type_ScopeInfo__SCOPE_INFO_TYPE" => i32::from(SCOPE),
        "type_Script__SCRIPT_TYPE" => i32::from(SCRIPT),
        "type_Code__CODE_TYPE" => i32::from(CODE),
        "type_InstructionStream__INSTRUCTION_STREAM_TYPE" => i32::from(STREAM),
        "type_BytecodeArray__BYTECODE_ARRAY_TYPE" => i32::from(BYTECODE),
        "type_JSMap__JS_MAP_TYPE" => i32::from(JS_MAP),
        _ => return None,
    })
}

pub(super) fn layout() -> Layout {
    Layout::new(Version(13, 6, 233), &constant).unwrap()
}

/// The memory, and where the next object goes.
#[derive(Clone, Debug)]
pub(super) struct Fake {
    words: Words,
    next: u64,
}

wraps_words!(Fake);

/// A small integer as V8 writes it.
pub(super) fn small(number: i32) -> u64 {
    u64::from(number as u32) << 32
}

/// A pointer as V8 writes it.
pub(super) fn pointer(object: u64) -> u64 {
    object | 1
}

impl Fake {
    pub(super) fn new() -> Self {
        Self { words: Words::default(), next: 0x30_0000 }
    }

    /// The map of a type: one for each, all in one page.
    pub(super) fn map(&mut self, kind: u16) -> u64 {
        let map = 0x10_0000 + u64::from(kind) * 16;
        self.put(map + 8, u64::from(kind) << 32);
        map
    }

    /// An object of that type with these words after its map.
    pub(super) fn object(&mut self, kind: u16, words: &[u64]) -> u64 {
        let object = self.next;
        self.next += (words.len() as u64 * 8 + 8 + 31) & !15;
        let map = self.map(kind);
        self.put(object, pointer(map));
        for (index, word) in (1..).zip(words) {
            self.put(object + index * 8, *word);
        }
        object
    }

    /// A string of some shape, of which `count` characters are told.
    pub(super) fn shaped(&mut self, kind: u16, count: usize, first: u64, second: u64) -> u64 {
        self.object(kind, &[(count as u64) << 32, first, second])
    }

    pub(super) fn string(&mut self, text: &str) -> u64 {
        let (kind, bytes) = if text.chars().all(|it| u32::from(it) < 256) {
            (SEQUENTIAL_ONE_BYTE, text.chars().map(|it| it as u8).collect())
        } else {
            let units: Vec<_> = text.encode_utf16().flat_map(u16::to_ne_bytes).collect();
            (SEQUENTIAL_TWO_BYTE, units)
        };
        let words: Vec<u64> = (0..bytes.len().div_ceil(8)).map(|_| 0).collect();
        let count = text.encode_utf16().count() as u64;
        let string = self.object(kind, &[&[count << 32], words.as_slice()].concat());
        self.put_bytes(string + 16, &bytes);
        string
    }

    /// An array of bytes.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> u64 {
        let words: Vec<u64> = (0..bytes.len().div_ceil(8)).map(|_| 0).collect();
        let length = small(bytes.len() as i32);
        let array = self.object(ARRAY, &[&[length], words.as_slice()].concat());
        self.put_bytes(array + 16, bytes);
        array
    }

    /// A script with a source of one line.
    pub(super) fn script(&mut self, id: i32, name: &str) -> u64 {
        let name = self.string(name);
        let source = self.string("let a = 1;");
        let mut words = [0; 8];
        words[0] = pointer(source);
        words[1] = pointer(name);
        words[7] = small(id);
        self.object(SCRIPT, &words)
    }

    /// The description of a function's scope with one variable.
    pub(super) fn scope(&mut self, name: &str, range: (i32, i32)) -> u64 {
        let (variable, name) = (self.string("kept"), self.string(name));
        let words = [
            small(0),
            small(0),
            small(1),
            small(range.0),
            small(range.1),
            pointer(variable),
            small(7),
            pointer(name),
            small(0),
        ];
        self.object(SCOPE, &words)
    }

    /// What closures of a function share.
    pub(super) fn shared(&mut self, script: u64, scope: u64) -> u64 {
        self.object(SHARED, &[0, 0, pointer(scope), 0, pointer(script)])
    }

    pub(super) fn function(&mut self, shared: u64) -> u64 {
        self.object(FUNCTION, &[0, 0, 0, pointer(shared)])
    }

    /// Bytecode of so many bytes, with its table of positions.
    pub(super) fn bytecode(&mut self, length: i32, positions: &[u8]) -> u64 {
        let positions = self.bytes(positions);
        let words = [small(length), 0, pointer(positions), 0, 0, 0, 0, 0, 0, 0];
        self.object(BYTECODE, &words)
    }

    pub(super) fn heap<'l>(&self, layout: &'l Layout) -> Heap<'l, Self> {
        Heap { memory: self.clone(), layout, moving: false }
    }
}

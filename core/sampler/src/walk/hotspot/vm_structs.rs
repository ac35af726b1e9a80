//! The tables that libjvm exports for debuggers (`vmStructs.cpp`): types and fields by their names.

use super::layout::Unsupported;
use crate::memory::MemoryReader;
use core::cell::RefCell;

/// Entries of one table that are looked at; HotSpot 11 has some 1,000.
const MAX_ENTRIES: u64 = 8192;

/// The tables, in memory.
pub(super) struct VmStructs<'m, M> {
    memory: RefCell<&'m mut M>,
    fields: Table<5>,
    types: Table<2>,
}

/// One table: entries of one size, up to one without a name.
struct Table<const N: usize> {
    start: u64,
    stride: u64,
    /// Where in an entry its values are; the first is a name.
    columns: [u64; N],
}

/// Where in an entry of the table of fields these are: names of the type, of the field, and of its
/// type, its offset, and its address if it is a static one.
const FIELD_COLUMNS: [&str; 5] = [
    "gHotSpotVMStructEntryTypeNameOffset",
    "gHotSpotVMStructEntryFieldNameOffset",
    "gHotSpotVMStructEntryIsStaticOffset",
    "gHotSpotVMStructEntryOffsetOffset",
    "gHotSpotVMStructEntryAddressOffset",
];

/// The same in the table of types: the name, and the size in bytes.
const TYPE_COLUMNS: [&str; 2] =
    ["gHotSpotVMTypeEntryTypeNameOffset", "gHotSpotVMTypeEntrySizeOffset"];

impl<const N: usize> Table<N> {
    fn read<M: MemoryReader>(
        memory: &mut M,
        symbol: &dyn Fn(&str) -> Option<u64>,
        [table, stride]: [&str; 2],
        columns: [&str; N],
    ) -> Option<Self> {
        let mut value = |name| memory.word(symbol(name)?);
        let (start, stride) = (value(table)?, value(stride)?);
        let mut offsets = [0; N];
        for (offset, name) in offsets.iter_mut().zip(columns) {
            *offset = value(name)?;
        }
        let inside = offsets.iter().all(|offset| *offset < stride);
        (inside && stride <= 4096).then_some(Self { start, stride, columns: offsets })
    }

    /// The values of the entry whose names these are.
    fn find<M: MemoryReader>(&self, memory: &mut M, names: &[&str]) -> Option<[u64; N]> {
        // Entries of one type stand together, and have the very same text.
        let mut refused = 0;
        for index in 0..MAX_ENTRIES {
            let entry = self.start.wrapping_add(index.wrapping_mul(self.stride));
            let mut columns = self.columns.iter();
            let first = memory.word(entry.wrapping_add(*columns.next()?))?;
            if first == 0 {
                return None;
            }
            if first == refused || !is_text(memory, first, names.first()?) {
                refused = first;
                continue;
            }
            let mut values = [first; N];
            for (value, column) in values.iter_mut().skip(1).zip(columns) {
                *value = memory.word(entry.wrapping_add(*column))?;
            }
            if values.iter().zip(names).skip(1).all(|(at, name)| is_text(memory, *at, name)) {
                return Some(values);
            }
        }
        None
    }
}

/// Whether a C string is this one.
fn is_text<M: MemoryReader>(memory: &mut M, start: u64, text: &str) -> bool {
    let mut bytes = text.bytes().chain([0]).zip(0..);
    start != 0 && bytes.all(|(byte, at)| memory.byte(start.wrapping_add(at)) == Some(byte))
}

impl<'m, M: MemoryReader> VmStructs<'m, M> {
    /// The tables, if the virtual machine has them.
    pub(super) fn read(memory: &'m mut M, symbol: &dyn Fn(&str) -> Option<u64>) -> Option<Self> {
        let fields = ["gHotSpotVMStructs", "gHotSpotVMStructEntryArrayStride"];
        let fields = Table::read(memory, symbol, fields, FIELD_COLUMNS)?;
        let types = ["gHotSpotVMTypes", "gHotSpotVMTypeEntryArrayStride"];
        let types = Table::read(memory, symbol, types, TYPE_COLUMNS)?;
        Some(Self { memory: RefCell::new(memory), fields, types })
    }

    /// The offset of a field in its structure.
    pub(super) fn offset(&self, of: &'static str, name: &'static str) -> Result<u16, Unsupported> {
        let found = self.fields.find(&mut **self.memory.borrow_mut(), &[of, name]);
        match found {
            Some([_, _, is_static, offset, _]) if is_static as u32 == 0 => {
                u16::try_from(offset).map_err(|_| Unsupported::Unreasonable(name))
            }
            _ => Err(Unsupported::Missing(of, name)),
        }
    }

    /// The size of a type in bytes.
    pub(super) fn size(&self, of: &'static str) -> Result<u16, Unsupported> {
        let found = self.types.find(&mut **self.memory.borrow_mut(), &[of]);
        let [_, size] = found.ok_or(Unsupported::Missing(of, "size"))?;
        u16::try_from(size).map_err(|_| Unsupported::Unreasonable(of))
    }

    /// The value of a static field of 8 bytes.
    pub(super) fn static_word(
        &self,
        of: &'static str,
        name: &'static str,
    ) -> Result<u64, Unsupported> {
        let address = self.address(of, name)?;
        self.word(address, 0).ok_or(Unsupported::Unreasonable(name))
    }

    /// The value of a static field of 4 bytes.
    pub(super) fn static_half(
        &self,
        of: &'static str,
        name: &'static str,
    ) -> Result<u32, Unsupported> {
        let address = self.address(of, name)?;
        self.half(address, 0).ok_or(Unsupported::Unreasonable(name))
    }

    /// Where a static field is.
    pub(super) fn address(&self, of: &'static str, name: &'static str) -> Result<u64, Unsupported> {
        let found = self.fields.find(&mut **self.memory.borrow_mut(), &[of, name]);
        match found {
            Some([_, _, is_static, _, address]) if is_static as u32 != 0 => Ok(address),
            _ => Err(Unsupported::Missing(of, name)),
        }
    }

    /// Whether a C string is this one.
    pub(super) fn is_text(&self, start: u64, text: &str) -> bool {
        is_text(&mut **self.memory.borrow_mut(), start, text)
    }

    /// The byte at an address.
    pub(super) fn byte(&self, address: u64) -> Option<u8> {
        self.memory.borrow_mut().byte(address)
    }

    /// The word at an offset of a structure.
    pub(super) fn word(&self, start: u64, offset: u16) -> Option<u64> {
        self.memory.borrow_mut().word(start.wrapping_add(u64::from(offset)))
    }

    /// The 4 bytes at an offset of a structure.
    pub(super) fn half(&self, start: u64, offset: u16) -> Option<u32> {
        self.memory.borrow_mut().half(start.wrapping_add(u64::from(offset)))
    }
}

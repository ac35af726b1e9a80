//! How objects of Java lie in memory, as far as samples read any.

use super::chunk::Pointers;
use super::code_cache::Code;
use super::layout::Unsupported;
use super::vm_structs::VmStructs;
use crate::memory::MemoryReader;

/// Flags of the virtual machine; 25 has some 1,300.
const MAX_FLAGS: u64 = 8192;

/// How objects lie in memory: offsets in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Objects {
    /// How they are pointed to.
    pub pointers: Pointers,
    /// In an array: how many elements it has.
    pub array_length: u16,
    /// Its first element, if those are objects.
    pub array_first: u16,
    /// In the object that stands for a class: the class.
    pub class: u16,
    /// In a class: the bytes of its objects.
    pub class_layout: u16,
}

impl Objects {
    /// What the virtual machine says of them.
    ///
    /// # Errors
    /// See [`Unsupported`]; also for the collector ZGC, whose pointers are coloured.
    pub(super) fn read<M: MemoryReader>(
        tables: &mut VmStructs<'_, M>,
    ) -> Result<Self, Unsupported> {
        let mut flags = Flags::read(tables)?;
        if flags.is_set("UseZGC")? {
            return Err(Unsupported::Unreasonable("UseZGC"));
        }
        let narrow = flags.is_set("UseCompressedOops")?;
        // Where every header is compact, the class is in its first word.
        let compact = flags.is_set("UseCompactObjectHeaders").unwrap_or(false);
        let narrow_class = flags.is_set("UseCompressedClassPointers")?;
        let array_length: u16 = match (compact, narrow_class) {
            (true, _) => 8,
            (false, true) => 12,
            (false, false) => 16,
        };
        let pointers = match narrow {
            true => Pointers::narrow(tables)?,
            false => Pointers::Whole,
        };
        let size: u16 = if narrow { 4 } else { 8 };
        let array_first = array_length.saturating_add(4).next_multiple_of(size);
        let class = tables.static_half("java_lang_Class", "_klass_offset")?;
        let class = u16::try_from(class).map_err(|_| Unsupported::Unreasonable("_klass_offset"))?;
        let class_layout = tables.offset("Klass", "_layout_helper")?;
        Ok(Self { pointers, array_length, array_first, class, class_layout })
    }
}

impl Pointers {
    fn narrow<M: MemoryReader>(tables: &VmStructs<'_, M>) -> Result<Self, Unsupported> {
        let word = |name| tables.static_word("CompressedOops", name);
        let half = |name| tables.static_half("CompressedOops", name);
        let base = word("_base").or_else(|_| word("_narrow_oop._base"))?;
        let shift = half("_shift").or_else(|_| half("_narrow_oop._shift"))?;
        let shift = u8::try_from(shift).ok().filter(|shift| *shift < 8);
        let shift = shift.ok_or(Unsupported::Unreasonable("CompressedOops::_shift"))?;
        Ok(Self::Narrow { base, shift })
    }

    /// Bytes of a pointer in a field.
    pub(super) fn size(self) -> u64 {
        match self {
            Self::Whole => 8,
            Self::Narrow { .. } => 4,
        }
    }
}

/// The flags of the virtual machine.
struct Flags<'t, 'm, M> {
    tables: &'t VmStructs<'m, M>,
    start: u64,
    count: u64,
    size: u16,
    name: u16,
    value: u16,
}

impl<'t, 'm, M: MemoryReader> Flags<'t, 'm, M> {
    fn read(tables: &'t VmStructs<'m, M>) -> Result<Self, Unsupported> {
        Ok(Self {
            tables,
            start: tables.static_word("JVMFlag", "flags")?,
            count: tables.static_word("JVMFlag", "numFlags")?.min(MAX_FLAGS),
            size: tables.size("JVMFlag")?,
            name: tables.offset("JVMFlag", "_name")?,
            value: tables.offset("JVMFlag", "_addr")?,
        })
    }

    fn is_set(&mut self, name: &'static str) -> Result<bool, Unsupported> {
        for index in 0..self.count {
            let flag = self.start.wrapping_add(index.wrapping_mul(u64::from(self.size)));
            let Some(text) = self.tables.word(flag, self.name) else { break };
            if self.tables.is_text(text, name) {
                let value = self.tables.word(flag, self.value);
                let value = value.and_then(|address| self.tables.byte(address));
                return value.map(|value| value != 0).ok_or(Unsupported::Unreasonable(name));
            }
        }
        Err(Unsupported::Missing("JVMFlag", name))
    }
}

impl<M: MemoryReader> Code<'_, M> {
    /// The object that is pointed to at an offset of another; 0 for none.
    pub(super) fn object(&mut self, pointers: Pointers, of: u64, offset: u64) -> Option<u64> {
        if of < 4096 || of & 7 != 0 {
            return None;
        }
        let at = of.wrapping_add(offset);
        match pointers {
            Pointers::Whole => self.memory.word(at),
            Pointers::Narrow { base, shift } => match self.half(at, 0)? {
                0 => Some(0),
                narrow => Some(base.wrapping_add(u64::from(narrow) << (shift & 7))),
            },
        }
    }
}

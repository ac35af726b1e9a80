//! The functions of a table: the runtime's `functab` and `_func`.

use std::ops::Range;

use gimli::Reader as _;

use super::header::{Header, Version};
use super::values::Values;
use crate::resolve::paged::Reader;

/// The number of the table that tells the inlined call, `PCDATA_InlTreeIndex`.
const INLINED_CALL: u32 = 2;

/// The number of the tree of inlined calls, `FUNCDATA_InlTree`.
const INLINED_CALLS: u32 = 3;

/// The most tables of one function; Go knows of five and eight.
const MAX_TABLES: u32 = 256;

/// An offset that stands for "there is none".
const NONE: u32 = u32::MAX;

/// The names and paths that are read.
const MAX_TEXT: usize = 4096;

/// A table, and where its functions lie.
#[derive(Clone, Debug)]
pub(super) struct Functions<'a> {
    bytes: Reader<'a>,
    pub(super) header: Header,
    text: u64,
}

/// One function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) code: Range<u64>,
    name: u32,
    pub(super) start_line: Option<u32>,
    /// Bits of `abi.FuncFlag`; none before Go 1.17.
    pub(super) flags: u8,
    depth: u32,
    file: u32,
    line: u32,
    unit: u32,
    inlined_call: u32,
    /// Where the tree of inlined calls lies: from Go 1.18 on an offset from `go:func.*`, before
    /// that an address.
    pub(super) inlined_calls: Option<u64>,
}

impl<'a> Functions<'a> {
    /// `bytes` begin with the header; `text` is where the code starts.
    pub(super) fn new(bytes: Reader<'a>, header: Header, text: u64) -> Self {
        let text = if header.version == Version::Go116 { 0 } else { text };
        Self { bytes, header, text }
    }

    /// From an offset on.
    fn at(&self, part: u64, offset: u64) -> Option<Reader<'a>> {
        let mut reader = self.bytes.clone();
        reader.skip(usize::try_from(part.checked_add(offset)?).ok()?).ok()?;
        Some(reader)
    }

    /// Where function `index` starts, and the offset of what is known of it. The last one's end
    /// has the index behind it, and no offset.
    fn entry(&self, index: u64) -> Option<(u64, u64)> {
        let wide = self.header.version == Version::Go116;
        let mut reader = self.at(self.header.table, index * if wide { 16 } else { 8 })?;
        let (start, offset) = if wide {
            (reader.read_u64().ok()?, reader.read_u64().unwrap_or(0))
        } else {
            let start = reader.read_u32().ok()?;
            (u64::from(start), u64::from(reader.read_u32().unwrap_or(0)))
        };
        Some((self.text.checked_add(start)?, offset))
    }

    /// The index of the function that an address lies in.
    pub(super) fn find(&self, address: u64) -> Option<u64> {
        let (mut low, mut end) = (0, self.header.functions);
        if address < self.entry(0)?.0 || address >= self.entry(end)?.0 {
            return None;
        }
        while end - low > 1 {
            let middle = low + (end - low) / 2;
            if self.entry(middle)?.0 <= address { low = middle } else { end = middle }
        }
        Some(low)
    }

    /// The code of function `index`.
    pub(super) fn code(&self, index: u64) -> Option<Range<u64>> {
        let (start, end) = (self.entry(index)?.0, self.entry(index + 1)?.0);
        (start < end).then_some(start..end)
    }

    /// What is known of function `index`.
    pub(super) fn function(&self, index: u64) -> Option<Function> {
        let code = self.code(index)?;
        let mut reader = self.at(self.header.table, self.entry(index)?.1)?;
        reader.skip(if self.header.version == Version::Go116 { 8 } else { 4 }).ok()?;
        let mut word = || reader.read_u32().ok();
        let (name, _arguments, _return) = (word()?, word()?, word()?);
        let (depth, file, line, tables, unit) = (word()?, word()?, word()?, word()?, word()?);
        let start_line = if self.header.version >= Version::Go120 { Some(word()?) } else { None };
        let [_id, flags, _, trees] = word()?.to_le_bytes();
        let mut function = Function {
            code,
            name,
            start_line: start_line.filter(|line| (1..1 << 30).contains(line)),
            flags,
            depth,
            file,
            line,
            unit,
            inlined_call: 0,
            inlined_calls: None,
        };
        if tables > MAX_TABLES {
            return Some(function);
        }
        for number in 0..tables {
            let offset = word()?;
            function.inlined_call =
                if number == INLINED_CALL { offset } else { function.inlined_call };
        }
        function.inlined_calls = self.tree(reader, trees.into());
        Some(function)
    }

    /// Where the tree of inlined calls lies, given what follows the function's tables.
    fn tree(&self, mut reader: Reader<'a>, trees: u32) -> Option<u64> {
        if trees <= INLINED_CALLS {
            return None;
        }
        if self.header.version >= Version::Go118 {
            reader.skip(4 * INLINED_CALLS as usize).ok()?;
            let offset = reader.read_u32().ok()?;
            return (offset != NONE).then_some(offset.into());
        }
        let at = reader.offset_from(&self.bytes);
        let padding = at.next_multiple_of(8) - at;
        reader.skip(padding + 8 * INLINED_CALLS as usize).ok()?;
        reader.read_u64().ok().filter(|address| *address != 0)
    }

    fn values(&self, function: &Function, offset: u32) -> Option<Values<'a>> {
        if offset == 0 {
            return None;
        }
        let reader = self.at(self.header.values, offset.into())?;
        Some(Values::new(reader, function.code.clone(), self.header.quantum))
    }

    /// How many bytes of stack the function has taken, by instruction. `None` where Go does not
    /// know: the function is another language's.
    pub(super) fn depths(&self, function: &Function) -> Option<Values<'a>> {
        self.values(function, function.depth)
    }

    /// The number of the inlined call that an instruction belongs to.
    pub(super) fn inlined_call(&self, function: &Function, address: u64) -> Option<u32> {
        let number = self.values(function, function.inlined_call)?.at(address)?;
        u32::try_from(number).ok()
    }

    /// The line of an instruction.
    pub(super) fn line(&self, function: &Function, address: u64) -> Option<u32> {
        let line = self.values(function, function.line)?.at(address)?;
        u32::try_from(line).ok().filter(|line| *line > 0)
    }

    /// The file of an instruction.
    pub(super) fn file(&self, function: &Function, address: u64) -> Option<String> {
        let number = self.values(function, function.file)?.at(address)?;
        let number = u64::from(function.unit) + u64::from(u32::try_from(number).ok()?);
        let mut unit = self.at(self.header.units, 4 * number)?;
        let offset = unit.read_u32().ok().filter(|offset| *offset != NONE)?;
        text(self.at(self.header.files, offset.into())?, MAX_TEXT)
    }

    pub(super) fn name(&self, function: &Function) -> Option<String> {
        self.name_at(function.name)
    }

    /// The name that lies at an offset, which must be where one begins.
    pub(super) fn name_at(&self, offset: u32) -> Option<String> {
        let before = u64::from(offset).checked_sub(1);
        let begins = before.is_none_or(|before| {
            self.at(self.header.names, before).and_then(|mut it| it.read_u8().ok()) == Some(0)
        });
        if !begins || u64::from(offset) >= self.header.units - self.header.names {
            return None;
        }
        text(self.at(self.header.names, offset.into())?, MAX_TEXT)
    }

    /// As much of the name as tells the runtime's own functions apart.
    pub(super) fn short_name(&self, function: &Function) -> Option<String> {
        text(self.at(self.header.names, function.name.into())?, 40)
    }
}

fn text(reader: Reader<'_>, limit: usize) -> Option<String> {
    let bytes = reader.string(limit).ok()?;
    (!bytes.is_empty()).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::bytes::Bytes;
    use proptest::prelude::*;
    use std::rc::Rc;

    /// A header of this many functions whose parts lie one behind the other, and what follows it.
    fn table(magic: u32, functions: u64, parts: [u16; 4], rest: &[u8]) -> Vec<u8> {
        let mut bytes = magic.to_le_bytes().to_vec();
        bytes.extend([0, 0, 1, 8]);
        let text = (magic != 0xffff_fffa).then_some(0x40_1000);
        let words = [Some(functions), Some(9), text].into_iter().flatten();
        let mut at = 72;
        let parts = [0].into_iter().chain(parts).map(|size| {
            at += u64::from(size);
            at
        });
        bytes.extend(words.chain(parts).flat_map(u64::to_le_bytes));
        bytes.extend(rest);
        bytes
    }

    fn read_all(bytes: Vec<u8>) {
        let bytes = Reader::of_bytes(Rc::new(Bytes::from(bytes)));
        let Some(header) = Header::read(&bytes) else { return };
        let functions = Functions::new(bytes, header, header.text);
        for index in (0..header.functions).take(50) {
            let Some(function) = functions.function(index) else { continue };
            let Range { start, end } = function.code;
            let depths = functions.depths(&function).map_or(0, |depths| depths.take(500).count());
            assert!(depths <= 500);
            for at in [start, start + (end - start) / 2, end - 1] {
                let _ = (functions.line(&function, at), functions.file(&function, at));
                let _ = (functions.inlined_call(&function, at), functions.find(at));
            }
            let _ = (functions.name(&function), functions.short_name(&function));
        }
        let _ = (functions.find(0), functions.find(u64::MAX), functions.function(u64::MAX >> 8));
    }

    proptest! {
        #[test]
        fn any_table_is_read_to_its_end(
            magic in prop::sample::select(vec![0xffff_fffa, 0xffff_fff0, 0xffff_fff1]),
            functions in 0u64..40,
            parts in prop::array::uniform4(0u16..100),
            rest in prop::collection::vec(prop_oneof![3 => Just(0u8), 3 => 0u8..8, 1 => any::<u8>()], 0..2000),
        ) {
            read_all(table(magic, functions, parts, &rest));
        }
    }

    #[test]
    fn a_table_of_too_many_functions_is_none() {
        let bytes = table(0xffff_fff1, 1 << 40, [0; 4], &[0; 100]);
        assert_eq!(Header::read(&Reader::of_bytes(Rc::new(Bytes::from(bytes)))), None);
    }
}

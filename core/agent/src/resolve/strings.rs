//! The strings of debug information, read one by one.
//!
//! `.debug_str` is often its largest section, and a batch needs a few kilobytes of it: it stays
//! in the file, unless it is compressed.

use gimli::AttributeValue;
use gimli::SectionId;
use gimli::UnitRef;

use super::bytes::Bytes;
use super::dwarf::Slice;
use super::error::ResolveError;
use super::image::Image;

/// Reads strings that entries and line programs refer to.
#[derive(Debug)]
pub(crate) struct Strings<'a> {
    image: &'a Image,
    table: Table,
}

#[derive(Debug)]
enum Table {
    /// Offset in the file, and size.
    InFile(u64, u64),
    Loaded(Bytes),
}

impl<'a> Strings<'a> {
    pub(crate) fn load(image: &'a Image, limit: u64) -> Result<Self, ResolveError> {
        let name = SectionId::DebugStr.name();
        let table = match image.plain_section(name)? {
            Some((offset, size)) => Table::InFile(offset, size),
            None => Table::Loaded(image.section_bytes(name, limit)?.unwrap_or_default()),
        };
        Ok(Self { image, table })
    }

    /// The text of a string attribute, up to `limit` bytes; `None` when it has none, is empty, or
    /// lies elsewhere (in a supplementary file).
    pub(crate) fn read<'d>(
        &self,
        unit: UnitRef<'_, Slice<'d>>,
        value: AttributeValue<Slice<'d>>,
        limit: usize,
    ) -> Option<String> {
        let text = match value {
            AttributeValue::DebugStrRef(offset) => self.at(offset.0, limit)?,
            AttributeValue::DebugStrOffsetsIndex(index) => {
                self.at(unit.string_offset(index).ok()?.0, limit)?
            }
            other => {
                let bytes = unit.attr_string(other).ok()?.slice();
                text(&bytes[..bytes.len().min(limit)])
            }
        };
        (!text.is_empty()).then_some(text)
    }

    fn at(&self, offset: usize, limit: usize) -> Option<String> {
        match &self.table {
            Table::InFile(start, size) => {
                let offset = u64::try_from(offset).ok().filter(|offset| offset < size)?;
                let source = &self.image.source;
                let bytes = source.read_string(start + offset, start + size, limit).ok()?;
                Some(text(&bytes))
            }
            Table::Loaded(bytes) => {
                let bytes = bytes.get(offset..)?;
                let bytes = &bytes[..bytes.len().min(limit)];
                Some(text(bytes.split(|&byte| byte == 0).next()?))
            }
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

//! The strings of debug information.

use gimli::AttributeValue;
use gimli::Reader as _;
use gimli::Section as _;

use super::dwarf::UnitRef;
use super::paged::Reader;

/// The text of a string attribute, up to `limit` bytes; `None` when it has none, is empty, or lies
/// elsewhere (in a supplementary file).
pub(crate) fn read<'d>(
    unit: UnitRef<'_, 'd>,
    value: AttributeValue<Reader<'d>>,
    limit: usize,
) -> Option<String> {
    let from = |section: &Reader<'d>, offset| {
        let mut rest = section.clone();
        rest.skip(offset).ok().map(|()| rest)
    };
    let debug_str = unit.dwarf.debug_str.reader();
    let start = match value {
        AttributeValue::DebugStrRef(offset) => from(debug_str, offset.0),
        AttributeValue::DebugStrOffsetsIndex(index) => {
            from(debug_str, unit.string_offset(index).ok()?.0)
        }
        AttributeValue::DebugLineStrRef(offset) => {
            from(unit.dwarf.debug_line_str.reader(), offset.0)
        }
        other => unit.attr_string(other).ok(),
    };
    let text = String::from_utf8_lossy(&start?.string(limit).ok()?).into_owned();
    (!text.is_empty()).then_some(text)
}

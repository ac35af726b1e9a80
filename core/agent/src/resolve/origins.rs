//! What a function is called: names stand with the entry itself, or with the abstract function
//! or declaration it refers to, maybe in another unit.

use std::collections::HashMap;
use std::sync::Arc;

use gimli::AttributeValue;
use gimli::DebugInfoOffset;
use gimli::UnitOffset;

use super::dwarf::Abbreviations;
use super::dwarf::DebugFunction;
use super::dwarf::Dwarf;
use super::dwarf::Unit;
use super::dwarf::UnitRef;
use super::names;
use super::paged::Reader;
use super::strings;
use super::units::Units;

/// References followed from an entry; compilers write two.
const MAX_REFERENCES: usize = 16;
/// Units of other entries that are kept parsed.
const MAX_OPEN_UNITS: usize = 32;

/// The functions of one batch, each described once.
pub(crate) struct Functions<'a, 'd> {
    dwarf: &'a Dwarf<'d>,
    units: &'a Units,
    abbreviations: Abbreviations,
    open: HashMap<usize, Unit<'d>>,
    /// What references lead to, by unit and entry.
    known: HashMap<(usize, usize), DebugFunction>,
}

/// An entry to read, by its place in the unit that starts at `unit`, or in the one at hand.
struct Reference {
    unit: Option<usize>,
    entry: UnitOffset,
}

impl<'a, 'd> Functions<'a, 'd> {
    pub(crate) fn new(dwarf: &'a Dwarf<'d>, units: &'a Units) -> Self {
        Self {
            dwarf,
            units,
            abbreviations: Abbreviations::default(),
            open: HashMap::new(),
            known: HashMap::new(),
        }
    }

    pub(crate) fn dwarf(&self) -> &'a Dwarf<'d> {
        self.dwarf
    }

    /// Describes the function at `entry` of `unit`. What cannot be read stays unknown.
    pub(crate) fn describe(&mut self, unit: UnitRef<'_, 'd>, entry: UnitOffset) -> DebugFunction {
        let mut function = DebugFunction::default();
        let next = read(unit, entry, &mut function);
        if function.linkage_name.is_some() {
            return function;
        }
        // Every copy of an inlined function refers to the same entry.
        let Some(reference) = next.and_then(|next| self.target(next)) else { return function };
        let start = match reference.unit {
            Some(start) => Some(start),
            None => unit.header.debug_info_offset().map(|offset| offset.0),
        };
        let key = start.map(|start| (start, reference.entry.0));
        let origin = match key.and_then(|key| self.known.get(&key)) {
            Some(origin) => origin.clone(),
            None => {
                let origin = self.follow(unit, reference);
                self.known.extend(key.map(|key| (key, origin.clone())));
                origin
            }
        };
        DebugFunction {
            linkage_name: origin.linkage_name,
            name: function.name.or(origin.name),
            start_line: function.start_line.or(origin.start_line),
        }
    }

    /// Describes what `reference`, found in `unit`, leads to.
    fn follow(&mut self, unit: UnitRef<'_, 'd>, mut reference: Reference) -> DebugFunction {
        let mut function = DebugFunction::default();
        let mut current = None;
        for _ in 0..MAX_REFERENCES {
            current = reference.unit.or(current);
            let next = match current {
                None => read(unit, reference.entry, &mut function),
                Some(offset) => match self.open_unit(offset) {
                    Some(other) => read(other, reference.entry, &mut function),
                    None => None,
                },
            };
            match next.and_then(|next| self.target(next)) {
                Some(next) if function.linkage_name.is_none() => reference = next,
                _ => break,
            }
        }
        function
    }

    fn target(&self, value: AttributeValue<Reader<'d>>) -> Option<Reference> {
        match value {
            AttributeValue::UnitRef(entry) => Some(Reference { unit: None, entry }),
            AttributeValue::DebugInfoRef(DebugInfoOffset(offset)) => {
                let unit = self.units.start_of(offset)?;
                Some(Reference { unit: Some(unit), entry: UnitOffset(offset - unit) })
            }
            _ => None,
        }
    }

    fn open_unit(&mut self, offset: usize) -> Option<UnitRef<'_, 'd>> {
        if !self.open.contains_key(&offset) {
            if self.open.len() >= MAX_OPEN_UNITS {
                self.open.clear();
            }
            self.open.insert(offset, self.abbreviations.unit_at(self.dwarf, offset)?);
        }
        self.open.get(&offset).map(|unit| unit.unit_ref(self.dwarf))
    }
}

/// Takes what the entry tells and `function` lacks; gives the reference to the entry that tells
/// more. The name in the source is read only where there is no linkage name.
fn read<'d>(
    unit: UnitRef<'_, 'd>,
    entry: UnitOffset,
    function: &mut DebugFunction,
) -> Option<AttributeValue<Reader<'d>>> {
    let mut entries = unit.entries_raw(Some(entry)).ok()?;
    let abbrev = entries.read_abbreviation().ok()??;
    let text = |value| strings::read(unit, value, names::MAX_LINKAGE_NAME).map(Arc::from);
    let (mut next, mut name) = (None, None);
    for &spec in abbrev.attributes() {
        let attribute = entries.read_attribute(spec).ok()?;
        let value = attribute.value();
        match attribute.name() {
            gimli::DW_AT_linkage_name | gimli::DW_AT_MIPS_linkage_name => {
                function.linkage_name = text(value);
            }
            gimli::DW_AT_name => name = Some(value),
            gimli::DW_AT_decl_line if function.start_line.is_none() => {
                let line = value.udata_value().and_then(|line| u32::try_from(line).ok());
                function.start_line = line.filter(|&line| line > 0);
            }
            gimli::DW_AT_abstract_origin | gimli::DW_AT_specification => next = Some(value),
            _ => {}
        }
    }
    if function.linkage_name.is_none() && function.name.is_none() {
        function.name = name.and_then(text);
    }
    next
}

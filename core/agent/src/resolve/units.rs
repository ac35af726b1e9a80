//! Where the units of debug information lie, and where the code that each describes.

use std::collections::HashMap;
use std::ops::Range;

use super::clock::Clock;
use super::dwarf::Abbreviations;
use super::dwarf::Dwarf;
use super::error::ResolveError;
use super::paged::Reader;

/// Units beyond this many are implausible.
const MAX_UNITS: usize = 1 << 20;

/// The units of one file. Made once for a file: reading the root entry of each of 3,500 units takes
/// 10 ms.
#[derive(Debug, Default)]
pub(crate) struct Units {
    /// Ascending by offset.
    units: Vec<Unit>,
}

#[derive(Debug)]
struct Unit {
    /// Where it starts in `.debug_info`.
    offset: usize,
    /// All of its code lies in here; empty where it has none.
    code: Range<u64>,
}

impl Units {
    /// Reads the header of each unit, and where its code lies: from `.debug_aranges`, which gcc
    /// writes, or from its root entry.
    pub(crate) fn read(dwarf: &Dwarf<'_>, clock: &mut Clock) -> Result<Self, ResolveError> {
        let told = aranges(dwarf, clock)?;
        let mut abbreviations = Abbreviations::default();
        let mut units = Vec::new();
        let mut headers = dwarf.units();
        // What stands behind a damaged header cannot be found; what stands before it can.
        while let Ok(Some(header)) = headers.next() {
            clock.spend(4)?;
            if units.len() >= MAX_UNITS {
                return Err(ResolveError::malformed("implausible number of debug units"));
            }
            let Some(offset) = header.debug_info_offset().map(|offset| offset.0) else { continue };
            let code = match told.get(&offset) {
                Some(code) => code.clone(),
                None => code_of(dwarf, header, &mut abbreviations, clock)?,
            };
            units.push(Unit { offset, code });
        }
        units.shrink_to_fit();
        Ok(Self { units })
    }

    /// The starts of the units that may describe one of `addresses`, which ascend.
    pub(crate) fn holding<'a>(&'a self, addresses: &'a [u64]) -> impl Iterator<Item = usize> + 'a {
        let holds = |code: &Range<u64>| {
            let first = addresses.partition_point(|&address| address < code.start);
            addresses.get(first).is_some_and(|&address| address < code.end)
        };
        self.units.iter().filter(move |unit| holds(&unit.code)).map(|unit| unit.offset)
    }

    /// The start of the unit that `offset` lies in.
    pub(crate) fn start_of(&self, offset: usize) -> Option<usize> {
        let after = self.units.partition_point(|unit| unit.offset <= offset);
        Some(self.units.get(after.checked_sub(1)?)?.offset)
    }

    /// What this takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.units.len() * size_of::<Unit>()
    }
}

/// What `.debug_aranges` tells, by unit. A producer describes a unit whole or not at all; from
/// damage on, nothing is told.
fn aranges(
    dwarf: &Dwarf<'_>,
    clock: &mut Clock,
) -> Result<HashMap<usize, Range<u64>>, ResolveError> {
    let mut told: HashMap<usize, Range<u64>> = HashMap::new();
    let mut headers = dwarf.debug_aranges.headers();
    while let Ok(Some(header)) = headers.next() {
        clock.spend(4)?;
        let mut code = Range::default();
        let mut entries = header.entries();
        let whole = loop {
            clock.spend(1)?;
            match entries.next() {
                Ok(Some(entry)) => extend(&mut code, entry.range()),
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        let offset = header.debug_info_offset().0;
        if !whole {
            told.remove(&offset);
            break;
        }
        let known = told.entry(offset).or_default();
        extend(known, gimli::Range { begin: code.start, end: code.end });
    }
    Ok(told)
}

/// What the unit's root entry tells. A unit that cannot be read has nothing to tell.
fn code_of<'d>(
    dwarf: &Dwarf<'d>,
    header: gimli::UnitHeader<Reader<'d>>,
    abbreviations: &mut Abbreviations,
    clock: &mut Clock,
) -> Result<Range<u64>, ResolveError> {
    let mut code = Range::default();
    let Some(unit) = abbreviations.unit(dwarf, header) else { return Ok(code) };
    clock.check()?;
    let Ok(mut ranges) = dwarf.unit_ranges(&unit) else { return Ok(code) };
    while let Ok(Some(range)) = ranges.next() {
        clock.spend(1)?;
        extend(&mut code, range);
    }
    Ok(code)
}

/// Makes `code` hold `range` too. Nothing lies at address 0 but functions that were discarded.
fn extend(code: &mut Range<u64>, range: gimli::Range) {
    if range.begin == 0 || range.begin >= range.end {
        return;
    }
    if code.is_empty() {
        *code = range.begin..range.end;
    } else {
        *code = code.start.min(range.begin)..code.end.max(range.end);
    }
}

//! Which functions cover an address, inlined ones included: one pass over a unit's entries.

use gimli::AttributeValue;
use gimli::EntriesRaw;
use gimli::UnitOffset;

use super::clock::Clock;
use super::dwarf::UnitRef;
use super::dwarf::damaged;
use super::error::ResolveError;
use super::paged::Reader;

/// Inlined calls deeper than this are left out of a stack.
const MAX_INLINES: usize = 64;
/// No compiler nests functions and inlined calls this deep.
const MAX_NESTING: usize = 4096;

/// A function of an address, called or inlined.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Level {
    /// Its entry in the unit.
    pub(crate) entry: UnitOffset,
    /// For an inlined function, where it is called.
    pub(crate) call: Option<Call>,
}

/// A position in the calling function.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Call {
    /// Index in the unit's file table.
    pub(crate) file: Option<u64>,
    pub(crate) line: Option<u32>,
}

/// The functions that cover each of `addresses` (ascending, distinct), outermost first.
pub(crate) fn stacks_at(
    unit: UnitRef<'_, '_>,
    addresses: &[u64],
    clock: &mut Clock,
) -> Result<Vec<Vec<Level>>, ResolveError> {
    let mut entries = unit.entries_raw(None).map_err(damaged)?;
    let stacks = vec![Vec::new(); addresses.len()];
    let mut walk = Walk { unit, addresses, stacks, scopes: Vec::new() };
    while !entries.is_empty() {
        clock.spend(1)?;
        walk.step(&mut entries, clock)?;
    }
    Ok(walk.stacks)
}

/// A function entry whose children are being read.
struct Scope {
    depth: isize,
    /// The function really called that this scope belongs to.
    subprogram: UnitOffset,
    /// How many inlined calls lie between the two.
    inlines: usize,
    /// Whether it covers any address of the batch.
    live: bool,
}

struct Walk<'a, 'd> {
    unit: UnitRef<'a, 'd>,
    addresses: &'a [u64],
    stacks: Vec<Vec<Level>>,
    scopes: Vec<Scope>,
}

impl<'d> Walk<'_, 'd> {
    fn step(
        &mut self,
        entries: &mut EntriesRaw<'_, Reader<'d>>,
        clock: &mut Clock,
    ) -> Result<(), ResolveError> {
        let (entry, depth) = (entries.next_offset(), entries.next_depth());
        let Some(abbrev) = entries.read_abbreviation().map_err(damaged)? else { return Ok(()) };
        while self.scopes.last().is_some_and(|scope| scope.depth >= depth) {
            self.scopes.pop();
        }
        let parent = self.scopes.last().filter(|scope| scope.live);
        let (subprogram, inlines) = match (abbrev.tag(), parent) {
            (gimli::DW_TAG_subprogram, _) => (entry, 0),
            (gimli::DW_TAG_inlined_subroutine, Some(scope)) => {
                (scope.subprogram, scope.inlines + 1)
            }
            _ => return entries.skip_attributes(abbrev.attributes()).map_err(damaged),
        };
        let mut code = Code::default();
        for &spec in abbrev.attributes() {
            let attribute = entries.read_attribute(spec).map_err(damaged)?;
            code.take(self.unit, attribute.name(), attribute.value());
        }
        let mut scope = Scope { depth, subprogram, inlines, live: false };
        let call = (inlines > 0).then_some(code.call);
        scope.live = self.claim(&scope, Level { entry, call }, &code, clock)?;
        if abbrev.has_children() {
            if self.scopes.len() >= MAX_NESTING {
                return Err(ResolveError::malformed("debug information nests too deep"));
            }
            self.scopes.push(scope);
        }
        Ok(())
    }

    /// Adds `level` to the stacks of the addresses that `code` covers; tells whether any is.
    fn claim(
        &mut self,
        scope: &Scope,
        level: Level,
        code: &Code,
        clock: &mut Clock,
    ) -> Result<bool, ResolveError> {
        let mut any = false;
        code.each_range(self.unit, |range| {
            clock.spend(1)?;
            let first = self.addresses.partition_point(|&address| address < range.begin);
            for (address, stack) in self.addresses.iter().zip(&mut self.stacks).skip(first) {
                if *address >= range.end {
                    break;
                }
                clock.spend(1)?;
                // Of functions that overlap, and of inlined calls side by side that do, the first
                // keeps the address; a level whose parent does not cover it is left out.
                let of_parent = stack.first().is_none_or(|first| first.entry == scope.subprogram);
                if of_parent && stack.len() == scope.inlines {
                    any = true;
                    if scope.inlines <= MAX_INLINES {
                        stack.push(level);
                    }
                }
            }
            Ok(())
        })?;
        Ok(any)
    }
}

/// The code that an entry covers, and where it is called.
#[derive(Default)]
struct Code {
    low: Option<u64>,
    high: Option<u64>,
    size: Option<u64>,
    ranges: Option<gimli::RangeListsOffset>,
    call: Call,
}

impl Code {
    fn take<'d>(
        &mut self,
        unit: UnitRef<'_, 'd>,
        name: gimli::DwAt,
        value: AttributeValue<Reader<'d>>,
    ) {
        match name {
            gimli::DW_AT_low_pc => self.low = unit.attr_address(value).ok().flatten(),
            gimli::DW_AT_high_pc => match value {
                AttributeValue::Udata(size) => self.size = Some(size),
                other => self.high = unit.attr_address(other).ok().flatten(),
            },
            gimli::DW_AT_ranges => self.ranges = unit.attr_ranges_offset(value).ok().flatten(),
            gimli::DW_AT_call_line => {
                let line = value.udata_value().and_then(|line| u32::try_from(line).ok());
                self.call.line = line.filter(|&line| line > 0);
            }
            gimli::DW_AT_call_file => {
                // Index 0 is "no file" up to DWARF 4 and the first file since.
                if let AttributeValue::FileIndex(file) = value
                    && (file > 0 || unit.header.version() >= 5)
                {
                    self.call.file = Some(file);
                }
            }
            _ => {}
        }
    }

    fn each_range(
        &self,
        unit: UnitRef<'_, '_>,
        mut visit: impl FnMut(gimli::Range) -> Result<(), ResolveError>,
    ) -> Result<(), ResolveError> {
        if let Some(offset) = self.ranges {
            let mut ranges = unit.ranges(offset).map_err(damaged)?;
            while let Some(range) = ranges.next().map_err(damaged)? {
                visit(range)?;
            }
            return Ok(());
        }
        let Some(begin) = self.low else { return Ok(()) };
        let end = self.high.or_else(|| begin.checked_add(self.size?));
        end.map_or(Ok(()), |end| visit(gimli::Range { begin, end }))
    }
}

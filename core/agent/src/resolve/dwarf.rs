//! Inlined frames, files and lines from DWARF, for a batch of addresses.
//!
//! Only the units that hold an address of the batch are read, in blocks, through a small cache; an
//! index of the units tells which they are, and stays from batch to batch. Only sections that are
//! compressed are held whole, within a budget and for the time of the batch.
//! Nothing here recurses, so that a file with a million nested entries costs an error and not the
//! host's stack.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::rc::Rc;
use std::sync::Arc;

use gimli::DebugAbbrevOffset;
use gimli::DebugInfoOffset;
use gimli::SectionId;

use super::bytes::Bytes;
use super::clock::Clock;
use super::error::ResolveError;
use super::error::ResolveErrorKind;
use super::image::Image;
use super::inlines;
use super::lines::Lines;
use super::origins::Functions;
use super::paged::Pages;
use super::paged::Reader;
use super::units::Units;

/// Debug information as gimli reads it.
pub(crate) type Dwarf<'a> = gimli::Dwarf<Reader<'a>>;
pub(crate) type Unit<'a> = gimli::Unit<Reader<'a>>;
pub(crate) type UnitRef<'u, 'a> = gimli::UnitRef<'u, Reader<'a>>;

/// The sections that are read: functions, inlining, files and lines. Locations of variables, macros
/// and names are not needed.
const SECTIONS: [SectionId; 10] = [
    SectionId::DebugAbbrev,
    SectionId::DebugAddr,
    SectionId::DebugAranges,
    SectionId::DebugInfo,
    SectionId::DebugLine,
    SectionId::DebugLineStr,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
    SectionId::DebugStr,
    SectionId::DebugStrOffsets,
];

/// Sections of which gimli keeps what it parses: a hostile one must not be large.
const KEPT: [SectionId; 2] = [SectionId::DebugAbbrev, SectionId::DebugLine];

/// A place in a source file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceLine {
    /// Path as the compiler wrote it.
    pub file: Option<Arc<str>>,
    /// Line, counted from 1.
    pub line: Option<u32>,
}

/// A function, as debug information describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DebugFunction {
    /// Its linkage name, where it has one besides its name.
    pub linkage_name: Option<Arc<str>>,
    /// Its name in the source, without namespace; left out where it has a linkage name.
    pub name: Option<Arc<str>>,
    /// The line it is declared at.
    pub start_line: Option<u32>,
}

/// One frame of an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DebugFrame {
    /// The function, inlined or not.
    pub function: DebugFunction,
    /// The line that runs; for an outer frame, the line that holds the inlined call.
    pub place: SourceLine,
}

/// What debug information tells about one address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DebugFrames {
    /// Innermost first; the last is the function that was really called. Empty when no function
    /// covers the address.
    pub frames: Vec<DebugFrame>,
    /// The line of the address, also where no function covers it.
    pub place: SourceLine,
}

/// A file's debug information.
pub struct DebugInfo<'a> {
    image: &'a Image,
    /// The sections that cannot be read in parts, as they are compressed.
    unpacked: HashMap<SectionId, Rc<Bytes>>,
}

impl std::fmt::Debug for DebugInfo<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DebugInfo").field("unpacked", &self.unpacked).finish_non_exhaustive()
    }
}

impl<'a> DebugInfo<'a> {
    /// Whether the file has debug information of its own.
    pub fn is_in(image: &Image) -> bool {
        image.section_size(SectionId::DebugInfo.name()).is_ok_and(|size| size > 0)
    }

    /// Whether the file's debug information can be read in parts: it is not compressed.
    pub(crate) fn is_plain(image: &Image) -> bool {
        image.plain_section(SectionId::DebugInfo.name()).is_ok_and(|place| place.is_some())
    }

    /// Finds the debug sections of a file, and decompresses those that are compressed; `None`
    /// when it has none.
    ///
    /// # Errors
    /// [`TooLarge`](ResolveErrorKind::TooLarge) when those that are compressed take more than
    /// `limit` bytes together, known before they are read, or `.debug_line` does or
    /// `.debug_abbrev` does.
    pub fn load(image: &'a Image, limit: u64) -> Result<Option<Self>, ResolveError> {
        if !Self::is_in(image) {
            return Ok(None);
        }
        let mut packed = 0_u64;
        for section in SECTIONS {
            let size = image.section_size(section.name())?;
            let plain = image.plain_section(section.name())?.is_some();
            packed = packed.saturating_add(if plain { 0 } else { size });
            let taken = if KEPT.contains(&section) { size.max(packed) } else { packed };
            if taken > limit {
                return Err(ResolveError::too_large("debug information", taken, limit));
            }
        }
        let mut unpacked = HashMap::new();
        for section in SECTIONS {
            if image.plain_section(section.name())?.is_none() {
                let bytes = guarded(|| image.section_bytes(section.name(), limit))?;
                unpacked.insert(section, Rc::new(bytes.unwrap_or_default()));
            }
        }
        Ok(Some(Self { image, unpacked }))
    }

    /// Finds the frames of each address (in the file's own address space), in order.
    ///
    /// A unit that cannot be read, or has come too late for the time allowed, leaves its
    /// addresses empty; the first such error comes along.
    pub fn frames_at(&self, addresses: &[u64]) -> (Vec<DebugFrames>, Option<ResolveError>) {
        self.frames_by(&mut None, addresses)
    }

    /// As [`frames_at`](Self::frames_at), with the index of the file's units, which is made where
    /// there is none yet.
    pub(crate) fn frames_by(
        &self,
        units: &mut Option<Arc<Units>>,
        addresses: &[u64],
    ) -> (Vec<DebugFrames>, Option<ResolveError>) {
        let mut batch = Batch::new(addresses);
        let pages = Pages::new(&self.image.source);
        let error = guarded(|| {
            let mut clock = Clock::start();
            let dwarf = Dwarf::load(|section| self.reader(&pages, section))?;
            let units = match units {
                Some(units) => units.clone(),
                None => {
                    // A file that takes too long is not tried again.
                    *units = Some(Arc::default());
                    units.insert(Arc::new(Units::read(&dwarf, &mut clock)?)).clone()
                }
            };
            batch.search(&dwarf, &units, &mut clock)
        })
        .err();
        let of = |address: &u64| batch.sorted.binary_search(address).ok();
        let frames = addresses
            .iter()
            .map(|address| of(address).map(|i| batch.found[i].clone()).unwrap_or_default());
        (frames.collect(), error.or(batch.error))
    }

    fn reader<'p>(
        &self,
        pages: &'p Pages<'_>,
        section: SectionId,
    ) -> Result<Reader<'p>, ResolveError> {
        if let Some(bytes) = self.unpacked.get(&section) {
            return Ok(Reader::of_bytes(bytes.clone()));
        }
        let place = SECTIONS.contains(&section).then(|| self.image.plain_section(section.name()));
        Ok(match place.transpose()?.flatten() {
            Some((offset, size)) => Reader::of_file(pages, offset, size),
            None => Reader::of_bytes(Rc::default()),
        })
    }
}

/// Runs code that parses hostile bytes: its panic becomes an error.
fn guarded<T>(parse: impl FnOnce() -> Result<T, ResolveError>) -> Result<T, ResolveError> {
    catch_unwind(AssertUnwindSafe(parse)).unwrap_or_else(|_| {
        let message = "reading debug information failed unexpectedly";
        Err(ResolveError::new(ResolveErrorKind::Internal, message))
    })
}

struct Batch {
    sorted: Vec<u64>,
    found: Vec<DebugFrames>,
    error: Option<ResolveError>,
}

impl Batch {
    fn new(addresses: &[u64]) -> Self {
        let mut sorted = addresses.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let found = vec![DebugFrames::default(); sorted.len()];
        Self { sorted, found, error: None }
    }

    fn search(
        &mut self,
        dwarf: &Dwarf<'_>,
        units: &Units,
        clock: &mut Clock,
    ) -> Result<(), ResolveError> {
        let mut functions = Functions::new(dwarf, units);
        let mut abbreviations = Abbreviations::default();
        let addresses = self.sorted.clone();
        for offset in units.holding(&addresses) {
            // A unit without a readable root entry has nothing to tell; the next may have.
            let Some(unit) = abbreviations.unit_at(dwarf, offset) else { continue };
            clock.check()?;
            let picked = self.pick(dwarf, &unit, clock)?;
            if picked.is_empty() {
                continue;
            }
            if let Err(error) = self.search_unit(&picked, unit, &mut functions, clock) {
                let fatal = error.kind() == ResolveErrorKind::TooSlow;
                self.error.get_or_insert(error);
                if fatal {
                    break;
                }
            }
        }
        Ok(())
    }

    /// The addresses that the unit says it covers and no earlier unit had a function for, as
    /// indexes, ascending.
    fn pick(
        &self,
        dwarf: &Dwarf<'_>,
        unit: &Unit<'_>,
        clock: &mut Clock,
    ) -> Result<Vec<usize>, ResolveError> {
        let mut picked = Vec::new();
        let Ok(mut ranges) = dwarf.unit_ranges(unit) else { return Ok(picked) };
        while let Ok(Some(range)) = ranges.next() {
            clock.spend(1)?;
            let first = self.sorted.partition_point(|&address| address < range.begin);
            for (i, &address) in self.sorted.iter().enumerate().skip(first) {
                if address >= range.end {
                    break;
                }
                clock.spend(1)?;
                if self.found[i].frames.is_empty() {
                    picked.push(i);
                }
            }
            if picked.len() > 2 * self.sorted.len() {
                picked.sort_unstable();
                picked.dedup();
            }
        }
        picked.sort_unstable();
        picked.dedup();
        Ok(picked)
    }

    fn search_unit<'a>(
        &mut self,
        picked: &[usize],
        unit: Unit<'a>,
        functions: &mut Functions<'_, 'a>,
        clock: &mut Clock,
    ) -> Result<(), ResolveError> {
        let addresses: Vec<u64> = picked.iter().map(|&i| self.sorted[i]).collect();
        let dwarf = functions.dwarf();
        let unit_ref = unit.unit_ref(dwarf);
        let stacks = inlines::stacks_at(unit_ref, &addresses, clock)?;
        let mut lines = Lines::new(unit_ref);
        let places = lines.places_at(&addresses, clock)?;
        for ((&i, stack), place) in picked.iter().zip(&stacks).zip(places) {
            let found = &mut self.found[i];
            found.place = place.clone();
            let mut place = place;
            for level in stack.iter().rev() {
                clock.check()?;
                let function = functions.describe(unit_ref, level.entry);
                let call = level.call;
                found.frames.push(DebugFrame { function, place });
                place = call.map(|call| lines.place(call.file, call.line)).unwrap_or_default();
            }
        }
        Ok(())
    }
}

/// The abbreviations of the last unit: units made by link-time optimisation share theirs.
#[derive(Default)]
pub(crate) struct Abbreviations {
    last: Option<(DebugAbbrevOffset, Arc<gimli::Abbreviations>)>,
}

impl Abbreviations {
    /// The unit that starts at `offset`, if it is one of code and can be read.
    pub(crate) fn unit_at<'d>(&mut self, dwarf: &Dwarf<'d>, offset: usize) -> Option<Unit<'d>> {
        let header = dwarf.debug_info.header_from_offset(DebugInfoOffset(offset)).ok()?;
        self.unit(dwarf, header)
    }

    /// The unit with this header, if it is one of code and can be read.
    pub(crate) fn unit<'d>(
        &mut self,
        dwarf: &Dwarf<'d>,
        header: gimli::UnitHeader<Reader<'d>>,
    ) -> Option<Unit<'d>> {
        if !matches!(header.type_(), gimli::UnitType::Compilation | gimli::UnitType::Skeleton(_)) {
            return None;
        }
        let offset = header.debug_abbrev_offset();
        let abbreviations = match &self.last {
            Some((last, abbreviations)) if *last == offset => abbreviations.clone(),
            _ => dwarf.abbreviations(&header).ok()?,
        };
        self.last = Some((offset, abbreviations.clone()));
        gimli::Unit::new_with_abbreviations(dwarf, header, abbreviations).ok()
    }
}

/// A gimli error, in our words.
pub(crate) fn damaged(error: gimli::Error) -> ResolveError {
    ResolveError::malformed(format!("damaged debug information: {error}"))
}

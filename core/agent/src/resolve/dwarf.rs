//! Inlined frames, files and lines from DWARF, for a batch of addresses.
//!
//! Debug information is streamed, unit by unit, against the addresses of the batch: besides the
//! sections' bytes (bounded by a budget, dropped after the batch) memory holds only what was
//! found. Nothing here recurses, so that a file with a million nested entries costs an error and
//! not the host's stack.

use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;

use gimli::DwarfSections;
use gimli::EndianSlice;
use gimli::LittleEndian;
use gimli::SectionId;

use super::bytes::Bytes;
use super::clock::Clock;
use super::error::ResolveError;
use super::error::ResolveErrorKind;
use super::image::Image;
use super::inlines;
use super::lines::Lines;
use super::origins::Functions;
use super::strings::Strings;

/// Debug information as gimli reads it.
pub(crate) type Slice<'a> = EndianSlice<'a, LittleEndian>;
pub(crate) type Dwarf<'a> = gimli::Dwarf<Slice<'a>>;

/// The sections that are read whole: functions, inlining, files and lines. Types' locations, macros
/// and indexes are not needed, strings are read one by one.
const SECTIONS: [SectionId; 8] = [
    SectionId::DebugAbbrev,
    SectionId::DebugAddr,
    SectionId::DebugInfo,
    SectionId::DebugLine,
    SectionId::DebugLineStr,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
    SectionId::DebugStrOffsets,
];

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

/// A file's debug information, read into memory.
pub struct DebugInfo<'a> {
    sections: DwarfSections<Bytes>,
    strings: Strings<'a>,
    bytes: u64,
}

impl std::fmt::Debug for DebugInfo<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DebugInfo").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl<'a> DebugInfo<'a> {
    /// Whether the file has debug information of its own.
    pub fn is_in(image: &Image) -> bool {
        image.section_size(SectionId::DebugInfo.name()).is_ok_and(|size| size > 0)
    }

    /// Reads the debug sections of a file, decompressed; `None` when it has none.
    ///
    /// # Errors
    /// [`TooLarge`](ResolveErrorKind::TooLarge) when they take more than `limit` bytes together,
    /// known before they are read. Strings count only where they are compressed: else they stay
    /// in the file.
    pub fn load(image: &'a Image, limit: u64) -> Result<Option<Self>, ResolveError> {
        let mut bytes = match image.plain_section(SectionId::DebugStr.name())? {
            Some(_) => 0,
            None => image.section_size(SectionId::DebugStr.name())?,
        };
        for section in SECTIONS {
            bytes = bytes.saturating_add(image.section_size(section.name())?);
        }
        if !Self::is_in(image) {
            return Ok(None);
        }
        if bytes > limit {
            return Err(ResolveError::too_large("debug information", bytes, limit));
        }
        let load = |section: SectionId| {
            if !SECTIONS.contains(&section) {
                return Ok(Bytes::default());
            }
            Ok(image.section_bytes(section.name(), limit)?.unwrap_or_default())
        };
        let sections = guarded(|| DwarfSections::load(load))?;
        let strings = guarded(|| Strings::load(image, limit))?;
        Ok(Some(Self { sections, strings, bytes }))
    }

    /// Finds the frames of each address (in the file's own address space), in order.
    ///
    /// A unit that cannot be read, or has come too late for the time allowed, leaves its
    /// addresses empty; the first such error comes along.
    pub fn frames_at(&self, addresses: &[u64]) -> (Vec<DebugFrames>, Option<ResolveError>) {
        let mut batch = Batch::new(addresses);
        let error = guarded(|| {
            let dwarf = self.sections.borrow(|bytes: &Bytes| EndianSlice::new(bytes, LittleEndian));
            batch.search(&dwarf, &self.strings)
        })
        .err();
        let of = |address: &u64| batch.sorted.binary_search(address).ok();
        let frames = addresses
            .iter()
            .map(|address| of(address).map(|i| batch.found[i].clone()).unwrap_or_default());
        (frames.collect(), error.or(batch.error))
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

    fn search(&mut self, dwarf: &Dwarf<'_>, strings: &Strings<'_>) -> Result<(), ResolveError> {
        let mut clock = Clock::start();
        let mut functions = Functions::new(dwarf, strings, &mut clock)?;
        let mut units = dwarf.units();
        let mut abbreviations = Abbreviations::default();
        while let Some(header) = units.next().map_err(damaged)? {
            clock.check()?;
            let kind = header.type_();
            if !matches!(kind, gimli::UnitType::Compilation | gimli::UnitType::Skeleton(_)) {
                continue;
            }
            // A unit without a readable root entry has nothing to tell; the next may have.
            let Some(unit) = abbreviations.unit(dwarf, header) else { continue };
            let picked = self.pick(dwarf, &unit, &mut clock)?;
            if picked.is_empty() {
                continue;
            }
            if let Err(error) = self.search_unit(&picked, unit, &mut functions, &mut clock) {
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
        unit: &gimli::Unit<Slice<'_>>,
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
        unit: gimli::Unit<Slice<'a>>,
        functions: &mut Functions<'_, 'a>,
        clock: &mut Clock,
    ) -> Result<(), ResolveError> {
        let addresses: Vec<u64> = picked.iter().map(|&i| self.sorted[i]).collect();
        let dwarf = functions.dwarf();
        let unit_ref = unit.unit_ref(dwarf);
        let stacks = inlines::stacks_at(unit_ref, &addresses, clock)?;
        let mut lines = Lines::new(unit_ref, functions.strings());
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
struct Abbreviations {
    last: Option<(gimli::DebugAbbrevOffset, Arc<gimli::Abbreviations>)>,
}

impl Abbreviations {
    fn unit<'d>(
        &mut self,
        dwarf: &Dwarf<'d>,
        header: gimli::UnitHeader<Slice<'d>>,
    ) -> Option<gimli::Unit<Slice<'d>>> {
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

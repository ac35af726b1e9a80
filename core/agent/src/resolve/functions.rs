//! Where the code of functions lies.

use std::ops::Range;

use gimli::{
    BaseAddresses, CfaRule, CieOrFde, EhFrame, EndianSlice, FrameDescriptionEntry, LittleEndian,
    UnwindContext, UnwindSection,
};

use super::clock::Clock;
use super::error::ResolveError;
use super::image::Image;
use super::symtab::{Named, Symbol, symbols_named};
use super::tables::MAX_EH_FRAME;

/// The code of the function `name` that starts at `address`: what its symbols cover, and the parts
/// that the compiler has moved away from it and named after it (`name.cold`, `name.llvm.123`).
/// Without such symbols, what the unwind information says of the function at `address`, and of the
/// largest part that can be one of it. All in addresses of the file.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn ranges_of(
    image: &Image,
    name: &str,
    address: u64,
) -> Result<Vec<Range<u64>>, ResolveError> {
    let is_part = |symbol: &str| {
        symbol.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let symbols = symbols_named(image, Named::Code, &is_part)?.into_iter();
    let mut ranges: Vec<_> = symbols.filter_map(covered).collect();
    // Parts have no symbols for the dynamic linker.
    if image.section(".symtab").is_none() || ranges.is_empty() {
        ranges.extend(unwound(image, address)?);
        ranges.dedup();
    }
    Ok(ranges)
}

/// More functions than this are not listed: CPython has some 10,000.
const MAX_FUNCTIONS: usize = 1 << 16;

/// The code of every function, by `.eh_frame`, ascending, in addresses of the file. A part that the
/// compiler has moved away from its function is one of its own. Nothing where there are more than
/// 65,536.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn all_ranges(image: &Image) -> Result<Vec<Range<u64>>, ResolveError> {
    let Some((bytes, bases)) = eh_frame(image)? else { return Ok(Vec::new()) };
    let section = EhFrame::new(&bytes, LittleEndian);
    let mut clock = Clock::start();
    let mut entries = section.entries(&bases);
    let mut ranges = Vec::new();
    while let Ok(Some(entry)) = entries.next() {
        clock.spend(1)?;
        let CieOrFde::Fde(partial) = entry else { continue };
        let Ok(fde) = partial.parse(EhFrame::cie_from_offset) else { continue };
        ranges.push(fde.initial_address()..fde.end_address());
        if ranges.len() > MAX_FUNCTIONS {
            return Ok(Vec::new());
        }
    }
    ranges.sort_unstable_by_key(|range| range.start);
    Ok(ranges)
}

/// `.eh_frame`, and where it and the code lie.
fn eh_frame(image: &Image) -> Result<Option<(super::Bytes, BaseAddresses)>, ResolveError> {
    let at = |name| image.section(name).map_or(0, |section| section.address);
    let bases = BaseAddresses::default().set_eh_frame(at(".eh_frame")).set_text(at(".text"));
    let bytes = image.section_bytes(".eh_frame", MAX_EH_FRAME)?;
    Ok(bytes.map(|bytes| (bytes, bases)))
}

/// The bytes of the variable `name`, in addresses of the file.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn variable(image: &Image, name: &str) -> Result<Option<Range<u64>>, ResolveError> {
    let symbols = symbols_named(image, Named::Data, &|symbol| symbol == name)?;
    Ok(symbols.into_iter().find_map(covered))
}

fn covered(symbol: Symbol) -> Option<Range<u64>> {
    let end = symbol.address.saturating_add(symbol.size);
    (symbol.size > 0).then_some(symbol.address..end)
}

/// Parts smaller than this are not looked for: that of CPython's evaluation function has some 80
/// KiB where there is one, which may be all of it but the prologue (Debian's 3.13 and 3.14).
const SMALLEST_PART: u64 = 16 << 10;

/// The function that holds an address, by `.eh_frame`, and the largest part of code that can have
/// been moved away from it.
///
/// Such a part has a description of its own. It is not entered by calls, so that its first
/// instruction finds the frame as the function has made it: of the same size, or told by the same
/// register. The start of any other function does not look like that.
fn unwound(image: &Image, address: u64) -> Result<Vec<Range<u64>>, ResolveError> {
    let Some((bytes, bases)) = eh_frame(image)? else { return Ok(Vec::new()) };
    let section = EhFrame::new(&bytes, LittleEndian);
    let Ok(fde) = section.fde_for_address(&bases, address, EhFrame::cie_from_offset) else {
        return Ok(Vec::new());
    };
    let function = fde.initial_address()..fde.end_address();
    let frames = frames(&section, &bases, &fde);
    let Some((entered, made)) = frames.split_first() else { return Ok(vec![function]) };
    let mut clock = Clock::start();
    let mut entries = section.entries(&bases);
    let mut largest: Option<Range<u64>> = None;
    while let Ok(Some(entry)) = entries.next() {
        clock.spend(1)?;
        let CieOrFde::Fde(partial) = entry else { continue };
        let Ok(part) = partial.parse(EhFrame::cie_from_offset) else { continue };
        let known = largest.as_ref().map_or(SMALLEST_PART, |known| known.end - known.start);
        if part.len() <= known || part.contains(address) {
            continue;
        }
        let first = self::frames(&section, &bases, &part).into_iter().next();
        if first.is_some_and(|first| first != *entered && made.contains(&first)) {
            largest = Some(part.initial_address()..part.end_address());
        }
    }
    Ok(std::iter::once(function).chain(largest).collect())
}

type Bytes<'a> = EndianSlice<'a, LittleEndian>;

/// How the frame of a function is found, from its first instruction on.
fn frames<'a>(
    section: &EhFrame<Bytes<'a>>,
    bases: &BaseAddresses,
    fde: &FrameDescriptionEntry<Bytes<'a>>,
) -> Vec<CfaRule<usize>> {
    let mut context = UnwindContext::new();
    let mut frames = Vec::new();
    let Ok(mut rows) = fde.rows(section, bases, &mut context) else { return frames };
    while let Ok(Some(row)) = rows.next_row() {
        frames.push(row.cfa().clone());
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[inline(never)]
    fn somewhere(number: u64) -> u64 {
        std::hint::black_box(number) * 3
    }

    #[test]
    fn a_function_without_a_symbol_is_where_its_unwind_information_is() {
        let mut modules = super::super::Modules::default();
        modules.refresh();
        let address = somewhere as fn(u64) -> u64 as usize as u64;
        assert_eq!(somewhere(2), 6);
        let address = address - modules.find(address).unwrap().bias;
        let image = Image::open(Path::new("/proc/self/exe"), None).unwrap();
        let symbol = super::super::symbols_at(&image, &[address]).unwrap().remove(0).unwrap();
        let by_symbol = ranges_of(&image, &symbol.name, address).unwrap();
        assert_eq!(by_symbol, vec![symbol.address..symbol.address + symbol.size]);
        let all = all_ranges(&image).unwrap();
        assert!(all.contains(&by_symbol[0]) && all.is_sorted_by_key(|range| range.start));
        let unwound = ranges_of(&image, "no such function", address).unwrap();
        assert_eq!(unwound, by_symbol);
        assert_eq!(ranges_of(&image, "no such function", 1).unwrap(), Vec::new());
    }
}

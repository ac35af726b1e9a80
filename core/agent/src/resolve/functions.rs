//! Where the code of one function lies.

use std::ops::Range;

use gimli::{BaseAddresses, EhFrame, UnwindSection};

use super::error::ResolveError;
use super::image::Image;
use super::symtab::symbols_named;
use super::tables::MAX_EH_FRAME;

/// The code of the function `name` that starts at `address`: what its symbols cover, and the parts
/// that the compiler has moved away from it and named after it (`name.cold`, `name.llvm.123`).
/// Without a symbol, what the unwind information says of the function at `address`, in which such
/// parts are not to be told from others. All in addresses of the file.
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
    let symbols = symbols_named(image, &is_part)?.into_iter();
    let mut ranges: Vec<_> = symbols
        .filter(|symbol| symbol.size > 0)
        .map(|symbol| symbol.address..symbol.address.saturating_add(symbol.size))
        .collect();
    if !ranges.iter().any(|range| range.contains(&address)) {
        ranges.extend(unwound(image, address)?);
    }
    Ok(ranges)
}

/// The function that holds an address, by `.eh_frame`.
fn unwound(image: &Image, address: u64) -> Result<Option<Range<u64>>, ResolveError> {
    let at = |name| image.section(name).map_or(0, |section| section.address);
    let Some(bytes) = image.section_bytes(".eh_frame", MAX_EH_FRAME)? else { return Ok(None) };
    let section = EhFrame::new(&bytes, gimli::LittleEndian);
    let bases = BaseAddresses::default().set_eh_frame(at(".eh_frame")).set_text(at(".text"));
    let fde = section.fde_for_address(&bases, address, EhFrame::cie_from_offset);
    Ok(fde.ok().map(|fde| fde.initial_address()..fde.end_address()))
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
        let unwound = ranges_of(&image, "no such function", address).unwrap();
        assert_eq!(unwound, by_symbol);
        assert_eq!(ranges_of(&image, "no such function", 1).unwrap(), Vec::new());
    }
}

//! Finds the table in a binary, and what it is relative to.

use super::function::Functions;
use super::header::{Header, Version};
use super::memory::offset_of;
use super::module_data::ModuleData;
use crate::resolve::image::Image;
use crate::resolve::paged::{Pages, Reader};
use crate::resolve::symtab;

/// Where linkers put it; the second in position-independent programs of older versions.
const SECTIONS: [&str; 2] = [".gopclntab", ".data.rel.ro.gopclntab"];

/// Sections that only Go programs have, whatever became of the table's own.
const MARKS: [&str; 2] = [".go.buildinfo", ".note.go.buildid"];

/// Bytes that are looked through for a table without a section.
const MAX_SEARCHED: u64 = 512 << 20;

/// The alignment of a table.
const ALIGNMENT: usize = 16;

/// Where a Go program's table lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    header: Header,
    /// Offset in the file and bytes from there on.
    offset: u64,
    pub(super) size: u64,
    text: u64,
    /// `go:func.*`, which the trees of inlined calls are relative to.
    pub(super) trees: Option<u64>,
}

impl Place {
    /// Finds the table; `None` in a binary that is not Go's. Costs 10 µs where it has a section
    /// and names; a stripped one that has lost its section headers is looked through.
    pub(crate) fn find(image: &Image) -> Option<Self> {
        let pages = Pages::new(&image.source);
        let (offset, size, header) = by_section(image, &pages).or_else(|| search(image))?;
        let mut place = Self { header, offset, size, text: header.text, trees: None };
        if header.version == Version::Go116 {
            // Its addresses are whole, unless the loader moves them all.
            return place.is_sound(image, &pages).then_some(place);
        }
        let address = address_of(image, offset)?;
        if let Some(data) = ModuleData::find(image, &header, address) {
            place.text = data.text;
            place.trees = data.trees;
        } else if let Some(text) = text_symbol(image) {
            place.text = text;
        } else if place.text == 0 {
            place.text = image.section(".text")?.address;
        }
        place.is_sound(image, &pages).then_some(place)
    }

    /// The table's bytes, which `pages` read.
    pub(super) fn functions<'p>(&self, pages: &'p Pages<'_>) -> Functions<'p> {
        let bytes = Reader::of_file(pages, self.offset, self.size);
        Functions::new(bytes, self.header, self.text)
    }

    /// As [`functions`](Self::functions), of bytes that were all read already.
    pub(super) fn functions_in(&self, bytes: Reader<'static>) -> Functions<'static> {
        Functions::new(bytes, self.header, self.text)
    }

    /// Where the table's bytes lie in the file, and how many may belong to it.
    pub(super) fn range(&self) -> (u64, u64) {
        (self.offset, self.size)
    }

    /// Whether the first function and the last lie in code.
    fn is_sound(&self, image: &Image, pages: &Pages<'_>) -> bool {
        let functions = self.functions(pages);
        let is_code = |address: u64| {
            let mut code = image.load_segments().filter(|segment| segment.is_executable());
            code.any(|it| address.checked_sub(it.address).is_some_and(|at| at < it.memory_size))
        };
        let last = self.header.functions - 1;
        let ends = [0, last].map(|index| functions.code(index));
        matches!(ends, [Some(first), Some(last)]
            if is_code(first.start) && is_code(last.start) && first.start <= last.start)
    }
}

fn by_section(image: &Image, pages: &Pages<'_>) -> Option<(u64, u64, Header)> {
    SECTIONS.into_iter().find_map(|name| {
        let (offset, size) = image.plain_section(name).ok()??;
        let header = Header::read(&Reader::of_file(pages, offset, size))?;
        Some((offset, size, header))
    })
}

/// Looks for it by what it begins with, where a linker has merged its section into another, or
/// there are no section headers.
fn search(image: &Image) -> Option<(u64, u64, Header)> {
    const STEP: u64 = 64 << 10;
    let sections = image.sections();
    let is_go = MARKS.into_iter().any(|mark| image.section(mark).is_some());
    if !is_go && !sections.is_empty() {
        return None;
    }
    let mut left = MAX_SEARCHED;
    for segment in image.load_segments() {
        let Some((start, size)) = offset_of(image, segment.address) else { continue };
        let end = start + size.min(left);
        left = left.saturating_sub(size);
        let mut at = start;
        while at < end {
            let step = STEP.min(end - at);
            let bytes = image.source.read(at, step, STEP).ok()?;
            let found = bytes.chunks_exact(ALIGNMENT).position(may_begin);
            let Some(found) = found.map(|it| at + (it * ALIGNMENT) as u64) else {
                at += step;
                continue;
            };
            // Its parts are far apart: read them by a window of their own.
            let pages = Pages::new(&image.source);
            let size = start + size - found;
            if let Some(header) = Header::read(&Reader::of_file(&pages, found, size)) {
                return Some((found, size, header));
            }
            at = found + ALIGNMENT as u64;
        }
    }
    None
}

/// Whether these are the first bytes of a header: a magic number, then zeros, 1 or 4, and 8.
fn may_begin(bytes: &[u8]) -> bool {
    matches!(bytes, [0xfa | 0xf0 | 0xf1, 0xff, 0xff, 0xff, 0, 0, 1 | 4, 8, ..])
}

fn address_of(image: &Image, offset: u64) -> Option<u64> {
    image.load_segments().find_map(|segment| {
        let at = offset.checked_sub(segment.offset).filter(|at| *at < segment.file_size)?;
        segment.address.checked_add(at)
    })
}

fn text_symbol(image: &Image) -> Option<u64> {
    let is_text = |name: &str| name == "runtime.text";
    let found = symtab::symbols_named(image, symtab::Named::Code, &is_text).ok()?;
    Some(found.first()?.address)
}

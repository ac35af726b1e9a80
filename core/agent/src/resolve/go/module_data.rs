//! The runtime's `moduledata`: where the code and the trees of inlined calls lie.

use std::collections::HashMap;

use gimli::Reader as _;

use super::header::{Header, Version};
use super::memory::{offset_of, reader_at};
use crate::resolve::image::Image;
use crate::resolve::paged::{Pages, Reader};

/// Words of it that are looked at.
const WORDS: u64 = 48;

/// The byte of `text`, in every version so far.
const TEXT: u64 = 176;

/// The first bytes: the header's address, then the addresses and lengths of its parts.
const NAMES: u64 = 8;

/// Data that is looked through for it, where nothing tells where it is.
const MAX_SEARCHED: u64 = 256 << 20;

/// The entries of one section of relocations: 100,000 in a program of 10 MB.
const MAX_RELOCATIONS: u64 = 16 << 20;

/// `R_X86_64_RELATIVE` and `R_AARCH64_RELATIVE`.
const RELATIVE: [u64; 2] = [8, 1027];

/// What is read of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ModuleData {
    pub(super) text: u64,
    /// `go:func.*`, which the trees of inlined calls are relative to.
    pub(super) trees: Option<u64>,
}

impl ModuleData {
    /// Finds the one whose header lies at `address`.
    pub(super) fn find(image: &Image, header: &Header, address: u64) -> Option<Self> {
        let pages = Pages::new(&image.source);
        let own = image.section(".go.module").map(|section| section.address);
        let own = own.filter(|at| word(image, &pages, *at) == Some(address));
        let found = own.or_else(|| search(image, &pages, header, address));
        if let Some(at) = found {
            return Self::read(header, address, at, |at| word(image, &pages, at));
        }
        Self::relocated(image, &pages, header, address)
    }

    fn read(
        header: &Header,
        address: u64,
        at: u64,
        word: impl Fn(u64) -> Option<u64>,
    ) -> Option<Self> {
        let names = word(at.checked_add(NAMES)?)?;
        if word(at)? != address || names != address.checked_add(header.names)? {
            return None;
        }
        let trees = match header.version {
            Version::Go116 => None,
            Version::Go118 => word(at.checked_add(304)?),
            Version::Go120 => word(at.checked_add(320)?),
        };
        Some(Self { text: word(at.checked_add(TEXT)?)?, trees: trees.filter(|it| *it != 0) })
    }

    /// Where a linker has left all addresses to the loader: they stand in the relocations.
    fn relocated(image: &Image, pages: &Pages<'_>, header: &Header, address: u64) -> Option<Self> {
        let mut last = HashMap::new();
        // The places of the header's address, and what stands behind each.
        let mut starts = Vec::new();
        each_relocation(image, pages, |place, target| {
            if target == address {
                starts.push(place);
            }
        })?;
        let near = |place: u64| {
            starts.iter().any(|start| place.checked_sub(*start).is_some_and(|it| it < 8 * WORDS))
        };
        each_relocation(image, pages, |place, target| {
            if starts.len() <= MAX_STARTS && near(place) {
                last.insert(place, target);
            }
        })?;
        starts.iter().find_map(|at| Self::read(header, address, *at, |at| last.get(&at).copied()))
    }
}

/// Only `moduledata` holds the header's address; a few chance values may be equal to it.
const MAX_STARTS: usize = 64;

fn word(image: &Image, pages: &Pages<'_>, address: u64) -> Option<u64> {
    reader_at(image, pages, address)?.read_u64().ok()
}

/// Looks for it in all data that can be written, before or after the loader has done its work.
fn search(image: &Image, pages: &Pages<'_>, header: &Header, address: u64) -> Option<u64> {
    const WRITABLE: u32 = 2;
    let mut left = MAX_SEARCHED;
    for segment in image.load_segments().filter(|segment| segment.flags & WRITABLE != 0) {
        let (_, size) = offset_of(image, segment.address)?;
        let mut reader = reader_at(image, pages, segment.address)?;
        for at in (segment.address..segment.address + size.min(left)).step_by(8) {
            let Ok(found) = reader.read_u64() else { break };
            if found == address
                && word(image, pages, at + NAMES) == address.checked_add(header.names)
            {
                return Some(at);
            }
        }
        left = left.saturating_sub(size);
    }
    None
}

/// Hands out where each address belongs that the loader puts in.
fn each_relocation(image: &Image, pages: &Pages<'_>, mut take: impl FnMut(u64, u64)) -> Option<()> {
    const RELA: u32 = 4;
    let inside = |offset: u64, size: u64| {
        offset.checked_add(size).is_some_and(|end| end <= image.source.len())
    };
    for section in image.sections().iter().filter(|section| section.kind == RELA) {
        if !inside(section.offset, section.size) {
            continue;
        }
        let mut reader = Reader::of_file(pages, section.offset, section.size);
        for _ in 0..(section.size / 24).min(MAX_RELOCATIONS) {
            let (place, kind) = (reader.read_u64().ok()?, reader.read_u64().ok()?);
            let target = reader.read_u64().ok()?;
            if RELATIVE.contains(&kind) {
                take(place, target);
            }
        }
    }
    Some(())
}

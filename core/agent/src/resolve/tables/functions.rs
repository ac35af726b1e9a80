//! The functions that `.eh_frame` describes, and the rows of each.

use std::ops::Range;

use gimli::{
    BaseAddresses, CieOrFde, CommonInformationEntry, EhFrame, EhFrameOffset, UnwindSection,
};
use hashbrown::HashMap;
use sondage_sampler::Rule;

use super::quick;
use super::rule::compact;
use super::{Bytes, Input};
use crate::resolve::array::Array;
use crate::resolve::error::ResolveError;

/// Rows of one function; only a damaged file has more.
pub(super) const MAX_ROWS: usize = 1 << 20;

/// Numbers from here on are those of sections of stubs, below it of functions of Go, and below that
/// offsets in `.eh_frame`.
const STUBS: u64 = 1 << 63;
const GO: u64 = 1 << 62;

const NOTHING: u64 = u64::MAX;

/// Code, and where it is described. Big programs have hundreds of thousands: see [`Array`] for the
/// form that they are kept in.
pub(super) struct Function {
    pub(super) code: Range<u64>,
    pub(super) from: Origin,
}

pub(super) enum Origin {
    /// The entry at this offset of `.eh_frame`.
    Entry(u64),
    /// Linkers' stubs, the section of this number.
    Stubs(usize),
    /// A Go program's table, the function of this number.
    Go(u64),
    /// Nowhere: stubs are read in place of it.
    Nothing,
}

/// The first address, one past the last, and where they are described.
pub(super) type PlainFunction = [u64; 3];

impl Function {
    pub(super) fn plain(&self) -> PlainFunction {
        let from = match self.from {
            Origin::Entry(offset) => offset,
            Origin::Stubs(number) => STUBS | number as u64,
            Origin::Go(number) => GO | number,
            Origin::Nothing => NOTHING,
        };
        [self.code.start, self.code.end, from]
    }

    pub(super) fn of(plain: PlainFunction) -> Self {
        let [start, end, from] = plain;
        let from = match from {
            NOTHING => Origin::Nothing,
            STUBS.. => Origin::Stubs((from - STUBS) as usize),
            GO.. => Origin::Go(from - GO),
            _ => Origin::Entry(from),
        };
        Self { code: start..end, from }
    }

    pub(super) fn overlaps(&self, code: &Range<u64>) -> bool {
        self.code.start < code.end && self.code.end > code.start
    }
}

/// A section, and what addresses in it are relative to.
pub(super) struct Reading<'a> {
    pub(super) section: EhFrame<Bytes<'a>>,
    pub(super) bases: BaseAddresses,
    bytes: &'a [u8],
    address: u64,
}

/// What functions of one kind have in common, by both readers.
struct Kind<'a> {
    common: gimli::Result<CommonInformationEntry<Bytes<'a>>>,
    /// `None` where the general one is to read them.
    quick: Option<quick::Common>,
}

/// Reads entries of `.eh_frame`.
pub(super) struct Entries<'a> {
    reading: Reading<'a>,
    kinds: HashMap<usize, Kind<'a>>,
    context: gimli::UnwindContext<usize>,
}

impl<'a> Reading<'a> {
    fn kind<'k>(&self, kinds: &'k mut HashMap<usize, Kind<'a>>, offset: usize) -> &'k Kind<'a> {
        kinds.entry(offset).or_insert_with(|| {
            let common = self.section.cie_from_offset(&self.bases, offset.into());
            let quick = common.as_ref().ok().and_then(|it| quick::Common::of(it, self));
            Kind { common, quick }
        })
    }

    /// The entry at `offset`, if it is for the quick reader.
    fn quick(
        &self,
        kinds: &mut HashMap<usize, Kind<'a>>,
        offset: usize,
    ) -> Option<quick::Entry<'a>> {
        let common = quick::common_offset(self.bytes, offset)?;
        let common = self.kind(kinds, common).quick?;
        quick::Entry::read(self.bytes, self.address, offset, common)
    }
}

impl<'a> Entries<'a> {
    pub(super) fn new(input: &Input<'a>) -> Self {
        let reading = Reading {
            section: EhFrame::new(input.eh_frame, gimli::LittleEndian),
            bases: BaseAddresses::default()
                .set_eh_frame(input.eh_frame_address)
                .set_text(input.text_address),
            bytes: input.eh_frame,
            address: input.eh_frame_address,
        };
        Self { reading, kinds: HashMap::new(), context: gimli::UnwindContext::new() }
    }

    /// The functions within the code of `input`, in no order, and how many could not be read.
    pub(super) fn functions(
        &mut self,
        input: &Input<'a>,
    ) -> Result<(Array<PlainFunction>, usize), ResolveError> {
        let mut functions = Array::default();
        let mut damaged = 0;
        let Self { reading, kinds, .. } = self;
        let mut entries = reading.section.entries(&reading.bases);
        while let Ok(Some(entry)) = entries.next() {
            let CieOrFde::Fde(partial) = entry else { continue };
            let offset = partial.offset();
            let code = match reading.quick(kinds, offset) {
                Some(entry) => entry.code(),
                None => {
                    let common = |_: &_, _: &_, offset: EhFrameOffset| {
                        reading.kind(kinds, offset.0).common.clone()
                    };
                    let Ok(fde) = partial.parse(common) else {
                        damaged += 1;
                        continue;
                    };
                    fde.initial_address()..fde.end_address()
                }
            };
            let inside = input.code.start <= code.start && code.end <= input.code.end;
            if inside && code.start < code.end {
                functions.push(Function { code, from: Origin::Entry(offset as u64) }.plain())?;
            }
        }
        Ok((functions, damaged))
    }

    /// Puts the rows of the entry at an offset into `rows`, which it empties first.
    pub(super) fn rows(&mut self, offset: u64, rows: &mut Vec<(u64, Rule)>) -> gimli::Result<()> {
        rows.clear();
        let quick = self.reading.quick(&mut self.kinds, offset as usize);
        if quick.and_then(|entry| entry.rows(rows)).is_some() {
            return Ok(());
        }
        rows.clear();
        self.all_rows(offset, rows)
    }

    /// Appends the rows of the entry at an offset, of whatever form it is.
    fn all_rows(&mut self, offset: u64, rows: &mut Vec<(u64, Rule)>) -> gimli::Result<()> {
        let Self { reading, kinds, context } = self;
        let Reading { section, bases, .. } = &*reading;
        let common =
            |_: &_, _: &_, offset: EhFrameOffset| reading.kind(kinds, offset.0).common.clone();
        let fde = section.fde_from_offset(bases, (offset as usize).into(), common)?;
        let encoding = fde.cie().encoding();
        let signal = fde.is_signal_trampoline();
        let mut unwound = fde.rows(section, bases, context)?;
        while let Some(row) = unwound.next_row()? {
            if rows.len() >= MAX_ROWS {
                return Err(gimli::Error::StackFull);
            }
            let rule = if signal {
                Rule { cfa: Rule::SIGNAL, ..Rule::default() }
            } else {
                compact(row, section, encoding)
            };
            rows.push((row.start_address(), rule));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::Image;
    use crate::resolve::tables::MAX_EH_FRAME;
    use std::collections::BTreeSet;

    /// How many functions the quick reader has read, and how many there are.
    fn both_readers_agree(input: &Input<'_>) -> (usize, usize) {
        let mut entries = Entries::new(input);
        let (functions, _) = entries.functions(input).unwrap();
        let (mut quick, mut all) = (Vec::new(), Vec::new());
        let mut count = 0;
        for function in functions.iter().map(|it| Function::of(*it)) {
            let Origin::Entry(offset) = function.from else { unreachable!() };
            let Some(entry) = entries.reading.quick(&mut entries.kinds, offset as usize) else {
                continue;
            };
            quick.clear();
            all.clear();
            if entry.rows(&mut quick).is_some() {
                count += 1;
                // Where the general one is stricter, nothing is lost by being read.
                if entries.all_rows(offset, &mut all).is_ok() {
                    assert_eq!(quick, all, "{offset:#x}");
                }
            }
        }
        (count, functions.len())
    }

    #[test]
    fn the_quick_reader_reads_what_the_general_one_does() {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let files: BTreeSet<_> = maps.lines().filter_map(|line| line.get(73..)).collect();
        let (mut quick, mut whole) = (0, 0);
        for file in files {
            let Ok(image) = Image::open(file.as_ref(), None) else { continue };
            let bytes = image.section_bytes(".eh_frame", MAX_EH_FRAME);
            let Ok(Some(eh_frame)) = bytes else { continue };
            let eh_frame_address = image.section(".eh_frame").unwrap().address;
            let input = Input {
                eh_frame: &eh_frame,
                eh_frame_address,
                text_address: 0,
                code: 0..u64::MAX,
                stubs: Vec::new(),
                go: None,
            };
            let (some, all) = both_readers_agree(&input);
            quick += some;
            whole += all;
            // And so does what a damaged file says.
            let mut damaged = eh_frame.to_vec();
            for (at, byte) in damaged.iter_mut().enumerate().filter(|(at, _)| at % 97 == 96) {
                *byte ^= (at >> 4) as u8;
            }
            both_readers_agree(&Input { eh_frame: &damaged, stubs: Vec::new(), go: None, ..input });
        }
        assert!(whole > 2_000, "{whole}");
        assert!(quick * 100 > whole * 95, "{quick} of {whole}");
    }
}

//! The functions that `.eh_frame` describes, and the rows of each.

use std::ops::Range;

use gimli::{BaseAddresses, CieOrFde, CommonInformationEntry, EhFrame, UnwindSection};
use hashbrown::HashMap;
use sondage_sampler::Rule;

use super::rule::compact;
use super::{Bytes, Input};
use crate::resolve::array::Array;
use crate::resolve::error::ResolveError;

/// Numbers from here on are those of sections of stubs, below it offsets in `.eh_frame`.
const STUBS: u64 = 1 << 63;

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
            Origin::Nothing => NOTHING,
        };
        [self.code.start, self.code.end, from]
    }

    pub(super) fn of(plain: PlainFunction) -> Self {
        let [start, end, from] = plain;
        let from = match from {
            NOTHING => Origin::Nothing,
            STUBS.. => Origin::Stubs((from - STUBS) as usize),
            _ => Origin::Entry(from),
        };
        Self { code: start..end, from }
    }

    pub(super) fn overlaps(&self, code: &Range<u64>) -> bool {
        self.code.start < code.end && self.code.end > code.start
    }
}

/// Reads entries of `.eh_frame`.
pub(super) struct Entries<'a> {
    section: EhFrame<Bytes<'a>>,
    bases: BaseAddresses,
    context: gimli::UnwindContext<usize>,
    cies: HashMap<usize, gimli::Result<CommonInformationEntry<Bytes<'a>>>>,
}

impl<'a> Entries<'a> {
    pub(super) fn new(input: &Input<'a>) -> Self {
        Self {
            section: EhFrame::new(input.eh_frame, gimli::LittleEndian),
            bases: BaseAddresses::default()
                .set_eh_frame(input.eh_frame_address)
                .set_text(input.text_address),
            context: gimli::UnwindContext::new(),
            cies: HashMap::new(),
        }
    }

    /// The functions within the code of `input`, in no order, and how many could not be read.
    pub(super) fn functions(
        &mut self,
        input: &Input<'a>,
    ) -> Result<(Array<PlainFunction>, usize), ResolveError> {
        let mut functions = Array::default();
        let mut damaged = 0;
        let Self { section, bases, cies, .. } = self;
        let mut entries = section.entries(bases);
        while let Ok(Some(entry)) = entries.next() {
            let CieOrFde::Fde(partial) = entry else { continue };
            let Ok(fde) = partial.parse(|section, bases, offset| {
                let read = || section.cie_from_offset(bases, offset);
                cies.entry(offset.0).or_insert_with(read).clone()
            }) else {
                damaged += 1;
                continue;
            };
            let (start, end) = (fde.initial_address(), fde.end_address());
            if input.code.start <= start && start < end && end <= input.code.end {
                let from = Origin::Entry(fde.offset() as u64);
                functions.push(Function { code: start..end, from }.plain())?;
            }
        }
        Ok((functions, damaged))
    }

    /// Puts the rows of the entry at an offset into `rows`, which it empties first.
    pub(super) fn rows(&mut self, offset: u64, rows: &mut Vec<(u64, Rule)>) -> gimli::Result<()> {
        rows.clear();
        let Self { section, bases, context, cies } = self;
        let fde = section.fde_from_offset(
            bases,
            (offset as usize).into(),
            |section, bases, offset| {
                let read = || section.cie_from_offset(bases, offset);
                cies.entry(offset.0).or_insert_with(read).clone()
            },
        )?;
        let encoding = fde.cie().encoding();
        let signal = fde.is_signal_trampoline();
        let mut unwound = fde.rows(section, bases, context)?;
        while let Some(row) = unwound.next_row()? {
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

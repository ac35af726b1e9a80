//! The few forms of `.eh_frame` that compilers write, read at a fifth of the general reader's cost.
//!
//! V8's file describes a hundred thousand functions, and the profiler reads them all when it starts.
//! What is not of these forms is left to the general reader: expressions, registers saved in others,
//! pointers that are encoded otherwise.

use gimli::{CallFrameInstruction, CommonInformationEntry, Register, constants};
use sondage_sampler::Rule;
use std::ops::Range;

use super::Bytes;
use super::functions::{MAX_ROWS, Reading};
use super::rule::{Saved, compact_plain, registers};

/// States that one function keeps at a time; more than three were not seen.
const MAX_KEPT: usize = 8;

/// What all functions of one kind have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Common {
    code_factor: u64,
    data_factor: i64,
    has_augmentation: bool,
    signal: bool,
    initial: State,
}

/// How the registers of the caller are found, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    cfa: Register,
    offset: i64,
    fp: Saved,
    ra: Saved,
}

/// A function's description.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    common: Common,
    instructions: &'a [u8],
    start: u64,
    length: u64,
}

impl Common {
    /// `None` for one whose functions are left to the general reader.
    pub(super) fn of(
        common: &CommonInformationEntry<Bytes<'_>>,
        reading: &Reading<'_>,
    ) -> Option<Self> {
        const PLAIN: u8 = constants::DW_EH_PE_pcrel.0 | constants::DW_EH_PE_sdata4.0;
        if common.fde_address_encoding()?.0 != PLAIN || common.encoding().address_size != 8 {
            return None;
        }
        let unset = State {
            cfa: Register(u16::MAX),
            offset: 0,
            fp: Saved::Unchanged,
            ra: Saved::Unchanged,
        };
        let mut this = Self {
            code_factor: common.code_alignment_factor(),
            data_factor: common.data_alignment_factor(),
            has_augmentation: common.augmentation().is_some(),
            signal: common.is_signal_trampoline(),
            initial: unset,
        };
        let mut instructions = common.instructions(&reading.section, &reading.bases);
        while let Some(instruction) = instructions.next().ok()? {
            match instruction {
                CallFrameInstruction::DefCfa { register, offset } => {
                    this.initial.cfa = register;
                    this.initial.offset = offset as i64;
                }
                CallFrameInstruction::Offset { register, factored_offset } => {
                    let saved = saved(factored_offset, this.data_factor);
                    this.initial.save(register, saved);
                }
                CallFrameInstruction::Nop => {}
                _ => return None,
            }
        }
        Some(this)
    }
}

impl State {
    fn save(&mut self, register: Register, saved: Saved) {
        if register == registers::FP {
            self.fp = saved;
        } else if register == registers::RA {
            self.ra = saved;
        }
    }

    fn restore(&mut self, register: Register, initial: &Self) {
        if register == registers::FP {
            self.fp = initial.fp;
        } else if register == registers::RA {
            self.ra = initial.ra;
        }
    }
}

/// Where a register is saved, given as a multiple of what all such offsets are multiples of.
fn saved(offset: u64, factor: i64) -> Saved {
    Saved::At((offset as i64).wrapping_mul(factor))
}

/// Where the common part of the entry at `offset` stands; `None` where that cannot be told.
pub(super) fn common_offset(bytes: &[u8], offset: usize) -> Option<usize> {
    let mut bytes = Cursor(bytes.get(offset..)?);
    let length = bytes.word()?;
    if length >= 0xffff_fff0 {
        return None;
    }
    let back = bytes.word()? as usize;
    offset.checked_add(4)?.checked_sub(back).filter(|_| back != 0)
}

impl<'a> Entry<'a> {
    /// Reads the entry at `offset` of the section, whose address is `section`.
    pub(super) fn read(
        bytes: &'a [u8],
        section: u64,
        offset: usize,
        common: Common,
    ) -> Option<Self> {
        let mut head = Cursor(bytes.get(offset..)?);
        let length = head.word()? as usize;
        let mut entry = Cursor(head.0.get(..length)?);
        entry.skip(4)?;
        let place = section.wrapping_add(offset as u64).wrapping_add(8);
        let start = place.wrapping_add(i64::from(entry.word()? as i32) as u64);
        // The length is encoded as the address is, but for its base.
        let length = u64::from(entry.word()?);
        if common.has_augmentation {
            let more = entry.number()?;
            entry.skip(usize::try_from(more).ok()?)?;
        }
        let signed = i32::try_from(length).is_ok();
        signed.then_some(Self { common, instructions: entry.0, start, length })
    }

    pub(super) fn code(&self) -> Range<u64> {
        self.start..self.start.saturating_add(self.length)
    }

    /// Appends the rows; `None` where one of the instructions is not of the few, and then what was
    /// appended means nothing.
    pub(super) fn rows(&self, rows: &mut Vec<(u64, Rule)>) -> Option<()> {
        let Common { code_factor, data_factor, initial, signal, .. } = self.common;
        let rule = |state: &State| match signal {
            true => Rule { cfa: Rule::SIGNAL, ..Rule::default() },
            false => compact_plain(state.cfa, state.offset, state.fp, state.ra),
        };
        let mut kept = [initial; MAX_KEPT];
        let mut count = 0;
        let mut state = initial;
        let mut address = self.start;
        let mut rest = Cursor(self.instructions);
        while let Some(byte) = rest.byte() {
            if let Some(advance) = rest.advance(byte)? {
                if rows.len() >= MAX_ROWS {
                    return None;
                }
                rows.push((address, rule(&state)));
                address = address.checked_add(advance.checked_mul(code_factor)?)?;
                continue;
            }
            let low = Register(u16::from(byte & 0x3f));
            match (byte >> 6, constants::DwCfa(byte)) {
                (2, _) => state.save(low, saved(rest.number()?, data_factor)),
                (3, _) => state.restore(low, &initial),
                (_, constants::DW_CFA_nop) => {}
                (_, constants::DW_CFA_offset_extended) => {
                    let register = rest.register()?;
                    state.save(register, saved(rest.number()?, data_factor));
                }
                (_, constants::DW_CFA_restore_extended) => {
                    state.restore(rest.register()?, &initial);
                }
                (_, constants::DW_CFA_undefined) => state.save(rest.register()?, Saved::Nowhere),
                (_, constants::DW_CFA_same_value) => {
                    state.save(rest.register()?, Saved::Unchanged);
                }
                (_, constants::DW_CFA_remember_state) => {
                    *kept.get_mut(count)? = state;
                    count += 1;
                }
                (_, constants::DW_CFA_restore_state) => {
                    count = count.checked_sub(1)?;
                    state = kept[count];
                }
                (_, constants::DW_CFA_def_cfa) => {
                    state.cfa = rest.register()?;
                    state.offset = rest.number()? as i64;
                }
                (_, constants::DW_CFA_def_cfa_register) => state.cfa = rest.register()?,
                (_, constants::DW_CFA_def_cfa_offset) => state.offset = rest.number()? as i64,
                (_, constants::DW_CFA_GNU_args_size) => {
                    rest.number()?;
                }
                _ => return None,
            }
        }
        rows.push((address, rule(&state)));
        Some(())
    }
}

/// Bytes that are still to be read.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take().map(|[byte]| byte)
    }

    fn half(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn word(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    /// How far the instruction `byte` advances; `Some(None)` for one that does not, `None` where it
    /// is cut short.
    fn advance(&mut self, byte: u8) -> Option<Option<u64>> {
        Some(match constants::DwCfa(byte) {
            _ if byte >> 6 == 1 => Some(u64::from(byte & 0x3f)),
            constants::DW_CFA_advance_loc1 => Some(self.byte()?.into()),
            constants::DW_CFA_advance_loc2 => Some(self.half()?.into()),
            constants::DW_CFA_advance_loc4 => Some(self.word()?.into()),
            _ => None,
        })
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.0 = self.0.get(count..)?;
        Some(())
    }

    /// An unsigned LEB128 number.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn register(&mut self) -> Option<Register> {
        u16::try_from(self.number()?).ok().map(Register)
    }
}

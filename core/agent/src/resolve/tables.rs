//! Builds the sampler's compact unwind tables from `.eh_frame` and the linker's stubs.
//!
//! Pure computation over bytes that were read from a file and may be anything: a function whose
//! unwind information is damaged is left out and counted, the others are kept.

use gimli::{
    BaseAddresses, CfaRule, CieOrFde, EhFrame, Operation, Register, RegisterRule, UnwindSection,
};
use hashbrown::HashMap;
use sondage_sampler::{Rule, Table};
use std::ops::Range;

use super::error::ResolveError;
use super::image::Image;
use super::stubs;

type Bytes<'a> = gimli::EndianSlice<'a, gimli::LittleEndian>;

/// Rows beyond this are not built (about 100 times the largest library measured).
const MAX_ROWS: usize = 64 << 20;

/// Bytes of `.eh_frame` for each row, about: 6 in libpython 3.12.
const BYTES_PER_ROW: usize = 6;

/// `.eh_frame` beyond this size is never read.
pub(super) const MAX_EH_FRAME: u64 = 128 << 20;

/// Code pages of one table: 4 GiB of code.
const MAX_PAGES: u64 = 1 << 16;

#[cfg(target_arch = "x86_64")]
mod registers {
    use gimli::{Register, X86_64};
    pub(super) const SP: Register = X86_64::RSP;
    pub(super) const FP: Register = X86_64::RBP;
    pub(super) const RA: Register = X86_64::RA;
}

#[cfg(target_arch = "aarch64")]
mod registers {
    use gimli::{AArch64, Register};
    pub(super) const SP: Register = AArch64::SP;
    pub(super) const FP: Register = AArch64::X29;
    pub(super) const RA: Register = AArch64::X30;
}

/// A table that owns its arrays; see [`Table`] for their meaning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnedTable {
    base: u64,
    pages: Vec<u32>,
    rows: Vec<u32>,
    rules: Vec<Rule>,
    /// Functions left out because their unwind information is damaged.
    pub damaged: usize,
    /// Rows that the compact form cannot express.
    pub unsupported: usize,
}

/// Where unwind information lies and what it describes, in addresses of the file.
struct Input<'a> {
    eh_frame: &'a [u8],
    eh_frame_address: u64,
    /// Few producers refer to it; 0 where the file has none.
    text_address: u64,
    /// The executable segments, from the first address to one past the last.
    code: Range<u64>,
    /// The linker's stubs, with the address of each section.
    stubs: Vec<(u64, &'a [u8])>,
}

impl OwnedTable {
    /// Builds the table of a module: about 0.2 µs a row, 4 ms for libc. Returns `None` when the
    /// file describes none of its code.
    ///
    /// # Errors
    /// Where `.eh_frame` cannot be read or is larger than 128 MiB.
    pub fn build(image: &Image) -> Result<Option<Self>, ResolveError> {
        let address = |name| image.section(name).map_or(0, |section| section.address);
        let Some(eh_frame) = image.section_bytes(".eh_frame", MAX_EH_FRAME)? else {
            return Ok(None);
        };
        let code = image.load_segments().filter(|segment| segment.is_executable());
        let code = code.map(|it| it.address..it.address.saturating_add(it.memory_size));
        let code = code.reduce(|all, it| all.start.min(it.start)..all.end.max(it.end));
        let Some(code) = code else { return Ok(None) };
        let stubs = stubs::SECTIONS.into_iter().filter_map(|name| {
            let bytes = image.section_bytes(name, stubs::MAX_SECTION).ok()??;
            Some((address(name), bytes))
        });
        let stubs: Vec<_> = stubs.collect();
        Ok(Self::from_input(&Input {
            eh_frame: &eh_frame,
            eh_frame_address: address(".eh_frame"),
            text_address: address(".text"),
            code,
            stubs: stubs.iter().map(|(address, bytes)| (*address, &**bytes)).collect(),
        }))
    }

    fn from_input(input: &Input<'_>) -> Option<Self> {
        let mut rows = Rows::default();
        rows.items.reserve((input.eh_frame.len() / BYTES_PER_ROW).min(1 << 20));
        rows.collect(input);
        rows.add_stubs(input);
        let base = input.code.start & !0xffff;
        let pages = input.code.end.checked_sub(base)?.div_ceil(1 << 16);
        if rows.items.is_empty() || pages == 0 || pages > MAX_PAGES {
            return None;
        }
        let is_unsupported = |item: &&(u64, Rule)| item.1.cfa == Rule::UNSUPPORTED;
        let mut table = Self {
            base,
            damaged: rows.damaged,
            unsupported: rows.items.iter().filter(is_unsupported).count(),
            ..Self::default()
        };
        table.lay_out(&rows.finish(), pages);
        Some(table)
    }

    /// The view that the sampler copies.
    pub fn as_table(&self) -> Table<'_> {
        Table { base: self.base, pages: &self.pages, rows: &self.rows, rules: &self.rules }
    }

    fn lay_out(&mut self, rows: &[(u64, Rule)], pages: u64) {
        let mut ids: HashMap<Rule, u32> = HashMap::new();
        self.rows.reserve(rows.len() + pages as usize);
        let mut next = 0;
        let mut current = Rule::default();
        for page in 0..pages {
            let start = self.base + (page << 16);
            self.pages.push(u32::try_from(self.rows.len()).unwrap_or(u32::MAX));
            while rows.get(next).is_some_and(|row| row.0 <= start) {
                current = rows[next].1;
                next += 1;
            }
            self.push_row(&mut ids, 0, current);
            while let Some(&(address, rule)) = rows.get(next)
                && address < start + (1 << 16)
            {
                current = rule;
                self.push_row(&mut ids, (address & 0xffff) as u32, rule);
                next += 1;
            }
        }
        self.pages.push(u32::try_from(self.rows.len()).unwrap_or(u32::MAX));
    }

    fn push_row(&mut self, ids: &mut HashMap<Rule, u32>, low: u32, rule: Rule) {
        let rules = &mut self.rules;
        let id = *ids.entry(rule).or_insert_with(|| {
            // More than 65,535 distinct rules do not occur; if they did, those beyond would
            // share the last, "unsupported".
            if rules.len() >= usize::from(u16::MAX) {
                return u32::from(u16::MAX);
            }
            rules.push(rule);
            (rules.len() - 1) as u32
        });
        if id == u32::from(u16::MAX) && rules.len() == usize::from(u16::MAX) {
            rules.push(Rule { cfa: Rule::UNSUPPORTED, ..Rule::default() });
        }
        self.rows.push(low | id << 16);
    }
}

/// The rows of every function, before they are put in order and gaps are closed.
#[derive(Default)]
struct Rows {
    items: Vec<(u64, Rule)>,
    functions: Vec<Function>,
    damaged: usize,
}

/// Code, and which of the rows are those of it, in address order.
struct Function {
    code: Range<u64>,
    rows: Range<usize>,
}

impl Rows {
    fn collect(&mut self, input: &Input<'_>) {
        let section = EhFrame::new(input.eh_frame, gimli::LittleEndian);
        let bases = BaseAddresses::default()
            .set_eh_frame(input.eh_frame_address)
            .set_text(input.text_address);
        let mut context = gimli::UnwindContext::new();
        let mut cies = HashMap::new();
        let mut entries = section.entries(&bases);
        while let Ok(Some(entry)) = entries.next() {
            let CieOrFde::Fde(partial) = entry else { continue };
            let parsed = partial.parse(|_, bases, offset| {
                cies.entry(offset.0)
                    .or_insert_with(|| section.cie_from_offset(bases, offset))
                    .clone()
            });
            let Ok(fde) = parsed else {
                self.damaged += 1;
                continue;
            };
            let (start, end) = (fde.initial_address(), fde.end_address());
            if start < input.code.start || end > input.code.end || end <= start {
                continue;
            }
            if self.items.len() >= MAX_ROWS {
                return;
            }
            let first = self.items.len();
            match self.add_function(&section, &bases, &mut context, &fde) {
                Ok(()) => self.end_function(start..end, first),
                Err(_) => {
                    self.items.truncate(first);
                    self.damaged += 1;
                }
            }
        }
    }

    fn add_function<'a>(
        &mut self,
        section: &EhFrame<Bytes<'a>>,
        bases: &BaseAddresses,
        context: &mut gimli::UnwindContext<usize>,
        fde: &gimli::FrameDescriptionEntry<Bytes<'a>>,
    ) -> gimli::Result<()> {
        let encoding = fde.cie().encoding();
        let signal = fde.is_signal_trampoline();
        let mut rows = fde.rows(section, bases, context)?;
        while let Some(row) = rows.next_row()? {
            let rule = if signal {
                Rule { cfa: Rule::SIGNAL, ..Rule::default() }
            } else {
                compact(row, section, encoding)
            };
            self.items.push((row.start_address(), rule));
        }
        Ok(())
    }

    /// A function whose rows are those from `first` on.
    fn end_function(&mut self, code: Range<u64>, first: usize) {
        self.functions.push(Function { code, rows: first..self.items.len() });
    }

    /// Adds the stubs that `.eh_frame` says nothing about, or nothing that the compact form can
    /// express; then in place of what it says.
    fn add_stubs(&mut self, input: &Input<'_>) {
        for (start, code) in &input.stubs {
            let (start, end) = (*start, start.saturating_add(code.len() as u64));
            let unsupported = |(address, rule): &(u64, Rule)| {
                (start..end).contains(address) && rule.cfa == Rule::UNSUPPORTED
            };
            let overlaps = |it: &Function| it.code.start < end && it.code.end > start;
            let mut described = self.functions.iter().filter(|it| overlaps(it)).peekable();
            let is_described = described.peek().is_some();
            let mut rows = described.flat_map(|it| &self.items[it.rows.clone()]);
            let understood = is_described && !rows.any(unsupported);
            if !understood && input.code.start <= start && end <= input.code.end {
                self.functions.retain(|it| !overlaps(it));
                let first = self.items.len();
                self.items.extend(stubs::rows(code, start));
                self.end_function(start..end, first);
            }
        }
    }

    /// All rows in order, with the gaps between functions marked, and equal neighbours merged.
    fn finish(mut self) -> Vec<(u64, Rule)> {
        self.functions.sort_unstable_by_key(|it| (it.code.start, it.code.end));
        let mut rows = Vec::with_capacity(self.items.len() + self.functions.len());
        for (at, function) in self.functions.iter().enumerate() {
            rows.extend_from_slice(&self.items[function.rows.clone()]);
            let end = function.code.end;
            if self.functions.get(at + 1).is_none_or(|next| next.code.start > end) {
                rows.push((end, Rule::default()));
            }
        }
        // They are in order already, unless functions overlap: then a function that starts where
        // another ends wins.
        rows.sort_by_key(|(address, rule)| (*address, rule.cfa == Rule::NONE));
        rows.dedup_by_key(|(address, _)| *address);
        rows.dedup_by_key(|(_, rule)| *rule);
        rows
    }
}

pub(super) const UNSUPPORTED: Rule = Rule { cfa: Rule::UNSUPPORTED, ra: 0, fp: 0, offset: 0 };

/// Translates one row of the call frame information.
fn compact(
    row: &gimli::UnwindTableRow<usize>,
    section: &EhFrame<Bytes<'_>>,
    encoding: gimli::Encoding,
) -> Rule {
    if matches!(row.register(registers::RA), Some(RegisterRule::Undefined)) {
        return Rule { cfa: Rule::ROOT, ..Rule::default() };
    }
    let Some((cfa, offset)) = compact_cfa(row.cfa(), section, encoding) else {
        return UNSUPPORTED;
    };
    let fp = row.register(registers::FP);
    let fp = if cfa == Rule::FP_DEREF {
        saved_at_fp(fp.as_ref(), section, encoding).then_some(0)
    } else {
        saved_in_words(fp)
    };
    let Some(fp) = fp else { return UNSUPPORTED };
    let Some(ra) = saved_in_words(row.register(registers::RA)) else { return UNSUPPORTED };
    let ra = if cfg!(target_arch = "x86_64") { 0 } else { ra.saturating_sub(fp) };
    let (Ok(offset), Ok(fp), Ok(ra)) = (i32::try_from(offset), i16::try_from(fp), i8::try_from(ra))
    else {
        return UNSUPPORTED;
    };
    Rule { cfa, ra, fp, offset }
}

fn compact_cfa(
    cfa: &CfaRule<usize>,
    section: &EhFrame<Bytes<'_>>,
    encoding: gimli::Encoding,
) -> Option<(u8, i64)> {
    match cfa {
        CfaRule::RegisterAndOffset { register, offset } => match *register {
            registers::SP => Some((Rule::SP, *offset)),
            registers::FP => Some((Rule::FP, *offset)),
            _ => None,
        },
        CfaRule::Expression(expression) => {
            compact_expression(&operations(expression, section, encoding)?)
        }
    }
}

/// The operations of an expression, if they are few.
fn operations<'a>(
    expression: &gimli::UnwindExpression<usize>,
    section: &EhFrame<Bytes<'a>>,
    encoding: gimli::Encoding,
) -> Option<Vec<Operation<Bytes<'a>>>> {
    let mut operations = expression.get(section).ok()?.operations(encoding);
    let mut list = Vec::new();
    while let Some(operation) = operations.next().ok()? {
        list.push(operation);
        if list.len() > 16 {
            return None;
        }
    }
    Some(list)
}

/// The three CFA expressions that compilers and linkers emit.
fn compact_expression(operations: &[Operation<Bytes<'_>>]) -> Option<(u8, i64)> {
    match operations {
        // "The word at sp + offset": functions that realign their stack.
        [Operation::RegisterOffset { register, offset, .. }, Operation::Deref { .. }]
            if *register == registers::SP =>
        {
            Some((Rule::SP_DEREF, *offset))
        }
        // "The word at fp + offset": gcc's functions that do so and call `alloca`.
        [Operation::RegisterOffset { register, offset, .. }, Operation::Deref { .. }]
            if *register == registers::FP =>
        {
            Some((Rule::FP_DEREF, *offset))
        }
        // Linkers' lazy-binding stubs: sp + 8 + ((pc & 15) >= 11) * 8.
        [
            Operation::RegisterOffset { register: Register(7), offset: 8, .. },
            Operation::RegisterOffset { register: Register(16), offset: 0, .. },
            Operation::UnsignedConstant { value: 15 },
            Operation::And,
            Operation::UnsignedConstant { value: 11 },
            Operation::Ge,
            Operation::UnsignedConstant { value: 3 },
            Operation::Shl,
            Operation::Plus,
        ] if cfg!(target_arch = "x86_64") => Some((Rule::PLT, 0)),
        _ => None,
    }
}

/// Whether the caller's frame pointer lies where the frame pointer points, said by an expression.
fn saved_at_fp(
    rule: Option<&RegisterRule<usize>>,
    section: &EhFrame<Bytes<'_>>,
    encoding: gimli::Encoding,
) -> bool {
    let Some(RegisterRule::Expression(expression)) = rule else { return false };
    matches!(
        operations(expression, section, encoding).as_deref(),
        Some([Operation::RegisterOffset { register: registers::FP, offset: 0, .. }])
    )
}

/// Where a register is saved, in words from the CFA: 0 if it is unchanged, `None` if the compact
/// form cannot say.
fn saved_in_words(rule: Option<RegisterRule<usize>>) -> Option<i64> {
    match rule {
        None | Some(RegisterRule::SameValue | RegisterRule::Undefined) => Some(0),
        Some(RegisterRule::Offset(bytes)) if bytes % 8 == 0 => Some(bytes / 8),
        _ => None,
    }
}

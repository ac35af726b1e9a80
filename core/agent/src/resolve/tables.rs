//! Builds the sampler's compact unwind tables from `.eh_frame`.
//!
//! Pure computation over bytes that were read from a file and may be anything: a function whose
//! unwind information is damaged is left out and counted, the others are kept.

use gimli::{
    BaseAddresses, CfaRule, CieOrFde, EhFrame, Operation, Register, RegisterRule, UnwindSection,
};
use sondage_sampler::{Rule, Table};
use std::collections::HashMap;

type Bytes<'a> = gimli::EndianSlice<'a, gimli::LittleEndian>;

/// Rows beyond this are not built (about 100 times the largest library measured).
const MAX_ROWS: usize = 64 << 20;

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

/// Where `.eh_frame` lies and what it describes, in addresses of the file.
#[derive(Clone, Copy, Debug)]
pub struct EhFrameInput<'a> {
    /// The bytes of the section.
    pub eh_frame: &'a [u8],
    /// The section's address.
    pub eh_frame_address: u64,
    /// The address of `.text`, or 0; few producers refer to it.
    pub text_address: u64,
    /// First address of executable code.
    pub code_start: u64,
    /// One past the last.
    pub code_end: u64,
}

impl OwnedTable {
    /// Builds the table: about 0.2 µs a row, 4 ms for libc. Returns `None` when the input
    /// describes no code at all.
    pub fn build(input: &EhFrameInput<'_>) -> Option<Self> {
        let mut rows = Rows::default();
        rows.collect(input);
        let base = input.code_start & !0xffff;
        let pages = input.code_end.checked_sub(base)?.div_ceil(1 << 16);
        if rows.items.is_empty() || pages == 0 || pages > MAX_PAGES {
            return None;
        }
        let mut table = Self {
            base,
            damaged: rows.damaged,
            unsupported: rows
                .items
                .iter()
                .filter(|(_, rule)| rule.cfa == Rule::UNSUPPORTED)
                .count(),
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

/// Rows in address order of the functions they belong to, before gaps are closed.
#[derive(Default)]
struct Rows {
    items: Vec<(u64, Rule)>,
    /// Start and end of each function.
    functions: Vec<(u64, u64)>,
    damaged: usize,
}

impl Rows {
    fn collect(&mut self, input: &EhFrameInput<'_>) {
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
            if start < input.code_start || end > input.code_end || end <= start {
                continue;
            }
            if self.items.len() >= MAX_ROWS {
                return;
            }
            self.functions.push((start, end));
            if self.add_function(&section, &bases, &mut context, &fde).is_err() {
                self.damaged += 1;
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
        let first = self.items.len();
        let encoding = fde.cie().encoding();
        let signal = fde.is_signal_trampoline();
        let mut rows = fde.rows(section, bases, context)?;
        loop {
            match rows.next_row() {
                Ok(Some(row)) => {
                    let rule = if signal {
                        Rule { cfa: Rule::SIGNAL, ..Rule::default() }
                    } else {
                        compact(row, section, encoding)
                    };
                    self.items.push((row.start_address(), rule));
                }
                Ok(None) => return Ok(()),
                Err(error) => {
                    self.items.truncate(first);
                    return Err(error);
                }
            }
        }
    }

    /// Sorts, marks the gaps between functions, and merges equal neighbours.
    fn finish(mut self) -> Vec<(u64, Rule)> {
        self.functions.sort_unstable();
        for pair in self.functions.windows(2) {
            if pair[1].0 > pair[0].1 {
                self.items.push((pair[0].1, Rule::default()));
            }
        }
        if let Some(last) = self.functions.last() {
            self.items.push((last.1, Rule::default()));
        }
        // A function that starts where a gap would start wins.
        self.items.sort_by_key(|(address, rule)| (*address, rule.cfa == Rule::NONE));
        self.items.dedup_by_key(|(address, _)| *address);
        self.items.dedup_by_key(|(_, rule)| *rule);
        self.items
    }
}

const UNSUPPORTED: Rule = Rule { cfa: Rule::UNSUPPORTED, ra: 0, fp: 0, offset: 0 };

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
    let Some(fp) = saved_in_words(row.register(registers::FP)) else { return UNSUPPORTED };
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
            let mut operations = expression.get(section).ok()?.operations(encoding);
            let mut list = Vec::new();
            while let Some(operation) = operations.next().ok()? {
                list.push(operation);
                if list.len() > 16 {
                    return None;
                }
            }
            compact_expression(&list)
        }
    }
}

/// The two CFA expressions that compilers and linkers emit.
fn compact_expression(operations: &[Operation<Bytes<'_>>]) -> Option<(u8, i64)> {
    match operations {
        // "The word at sp + offset": functions that realign their stack.
        [Operation::RegisterOffset { register, offset, .. }, Operation::Deref { .. }]
            if *register == registers::SP =>
        {
            Some((Rule::SP_DEREF, *offset))
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

/// Where a register is saved, in words from the CFA: 0 if it is unchanged, `None` if the compact
/// form cannot say.
fn saved_in_words(rule: Option<RegisterRule<usize>>) -> Option<i64> {
    match rule {
        None | Some(RegisterRule::SameValue | RegisterRule::Undefined) => Some(0),
        Some(RegisterRule::Offset(bytes)) if bytes % 8 == 0 => Some(bytes / 8),
        _ => None,
    }
}

//! Puts a row of call frame information into the compact form.

use gimli::{CfaRule, EhFrame, Operation, Register, RegisterRule};
use sondage_sampler::Rule;

use super::Bytes;

#[cfg(target_arch = "x86_64")]
pub(super) mod registers {
    use gimli::{Register, X86_64};
    pub(in crate::resolve::tables) const SP: Register = X86_64::RSP;
    pub(in crate::resolve::tables) const FP: Register = X86_64::RBP;
    pub(in crate::resolve::tables) const RA: Register = X86_64::RA;
}

#[cfg(target_arch = "aarch64")]
pub(super) mod registers {
    use gimli::{AArch64, Register};
    pub(in crate::resolve::tables) const SP: Register = AArch64::SP;
    pub(in crate::resolve::tables) const FP: Register = AArch64::X29;
    pub(in crate::resolve::tables) const RA: Register = AArch64::X30;
}

pub(in crate::resolve) const UNSUPPORTED: Rule =
    Rule { cfa: Rule::UNSUPPORTED, ra: 0, fp: 0, offset: 0 };

/// Where the caller's value of a register is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Saved {
    Unchanged,
    /// In bytes from the CFA.
    At(i64),
    /// It cannot be had; there is no caller where that is the return address.
    Nowhere,
}

impl Saved {
    /// In words from the CFA: 0 if it is unchanged, `None` if the compact form cannot say.
    fn in_words(self) -> Option<i64> {
        match self {
            Self::Unchanged | Self::Nowhere => Some(0),
            Self::At(bytes) => (bytes % 8 == 0).then_some(bytes / 8),
        }
    }

    /// `None` for what only a function can tell.
    fn of(rule: Option<&RegisterRule<usize>>) -> Option<Self> {
        match rule {
            None | Some(RegisterRule::SameValue) => Some(Self::Unchanged),
            Some(RegisterRule::Undefined) => Some(Self::Nowhere),
            Some(RegisterRule::Offset(bytes)) => Some(Self::At(*bytes)),
            _ => None,
        }
    }
}

/// Translates one row of the call frame information.
pub(super) fn compact(
    row: &gimli::UnwindTableRow<usize>,
    section: &EhFrame<Bytes<'_>>,
    encoding: gimli::Encoding,
) -> Rule {
    let ra = Saved::of(row.register(registers::RA).as_ref());
    if ra == Some(Saved::Nowhere) {
        return Rule { cfa: Rule::ROOT, ..Rule::default() };
    }
    let Some(Cfa { kind: cfa, offset, words }) = compact_cfa(row.cfa(), section, encoding) else {
        return UNSUPPORTED;
    };
    let fp = row.register(registers::FP);
    let fp = if cfa == Rule::FP_DEREF {
        saved_at_fp(fp.as_ref(), section, encoding).then_some(Saved::Unchanged)
    } else {
        Saved::of(fp.as_ref())
    };
    let rule = fp.zip(ra).map_or(UNSUPPORTED, |(fp, ra)| assemble(cfa, offset, fp, ra));
    if words == 0 || rule == UNSUPPORTED { rule } else { Rule { ra: words, ..rule } }
}

/// The rule for a CFA that is a register and an offset.
pub(super) fn compact_plain(cfa: Register, offset: i64, fp: Saved, ra: Saved) -> Rule {
    if ra == Saved::Nowhere {
        return Rule { cfa: Rule::ROOT, ..Rule::default() };
    }
    plain_cfa(cfa).map_or(UNSUPPORTED, |cfa| assemble(cfa, offset, fp, ra))
}

fn assemble(cfa: u8, offset: i64, fp: Saved, ra: Saved) -> Rule {
    let (Some(fp), Some(ra)) = (fp.in_words(), ra.in_words()) else { return UNSUPPORTED };
    let ra = if cfg!(target_arch = "x86_64") { 0 } else { ra.saturating_sub(fp) };
    let (Ok(offset), Ok(fp), Ok(ra)) = (i32::try_from(offset), i16::try_from(fp), i8::try_from(ra))
    else {
        return UNSUPPORTED;
    };
    Rule { cfa, ra, fp, offset }
}

/// A CFA in the terms of [`Rule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cfa {
    kind: u8,
    offset: i64,
    /// See [`Rule::SP_DEREF`].
    words: i8,
}

impl Cfa {
    fn new(kind: u8, offset: i64) -> Self {
        Self { kind, offset, words: 0 }
    }
}

fn plain_cfa(register: Register) -> Option<u8> {
    match register {
        registers::SP => Some(Rule::SP),
        registers::FP => Some(Rule::FP),
        _ => None,
    }
}

fn compact_cfa(
    cfa: &CfaRule<usize>,
    section: &EhFrame<Bytes<'_>>,
    encoding: gimli::Encoding,
) -> Option<Cfa> {
    match cfa {
        CfaRule::RegisterAndOffset { register, offset } => {
            plain_cfa(*register).map(|kind| Cfa::new(kind, *offset))
        }
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

/// The CFA expressions that compilers, linkers and OpenSSL's authors write.
fn compact_expression(operations: &[Operation<Bytes<'_>>]) -> Option<Cfa> {
    match operations {
        // "The word at sp + offset": functions that realign their stack.
        [Operation::RegisterOffset { register, offset, .. }, Operation::Deref { .. }]
            if *register == registers::SP =>
        {
            Some(Cfa::new(Rule::SP_DEREF, *offset))
        }
        // "The word at fp + offset": gcc's functions that do so and call `alloca`.
        [Operation::RegisterOffset { register, offset, .. }, Operation::Deref { .. }]
            if *register == registers::FP =>
        {
            Some(Cfa::new(Rule::FP_DEREF, *offset))
        }
        // "The word at sp + offset, plus so much": assembly that keeps its old stack pointer.
        [
            Operation::RegisterOffset { register: registers::SP, offset, .. },
            Operation::Deref { .. },
            Operation::PlusConstant { value },
        ] if cfg!(target_arch = "x86_64") && value % 8 == 0 => {
            let words = i8::try_from(value / 8).ok()?;
            Some(Cfa { kind: Rule::SP_DEREF, offset: *offset, words })
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
        ] if cfg!(target_arch = "x86_64") => Some(Cfa::new(Rule::PLT, 0)),
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

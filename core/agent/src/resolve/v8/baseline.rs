//! Sparkplug's code: from an offset of machine code to one of bytecode.
//!
//! The code has, for each bytecode instruction in turn, how many bytes of machine code it became. So
//! the instructions must be walked, whose lengths V8 has in a table of its own that it does not
//! export, but has a symbol for.

use super::positions::number;

/// The table's symbol: a byte for each kind of instruction, at three widths of operands.
pub(super) const SIZES_SYMBOL: &str = "_ZN2v88internal11interpreter9Bytecodes14kBytecodeSizesE";

/// Bytes of the table, at most: three for each of 256 kinds.
pub(super) const MAX_SIZES: usize = 768;

/// The first four instructions widen the operands of the next: by two, by four, and two for the
/// debugger.
const WIDE: [(u8, usize); 4] = [(0, 1), (1, 2), (2, 1), (3, 2)];

/// The lengths of bytecode instructions.
#[derive(Clone, Debug)]
pub(super) struct Sizes(Vec<u8>);

impl Sizes {
    /// The table as it lies in V8's file; `None` if it cannot be one.
    pub(super) fn new(table: Vec<u8>) -> Option<Self> {
        let is_one = table.len().is_multiple_of(3) && (300..=MAX_SIZES).contains(&table.len());
        is_one.then_some(Self(table))
    }

    /// Bytes of the instruction that `code` begins with.
    fn of(&self, code: &[u8]) -> Option<usize> {
        let (first, rest) = code.split_first()?;
        let kinds = self.0.len() / 3;
        let (width, kind, before) = match WIDE.iter().find(|(wide, _)| wide == first) {
            Some((_, width)) => (*width, *rest.first()?, 1),
            None => (0, *first, 0),
        };
        let size = *self.0.get(width * kinds + usize::from(kind))?;
        (usize::from(kind) < kinds && size > 0).then(|| before + usize::from(size))
    }

    /// The offset in `instructions` of what became the machine code at `offset`, by the table of
    /// lengths. What comes before the first instruction, entering the function, belongs to it.
    pub(super) fn bytecode_offset(
        &self,
        lengths: &[u8],
        instructions: &[u8],
        offset: u32,
    ) -> Option<u32> {
        let mut rest = lengths;
        let mut code = 0u64;
        let mut at = 0usize;
        // The first length is that of entering the function.
        let mut enters = true;
        while !rest.is_empty() {
            code += number(&mut rest)?;
            if code > u64::from(offset) {
                return u32::try_from(at).ok();
            }
            if !enters {
                at += self.of(instructions.get(at..)?)?;
            }
            enters = false;
        }
        u32::try_from(at).ok().filter(|_| at < instructions.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 100 kinds: four that widen, then those of kind % 4 + 1 bytes; wide operands double it.
    fn sizes() -> Sizes {
        let plain = (0..100u8).map(|kind| kind % 4 + 1);
        let wide = (0..100u8).map(|kind| (kind % 4 + 1) * 2);
        let wider = (0..100u8).map(|kind| (kind % 4 + 1) * 4);
        Sizes::new(plain.chain(wide).chain(wider).collect()).unwrap()
    }

    #[test]
    fn machine_code_belongs_to_the_instruction_that_it_was_made_of() {
        // 10: 3 bytes; wide 8: 1 + 2; 9: 2.
        let instructions = [10, 0, 0, 0, 8, 1, 9, 0];
        let lengths = [20, 5, 7, 4];
        let at = |offset| sizes().bytecode_offset(&lengths, &instructions, offset);
        assert_eq!(at(0), Some(0), "entering");
        assert_eq!(at(19), Some(0));
        assert_eq!(at(20), Some(0));
        assert_eq!(at(24), Some(0));
        assert_eq!(at(25), Some(3));
        assert_eq!(at(31), Some(3));
        assert_eq!(at(32), Some(6));
        assert_eq!(at(36), None, "behind the last");
    }

    #[test]
    fn what_is_no_table_or_no_bytecode_is_refused() {
        assert!(Sizes::new(vec![1; 10]).is_none());
        assert!(Sizes::new(vec![1; 301]).is_none());
        let none = sizes().bytecode_offset(&[1, 1, 1, 1], &[200, 0], 3);
        assert_eq!(none, None);
    }
}

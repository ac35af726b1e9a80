//! Values that hold for ranges of instructions: stack depth, line, file, inlined call.

use std::ops::Range;

use gimli::Reader as _;

use crate::resolve::paged::Reader;

/// Ranges of one function; only a damaged file has more.
const MAX_RANGES: usize = 1 << 20;

/// The ranges of one function and the value of each, in the order of addresses. Ends where the
/// function does, or where the bytes make no sense.
pub(super) struct Values<'a> {
    reader: Reader<'a>,
    code: Range<u64>,
    at: u64,
    value: i32,
    /// What lengths are counted in.
    quantum: u64,
    left: usize,
}

impl<'a> Values<'a> {
    /// `reader` begins with the values of the function that lies at `code`; lengths are counted in
    /// `quantum` bytes.
    pub(super) fn new(reader: Reader<'a>, code: Range<u64>, quantum: u8) -> Self {
        let quantum = quantum.into();
        Self { reader, at: code.start, code, value: -1, quantum, left: MAX_RANGES }
    }

    fn number(&mut self) -> Option<u32> {
        let mut number = 0u32;
        for shift in (0..32).step_by(7) {
            let byte = self.reader.read_u8().ok()?;
            number |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// The value that holds at an address.
    pub(super) fn at(self, address: u64) -> Option<i32> {
        let mut ranges = self;
        ranges.find(|(range, _)| address < range.end).map(|(_, value)| value)
    }
}

impl Iterator for Values<'_> {
    type Item = (Range<u64>, i32);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        if self.at >= self.code.end {
            return None;
        }
        let change = self.number()?;
        if change == 0 && self.at != self.code.start {
            return None;
        }
        let change = (change >> 1) as i32 ^ -((change & 1) as i32);
        self.value = self.value.wrapping_add(change);
        let length = u64::from(self.number()?) * self.quantum;
        let start = self.at;
        self.at = start.saturating_add(length).min(self.code.end);
        Some((start..self.at, self.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::bytes::Bytes;
    use proptest::prelude::*;
    use std::rc::Rc;

    fn values(bytes: &[u8], code: Range<u64>) -> Values<'static> {
        Values::new(Reader::of_bytes(Rc::new(Bytes::from(bytes.to_vec()))), code, 1)
    }

    #[test]
    fn a_value_is_the_sum_of_the_changes_before_it() {
        // -1 + 1 = 0 for one unit, + 8 = 8 for 200, - 8 = 0 for one.
        let bytes = [2, 1, 16, 0xc8, 1, 15, 1, 0];
        let all: Vec<_> = values(&bytes, 100..302).collect();
        assert_eq!(all, [(100..101, 0), (101..301, 8), (301..302, 0)]);
        assert_eq!(values(&bytes, 100..1000).at(101), Some(8));
        assert_eq!(values(&bytes, 100..1000).at(999), None, "beyond the last range");
    }

    proptest! {
        #[test]
        fn any_bytes_end_within_the_function(bytes: Vec<u8>, length in 0u64..5000) {
            let mut last = 100;
            for (range, _) in values(&bytes, 100..100 + length) {
                prop_assert!(range.start == last && range.end <= 100 + length);
                last = range.end;
            }
        }
    }
}

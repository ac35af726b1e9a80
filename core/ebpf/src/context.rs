//! The contexts that threads publish (OTEP 4947), as `bpf/context.h` copies them.

/// Where a thread has the pointer to its context: `struct context_place` in `bpf/sample.h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContextPlace {
    /// From the thread's pointer, or in the module's block of thread-local variables.
    pub offset: i64,
    /// The module, as the dynamic linker numbers those that have such variables; 0: the place is the
    /// same for all threads, as seen from the thread's pointer.
    pub module: u32,
}

impl ContextPlace {
    /// As the programs read it.
    pub(crate) fn words(self) -> [u64; 2] {
        [self.offset.cast_unsigned(), u64::from(self.module)]
    }
}

/// What was copied of the attributes of a thread's context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContextAttributes<'a> {
    bytes: &'a [u8],
    /// There were more bytes of them than the 612 that are copied.
    pub cut: bool,
}

impl<'a> ContextAttributes<'a> {
    /// Reads the bytes of a record's words; `None` where it is shorter than it says.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let ([low, high, _, flags], rest) = bytes.split_first_chunk()?;
        let bytes = rest.get(..usize::from(u16::from_ne_bytes([*low, *high])))?;
        Some(Self { bytes, cut: flags & 1 != 0 })
    }

    /// Indexes of keys with their values, in their order, up to one that is not whole. Of several
    /// with the same key the last counts. What is not UTF-8 is replaced.
    pub fn pairs(self) -> impl Iterator<Item = (u8, String)> + 'a {
        let mut rest = self.bytes;
        std::iter::from_fn(move || {
            let ([key, length], text) = rest.split_first_chunk()?;
            let (value, text) = text.split_at_checked((*length).into())?;
            rest = text;
            Some((*key, String::from_utf8_lossy(value).into_owned()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_as_they_were_copied_up_to_one_that_is_cut() {
        let bytes = b"\x0b\0\0\x01\x02\x02ab\0\0\x07\x04abcd....";
        let attributes = ContextAttributes::read(bytes).unwrap();
        assert!(attributes.cut);
        let pairs: Vec<_> = attributes.pairs().collect();
        assert_eq!(pairs, [(2, "ab".to_owned()), (0, String::new())]);
        assert_eq!(ContextAttributes::read(&bytes[..14]), None);
        assert_eq!(ContextAttributes::read(&bytes[..3]), None);
        assert_eq!(ContextAttributes::read(&[0; 4]).unwrap().pairs().count(), 0);
    }

    #[test]
    fn a_place_is_laid_out_as_the_program_reads_it() {
        let place = ContextPlace { offset: -8, module: 3 };
        assert_eq!(place.words(), [u64::MAX - 7, 3]);
    }
}

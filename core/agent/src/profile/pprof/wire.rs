//! The outer layer of a protocol buffer, walked without building anything.

use super::message::field;
use crate::Error;
use crate::profile::limits;

/// One field of a message.
#[derive(Debug)]
pub(super) struct Field<'a> {
    number: u64,
    /// The bytes of a string, a message or packed numbers; `None` for a single number.
    bytes: Option<&'a [u8]>,
}

/// The fields of a message in the order of the file. Ends after the first error.
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.rest = rest;
        Some(taken)
    }

    fn field(&mut self) -> Option<Field<'a>> {
        let key = self.varint()?;
        let bytes = match key & 7 {
            0 => self.varint().map(|_| None)?,
            1 => self.take(8).map(|_| None)?,
            2 => self.varint().and_then(|length| self.take(length)).map(Some)?,
            5 => self.take(4).map(|_| None)?,
            _ => return None,
        };
        Some(Field { number: key >> 3, bytes })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.rest = &[];
        }
        Some(field.ok_or_else(|| Error::malformed("not a pprof file, or a damaged one")))
    }
}

/// The bytes of every field numbered `number`.
pub(super) fn all(data: &[u8], number: u32) -> impl Iterator<Item = Result<&[u8], Error>> {
    Fields { rest: data }.filter_map(move |field| match field {
        Ok(Field { number: n, bytes: Some(bytes) }) if n == u64::from(number) => Some(Ok(bytes)),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    })
}

/// Walks all of `data` once and refuses what exceeds the limits, before anything is built.
pub(super) fn check(data: &[u8]) -> Result<(), Error> {
    let mut counts = [0usize; 15];
    for item in (Fields { rest: data }) {
        let item = item?;
        let index = usize::try_from(item.number).unwrap_or(usize::MAX);
        let Some(count) = counts.get_mut(index) else { continue };
        *count += 1;
        let length = item.bytes.map_or(0, <[u8]>::len);
        let (name, entries) = match u32::try_from(index).unwrap_or(0) {
            field::SAMPLE_TYPE => ("sample types", limits::MAX_SAMPLE_TYPES),
            field::SAMPLE => ("samples", limits::MAX_ENTRIES),
            field::MAPPING => ("mappings", limits::MAX_ENTRIES),
            field::LOCATION => ("locations", limits::MAX_ENTRIES),
            field::FUNCTION => ("functions", limits::MAX_ENTRIES),
            field::STRING => ("strings", limits::MAX_ENTRIES),
            field::COMMENT => ("comments", limits::MAX_COMMENTS),
            _ => ("single fields", limits::MAX_ENTRIES),
        };
        if *count > entries {
            return Err(Error::too_large(format!("more than {entries} {name}")));
        }
        if length > limits::MAX_MESSAGE_BYTES && index != field::STRING as usize {
            let limit = limits::MAX_MESSAGE_BYTES;
            return Err(Error::too_large(format!("one of the {name} has more than {limit} bytes")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{all, check};

    #[test]
    fn fields_of_every_wire_type_are_walked_over() {
        let data = [
            0x48, 0x96, 0x01, 0x32, 2, b'h', b'i', 0x7d, 1, 2, 3, 4, 0x79, 1, 2, 3, 4, 5, 6, 7, 8,
            0x32, 0,
        ];
        check(&data).unwrap();
        let strings: Vec<_> = all(&data, 6).map(Result::unwrap).collect();
        assert_eq!(strings, [&b"hi"[..], b""]);
    }

    #[test]
    fn a_length_beyond_the_data_and_an_endless_number_are_errors() {
        for bad in [&[0x32, 5, b'x'][..], &[0x32, 0xff], &[0x80; 11], &[0x33], &[0x48]] {
            assert!(check(bad).is_err(), "{bad:?}");
            assert!(all(bad, 6).any(|item| item.is_err()), "{bad:?}");
        }
    }
}

//! `OTEL_RESOURCE_ATTRIBUTES`: `key=value,key=value`, percent-encoded.

use crate::text::{MAX_VALUE, clean};

/// Attributes of one process that are kept.
pub(crate) const MAX_ATTRIBUTES: usize = 32;

/// Bytes of a key.
const MAX_KEY: usize = 128;

/// The attributes in their order; none where a part is wrong, as OpenTelemetry asks for. They are
/// another process' own words: bounded and cleaned.
pub(crate) fn parse(text: &[u8]) -> Vec<(String, String)> {
    let parts = text.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let pairs = parts.filter(|part| !part.is_empty()).take(MAX_ATTRIBUTES).map(|part| {
        let equals = part.iter().position(|byte| *byte == b'=')?;
        let key = decoded(part[..equals].trim_ascii())?;
        let value = decoded(part[equals + 1..].trim_ascii())?;
        (!key.is_empty()).then(|| (clean(&key, MAX_KEY), clean(&value, MAX_VALUE)))
    });
    pairs.collect::<Option<_>>().unwrap_or_default()
}

fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        if *byte != b'%' {
            out.push(*byte);
            continue;
        }
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
        out.push(u8::try_from(high << 4 | low).ok()?);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_decoded_or_dropped_as_a_whole() {
        let read = |text: &str| parse(text.as_bytes());
        let expected = [("service.name", "a,b"), ("k", "é"), ("empty", "")];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(read("service.name=a%2Cb, k = %C3%A9 ,,empty="), expected);
        for text in ["", "a", "a=1,b", "a=%", "a=%4", "a=%zz", "=x"] {
            assert_eq!(read(text), [], "{text}");
        }
        assert_eq!(read("a=%0a%1b")[0].1, "\u{fffd}\u{fffd}");
    }

    #[test]
    fn attributes_are_bounded() {
        let text: String = (0..1000).map(|n| format!("k{n}={},", "v".repeat(2000))).collect();
        let read = parse(text.as_bytes());
        assert_eq!((read.len(), read[0].1.len()), (MAX_ATTRIBUTES, MAX_VALUE));
    }
}

//! Percent-encoding of URLs.

use std::borrow::Cow;

/// `bytes` with every `%41` as the byte that it stands for; what is no such thing stays.
pub(super) fn percent_decoded(bytes: &[u8]) -> Cow<'_, [u8]> {
    if !bytes.contains(&b'%') {
        return Cow::Borrowed(bytes);
    }
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        let pair = match rest {
            [b'%', high, low, ..] => digit(high).zip(digit(low)),
            _ => None,
        };
        decoded.push(pair.map_or(*first, |(high, low)| (high * 16 + low) as u8));
        rest = if pair.is_some() { &after[2..] } else { after };
    }
    Cow::Owned(decoded)
}

//! Labels as 40 bytes, which the signal handler reads.
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | `SONDAGE1` |
//! | 8..12 | number of the label set |
//! | 12..16 | zeros |
//! | 16..24 | span |
//! | 24..40 | trace, its high half first |
//!
//! Numbers are in the processor's own order.

use sondage::LabelSet;

/// Tells the bytes from any others, and from those of a later version.
const MAGIC: [u8; 8] = *b"SONDAGE1";

const LENGTH: usize = 40;

/// The bytes that stand for a set.
pub(super) fn encode(set: LabelSet) -> [u8; LENGTH] {
    let trace = set.trace_id().unwrap_or(0);
    let mut bytes = [0; LENGTH];
    let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
    put(0, &MAGIC);
    put(8, &set.id().to_ne_bytes());
    put(16, &set.span_id().unwrap_or(0).to_ne_bytes());
    put(24, &((trace >> 64) as u64).to_ne_bytes());
    put(32, &(trace as u64).to_ne_bytes());
    bytes
}

/// The set that bytes stand for; that without labels where they are not ours.
pub(super) fn decode(bytes: &[u8]) -> LabelSet {
    if bytes.len() != LENGTH || !bytes.starts_with(&MAGIC) {
        return LabelSet::EMPTY;
    }
    let word = |at: usize| bytes[at..].first_chunk().map_or(0, |word| u64::from_ne_bytes(*word));
    let set = bytes[8..].first_chunk().map_or(0, |id| u32::from_ne_bytes(*id));
    let trace = u128::from(word(24)) << 64 | u128::from(word(32));
    LabelSet::from_id(set).with_span(word(16), Some(trace))
}

//! Label sets as the stores that JavaScript keeps.
//!
//! A store is what an `AsyncLocalStorage` holds for the running code: the number of a set, or,
//! where a span is current too, a string of 32 Latin-1 characters, which V8 keeps as so many bytes
//! in a row. The signal handler reads both.
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | `SDG1` |
//! | 4..8 | the number of the set |
//! | 8..16 | the span's id |
//! | 16..32 | the trace's id: its high half, its low half |
//!
//! Numbers are little-endian.

use napi::bindgen_prelude::{Either, Latin1String};
use napi::{Env, JsString};
use napi_derive::napi;
use sondage::LabelSet;

use crate::fence::fenced;

/// How a string begins that is a store.
const MAGIC: [u8; 4] = *b"SDG1";

/// The labels of a store; none, where a string is not one.
fn labels(store: &Either<u32, Latin1String>) -> LabelSet {
    match store {
        Either::A(set) => LabelSet::from_id(*set),
        Either::B(text) => under_span(text).unwrap_or_default(),
    }
}

fn under_span(text: &[u8]) -> Option<LabelSet> {
    let (magic, rest) = text.split_first_chunk()?;
    let (set, rest) = rest.split_first_chunk()?;
    let (span, rest) = rest.split_first_chunk()?;
    let (high, rest) = rest.split_first_chunk()?;
    let low = rest.try_into().ok()?;
    let trace = u128::from(u64::from_le_bytes(*high)) << 64 | u128::from(u64::from_le_bytes(low));
    let set = LabelSet::from_id(u32::from_le_bytes(*set));
    (*magic == MAGIC).then(|| set.with_span(u64::from_le_bytes(*span), Some(trace)))
}

/// The store of labels under a span. Not by concatenation in JavaScript, which makes a tree of
/// strings.
fn store<'env>(env: &'env Env, labels: LabelSet) -> napi::Result<Option<JsString<'env>>> {
    let trace = labels.trace_id().unwrap_or(0);
    let words = [labels.span_id().unwrap_or(0), (trace >> 64) as u64, trace as u64];
    let mut text = [MAGIC, labels.id().to_le_bytes()].concat();
    text.extend(words.into_iter().flat_map(u64::to_le_bytes));
    env.create_string_latin1(text).map(Some)
}

/// The number of the set `from` with more labels: `pairs` is key, value, key, value…
#[napi]
pub fn with_pairs(from: u32, pairs: Vec<String>) -> napi::Result<u32> {
    fenced(0, || {
        let (pairs, _) = pairs.as_chunks::<2>();
        let pairs = pairs.iter().map(|[key, value]| (key.as_str(), value.as_str()));
        Ok(LabelSet::from_id(from).with(pairs).id())
    })
}

/// The store of a set under a span: 16 hexadecimal digits, and 32 for its trace. Null where the
/// span is none.
#[napi]
pub fn span_store<'env>(
    env: &'env Env,
    set: u32,
    span: String,
    trace: String,
) -> napi::Result<Option<JsString<'env>>> {
    fenced(None, || {
        let (Ok(span), Ok(trace)) =
            (u64::from_str_radix(&span, 16), u128::from_str_radix(&trace, 16))
        else {
            return Ok(None);
        };
        if span == 0 {
            return Ok(None);
        }
        store(env, LabelSet::from_id(set).with_span(span, Some(trace)))
    })
}

/// The span of a store over another set.
#[napi]
pub fn with_set<'env>(
    env: &'env Env,
    before: Latin1String,
    set: u32,
) -> napi::Result<Option<JsString<'env>>> {
    fenced(None, || {
        let Some(before) = under_span(&before) else { return Ok(None) };
        let span = before.span_id().unwrap_or(0);
        store(env, LabelSet::from_id(set).with_span(span, before.trace_id()))
    })
}

/// The labels of a store, sorted by key: key, value, key, value…
#[napi]
pub fn pairs_of(store: Either<u32, Latin1String>) -> napi::Result<Vec<String>> {
    fenced(Vec::new(), || {
        let pairs = labels(&store).pairs();
        Ok(pairs.into_iter().flat_map(|(key, value)| [key, value]).collect())
    })
}

/// Makes a store's labels current on the calling thread until others are set.
#[napi]
pub fn set_thread_labels(store: Either<u32, Latin1String>) -> napi::Result<()> {
    fenced((), || {
        labels(&store).make_current();
        Ok(())
    })
}

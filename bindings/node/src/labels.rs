//! Label sets as the numbers and texts that JavaScript keeps.

use napi_derive::napi;
use sondage::LabelSet;

use crate::fence::fenced;

/// The number of the set `from` with more labels: `pairs` is key, value, key, value…
#[napi]
pub fn with_pairs(from: u32, pairs: Vec<String>) -> napi::Result<u32> {
    fenced(0, || {
        let (pairs, _) = pairs.as_chunks::<2>();
        let pairs = pairs.iter().map(|[key, value]| (key.as_str(), value.as_str()));
        Ok(LabelSet::from_id(from).with(pairs).id())
    })
}

/// The labels of a set, sorted by key: key, value, key, value…
#[napi]
pub fn pairs_of(set: u32) -> napi::Result<Vec<String>> {
    fenced(Vec::new(), || {
        let pairs = LabelSet::from_id(set).pairs();
        Ok(pairs.into_iter().flat_map(|(key, value)| [key, value]).collect())
    })
}

/// Makes a set current on the calling thread until it is set again.
#[napi]
pub fn set_thread_labels(set: u32) -> napi::Result<u32> {
    fenced(0, || Ok(LabelSet::from_id(set).make_current().id()))
}

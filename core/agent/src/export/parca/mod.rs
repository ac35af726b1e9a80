//! Parca, by `WriteRaw` over gRPC.
//!
//! Parca drops the labels of pprof samples there, so that every label set becomes a series.

mod message;

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use prost::Message;

use super::groups::{halves, pieces};
use super::label_name::label_name;
use super::net::{Channel, Credentials, Request};
use super::sink::{PushError, Sink, Upload};
use super::verdict::judge_call;
use crate::config::{Endpoint, Http};
use crate::error::Error;
use crate::profile::{LabelSetId, Profile, Rename, Selection, pprof};
use message::{Label, LabelSet, Sample, Series, WriteRawRequest};

const PATH: &str = "/parca.profilestore.v1alpha1.ProfileStoreService/WriteRaw";

/// Series of one profile; the samples of the lightest label sets beyond share one.
const MAX_SERIES: usize = 1_000;

/// Label of the series that those share.
const OVERFLOW: &str = "__overflow__";

/// Bytes of one request; the server takes 64 MiB.
const MAX_BYTES: usize = 8 << 20;

/// Sends profiles to a Parca server, or Polar Signals' service.
///
/// CPU time and waiting time become types `process_cpu` and `wall`. Labels get names of letters,
/// digits and underscores. Without trace ids, which would be a series each, span ids are left out
/// too.
#[derive(Debug)]
pub struct ParcaSink {
    endpoint: Endpoint,
    channel: Channel,
    rename: Rename,
}

impl ParcaSink {
    /// Sends to `endpoint`, as `http` says, span and trace ids of samples only if `trace_ids`.
    /// Nobody is contacted yet.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) in a build without the feature
    /// `grpc`.
    pub fn new(endpoint: &Endpoint, http: &Http, trace_ids: bool) -> Result<Self, Error> {
        let channel = Channel::new(endpoint, http, Credentials::Standard)?;
        let rename: Rename = match trace_ids {
            true => |name| Some(label_name(name)),
            false => |name| (name != "trace_id" && name != "span_id").then(|| label_name(name)),
        };
        Ok(Self { endpoint: endpoint.clone(), channel, rename })
    }
}

impl Sink for ParcaSink {
    fn name(&self) -> String {
        format!("parca+{}", self.endpoint)
    }

    fn encode(&mut self, profile: &Profile) -> Result<Vec<Upload>, Error> {
        let mut uploads = Vec::new();
        for (name, piece) in pieces(profile, self.rename) {
            let (sets, note) = label_sets(&piece);
            let mut request = WriteRawRequest::default();
            let mut bytes = 0;
            for (labels, samples) in sets {
                let series = series(&piece, &name, &labels, samples);
                let size = series.encoded_len();
                if bytes + size > MAX_BYTES && !request.series.is_empty() {
                    uploads.push(upload(&std::mem::take(&mut request), &piece, &note));
                    bytes = 0;
                }
                bytes += size;
                request.series.push(series);
            }
            if !request.series.is_empty() {
                uploads.push(upload(&request, &piece, &note));
            }
        }
        Ok(uploads)
    }

    fn push(&mut self, upload: &Upload, deadline: Instant) -> Result<(), PushError> {
        let (content_type, gzip) = ("application/grpc", false);
        let body = &upload.body;
        let request = Request { path: PATH, content_type, gzip, body, reads_reply: false };
        judge_call(self.channel.call(&request, deadline)).map(|_| ())
    }

    fn split(&mut self, whole: &Upload) -> Vec<Upload> {
        let request = WriteRawRequest::decode(whole.body.as_slice()).unwrap_or_default();
        let halves = match request.series.as_slice() {
            [] => Vec::new(),
            [one] => halves_of_series(one),
            many => {
                let (first, second) = many.split_at(many.len() / 2);
                vec![first.to_vec(), second.to_vec()]
            }
        };
        let half = |series| {
            let body = WriteRawRequest { series, normalized: false }.encode_to_vec();
            Upload { body, note: whole.note.clone(), start_unix_nanos: whole.start_unix_nanos }
        };
        halves.into_iter().map(half).collect()
    }
}

fn upload(request: &WriteRawRequest, profile: &Profile, note: &Option<String>) -> Upload {
    let start_unix_nanos = profile.meta.start_unix_nanos;
    Upload { body: request.encode_to_vec(), start_unix_nanos, note: note.clone() }
}

fn halves_of_series(series: &Series) -> Vec<Vec<Series>> {
    let raw = series.samples.first().map(|sample| sample.profile.as_slice());
    let halves = raw.and_then(|raw| halves(&pprof::decode(raw).ok()?));
    let half = |profile: Profile| {
        let samples = vec![Sample { profile: pprof::encode_gz(&profile) }];
        vec![Series { labels: series.labels.clone(), samples }]
    };
    halves.map_or_else(Vec::new, |halves| halves.map(half).to_vec())
}

type LabelSets = Vec<(Vec<(String, String)>, Vec<usize>)>;

/// The label sets of the samples, each with the positions of its samples, and what had to be left
/// out because there are so many. An empty profile has one set, in which its losses travel.
fn label_sets(profile: &Profile) -> (LabelSets, Option<String>) {
    let mut sets: HashMap<LabelSetId, (i64, Vec<usize>)> = HashMap::new();
    for (position, sample) in profile.samples().iter().enumerate() {
        let (weight, samples) = sets.entry(sample.labels).or_default();
        *weight = sample.values.iter().fold(*weight, |sum, value| sum.saturating_add(*value));
        samples.push(position);
    }
    let mut heaviest: Vec<_> = sets.into_iter().collect();
    heaviest.sort_by_key(|(_, (weight, samples))| (Reverse(*weight), samples.first().copied()));
    let rest = heaviest.split_off(heaviest.len().min(MAX_SERIES));
    let pairs = |id| {
        let labels = profile.labels(id).map(|(key, value)| (key.to_owned(), value.to_owned()));
        labels.collect()
    };
    let mut found: LabelSets =
        heaviest.into_iter().map(|(id, (_, samples))| (pairs(id), samples)).collect();
    if found.is_empty() {
        found.push((Vec::new(), Vec::new()));
    }
    if rest.is_empty() {
        return (found, None);
    }
    let note = format!("{} of the lightest label sets share the series {OVERFLOW}", rest.len());
    let mut samples: Vec<_> = rest.into_iter().flat_map(|(_, (_, samples))| samples).collect();
    samples.sort_unstable();
    found.push((vec![(OVERFLOW.to_owned(), "true".to_owned())], samples));
    (found, Some(note))
}

fn series(
    profile: &Profile,
    name: &str,
    labels: &[(String, String)],
    samples: Vec<usize>,
) -> Series {
    // Sample labels win over process labels of the same name, as the narrower ones.
    let mut all = BTreeMap::from([("__name__".to_owned(), name.to_owned())]);
    let own = labels.iter().map(|(key, value)| (key.clone(), value));
    let shared = profile.meta.labels.iter();
    let shared = shared.map(|(key, value)| (label_name(key).into_owned(), value));
    for (key, value) in own.chain(shared) {
        if !value.is_empty() && (key == OVERFLOW || !key.starts_with("__")) {
            all.entry(key).or_insert_with(|| value.clone());
        }
    }
    let columns = (0..profile.sample_types().len()).collect();
    let losses = samples.first().is_none_or(|first| *first == 0);
    let part = profile.part(&Selection { columns, samples, rename: |_| None, losses });
    let labels = all.into_iter().map(|(name, value)| Label { name, value }).collect();
    let samples = vec![Sample { profile: pprof::encode_gz(&part) }];
    Series { labels: Some(LabelSet { labels }), samples }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::ValueType;

    #[test]
    fn values_at_the_ends_of_their_range_order_label_sets_too() {
        let types = ["a", "b"].map(|kind| ValueType::new(kind, "count"));
        let mut profile = Profile::new(types.to_vec());
        let location = profile.named_location("f");
        let stack = profile.stack(&[location]);
        for (route, value) in [("light", i64::MIN), ("heavy", i64::MAX)] {
            let set = profile.label_set([("route", route)]);
            profile.add(stack, set, &[value, value]);
        }
        let (sets, note) = label_sets(&profile);
        let routes: Vec<&str> = sets.iter().map(|(labels, _)| labels[0].1.as_str()).collect();
        assert_eq!((routes, note), (vec!["heavy", "light"], None));
    }
}

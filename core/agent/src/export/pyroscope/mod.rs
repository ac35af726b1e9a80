//! Pyroscope, by its `push.v1` API.
//!
//! One request carries one series: the server stores the good series of a request that it refuses
//! for a bad one, and does not recognise a repeated upload. For the same reason an upload without
//! an answer is not sent again.

mod message;
mod series;
mod verdict;

use std::borrow::Cow;
use std::time::{Duration, Instant};

use prost::Message;

use super::http::{Client, Failure};
use super::sink::{PushError, Sink, Upload};
use crate::config::{Endpoint, Http};
use crate::error::Error;
use crate::profile::{Profile, Selection, ValueType, pprof};
use message::{Label, PushRequest, Sample, Series};
use series::Group;

/// Where uploads go, below the prefix of the endpoint.
const PATH: &str = "/push.v1.PusherService/Push";

/// The server counts uncompressed bytes against a rate with a burst of 2 MB by default, and
/// refuses for ever what is larger.
const MAX_RAW_BYTES: usize = 1_500_000;

/// Its limit on samples.
const MAX_SAMPLES: usize = 16_000;

/// It takes profiles that began at most an hour ago.
const MAX_AGE: Duration = Duration::from_secs(55 * 60);

/// Sends profiles to a Pyroscope server of any version from 1.0.
///
/// CPU time and waiting time become series `process_cpu` and `wall`, in one upload each. Labels
/// get names that every version stores alike (`k8s.pod.name` becomes `k8s_pod_name`); trace ids
/// are left out, span ids stay. A profile above the server's default limits becomes several.
#[derive(Debug)]
pub struct PyroscopeSink {
    endpoint: Endpoint,
    client: Client,
}

impl PyroscopeSink {
    /// Sends to `endpoint`, as `http` says. Nobody is contacted yet.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) in a build without the feature
    /// `push`.
    pub fn new(endpoint: Endpoint, http: &Http) -> Result<Self, Error> {
        Ok(Self { endpoint, client: Client::new(http)? })
    }
}

impl Sink for PyroscopeSink {
    fn name(&self) -> String {
        format!("pyroscope+{}", self.endpoint)
    }

    fn max_age(&self) -> Option<Duration> {
        Some(MAX_AGE)
    }

    fn encode(&mut self, profile: &Profile) -> Result<Vec<Upload>, Error> {
        let mut uploads = Vec::new();
        for (index, group) in series::groups(profile.sample_types()).iter().enumerate() {
            let whole = piece(profile, group, index == 0);
            // A series without samples has nothing to show, but may say what was lost.
            if whole.samples().is_empty() && (index > 0 || whole.losses().is_empty()) {
                continue;
            }
            let (labels, note) = series::labels(&whole, &group.name);
            let first = uploads.len();
            encode_pieces(&whole, &labels, &mut uploads);
            for upload in &mut uploads[first..] {
                upload.note.clone_from(&note);
            }
        }
        Ok(uploads)
    }

    fn push(&mut self, upload: &Upload, deadline: Instant) -> Result<(), PushError> {
        let answer = self.client.post(&self.endpoint.url(PATH), &upload.body, deadline);
        match answer {
            Ok(response) => verdict::judge(&response),
            Err(Failure::NotSent(message)) => Err(PushError::retry(message)),
            Err(Failure::Unanswered(message)) => Err(PushError::Ambiguous { message }),
        }
    }

    fn split(&mut self, upload: &Upload) -> Vec<Upload> {
        let mut request = PushRequest::decode(upload.body.as_slice()).unwrap_or_default();
        let Some(mut series) = request.series.pop() else { return Vec::new() };
        let Some(sample) = series.samples.pop() else { return Vec::new() };
        let Ok(profile) = pprof::decode(&sample.profile) else { return Vec::new() };
        let Some(halves) = halves(&profile) else { return Vec::new() };
        let upload = |half: Profile| {
            let raw = pprof::encode(&half);
            Upload { note: upload.note.clone(), ..request_of(&half, raw, &series.labels) }
        };
        halves.into_iter().map(upload).collect()
    }
}

/// The columns of one `__name__`, with labels as Pyroscope wants them.
fn piece<'a>(profile: &'a Profile, group: &Group, losses: bool) -> Cow<'a, Profile> {
    let unchanged = group.columns.len() == profile.sample_types().len();
    let mut piece = if unchanged && !series::has_foreign_labels(profile) {
        Cow::Borrowed(profile)
    } else {
        Cow::Owned(profile.part(&Selection {
            columns: group.columns.clone(),
            samples: 0..profile.samples().len(),
            rename: series::sample_label,
            losses,
        }))
    };
    // The period is part of the type's name: wall:wall:nanoseconds:wall:nanoseconds.
    let is_wall = piece.sample_types().first().is_some_and(|first| first.kind == "wall");
    if is_wall && piece.meta.period.is_some() {
        let period = &mut piece.to_mut().meta.period;
        *period = period.take().map(|(_, value)| (ValueType::new("wall", "nanoseconds"), value));
    }
    piece
}

/// Encodes a profile, in halves until each is within the server's limits.
fn encode_pieces(profile: &Profile, labels: &[Label], uploads: &mut Vec<Upload>) {
    let raw = pprof::encode(profile);
    if (raw.len() > MAX_RAW_BYTES || profile.samples().len() > MAX_SAMPLES)
        && let Some(halves) = halves(profile)
    {
        drop(raw);
        for half in &halves {
            encode_pieces(half, labels, uploads);
        }
        return;
    }
    uploads.push(request_of(profile, raw, labels));
}

fn request_of(profile: &Profile, raw: Vec<u8>, labels: &[Label]) -> Upload {
    let sample = Sample { profile: pprof::gzip(raw) };
    let series = Series { labels: labels.to_vec(), samples: vec![sample] };
    let body = PushRequest { series: vec![series] }.encode_to_vec();
    Upload { body, start_unix_nanos: profile.meta.start_unix_nanos, note: None }
}

/// Two profiles with half of the samples each; the first has the losses. `None` for one sample.
fn halves(profile: &Profile) -> Option<[Profile; 2]> {
    let count = profile.samples().len();
    let half = |samples, losses| {
        let columns = (0..profile.sample_types().len()).collect();
        profile.part(&Selection { columns, samples, rename: series::sample_label, losses })
    };
    (count > 1).then(|| [half(0..count / 2, true), half(count / 2..count, false)])
}

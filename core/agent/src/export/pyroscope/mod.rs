//! Pyroscope, by its `push.v1` API.
//!
//! One request carries one series: the server stores the good series of a request that it refuses
//! for a bad one, and does not recognise a repeated upload. For the same reason an upload without
//! an answer is not sent again.

mod ingest;
mod message;
mod series;

pub use ingest::IngestSink;

use std::time::{Duration, Instant};

use prost::Message;

use super::groups::{Most, encode_pieces, halves, pieces};
use super::net::{Client, Credentials, Request};
use super::sink::{PushError, Sink, Upload};
use super::verdict::{Dialect, FEW_TRIES};
use crate::config::{Endpoint, Http};
use crate::error::Error;
use crate::profile::{Profile, Rename, pprof};
use message::{Label, PushRequest, Sample, Series};

/// Where uploads go, below the prefix of the endpoint.
const PATH: &str = "/push.v1.PusherService/Push";

/// The server counts uncompressed bytes against a rate with a burst of 2 MB by default, and
/// refuses for ever what is larger. The other is its limit on samples.
const MOST: Most = Most { raw_bytes: 1_500_000, samples: 16_000 };

/// It takes profiles that began at most an hour ago.
const MAX_AGE: Duration = Duration::from_secs(55 * 60);

const DIALECT: Dialect = Dialect {
    server: "a Pyroscope server",
    // It answers 500 to a profile it cannot read as well as to trouble of its own.
    tries: |status, _| if status == 500 { FEW_TRIES } else { 0 },
    is_size: series::is_size,
    credentials: series::CREDENTIALS,
};

/// Sends profiles to a Pyroscope server of any version from 1.0.
///
/// CPU time and waiting time become series `process_cpu` and `wall`, in one upload each. Labels
/// get names that every version stores alike (`k8s.pod.name` becomes `k8s_pod_name`); span ids
/// stay, trace ids unless they are asked for do not. A profile above the server's default limits becomes several.
#[derive(Debug)]
pub struct PyroscopeSink {
    endpoint: Endpoint,
    client: Client,
    rename: Rename,
}

impl PyroscopeSink {
    /// Sends to `endpoint`, as `http` says, trace ids of samples only if `trace_ids`. Nobody is
    /// contacted yet.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) in a build without the feature
    /// `push`.
    pub fn new(endpoint: Endpoint, http: &Http, trace_ids: bool) -> Result<Self, Error> {
        let client = Client::new(&endpoint, http, Credentials::Standard)?;
        Ok(Self { endpoint, client, rename: series::sample_labels(trace_ids) })
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
        for (name, piece) in pieces(profile, self.rename) {
            let (labels, note) = series::labels(&piece, &name);
            encode_pieces(&piece, MOST, &mut pprof::encode, &mut |part, raw| {
                let upload = request_of(part, raw, &labels);
                uploads.push(Upload { note: note.clone(), ..upload });
            });
        }
        Ok(uploads)
    }

    fn push(&mut self, upload: &Upload, deadline: Instant) -> Result<(), PushError> {
        let request = Request {
            path: PATH,
            content_type: "application/proto",
            gzip: false,
            body: &upload.body,
            reads_reply: false,
        };
        DIALECT.judge(self.client.post(&request, deadline)).map(|_| ())
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

fn request_of(profile: &Profile, raw: Vec<u8>, labels: &[Label]) -> Upload {
    let sample = Sample { profile: pprof::gzip(raw) };
    let series = Series { labels: labels.to_vec(), samples: vec![sample] };
    let body = PushRequest { series: vec![series] }.encode_to_vec();
    Upload { body, start_unix_nanos: profile.meta.start_unix_nanos, note: None }
}

//! A request as a protocol sees it, and what the protocol makes of it.

use std::collections::BTreeMap;
use std::io::Read;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use hyper::HeaderMap;
use percent_encoding::percent_decode_str;

use crate::pprof;
use crate::record::{Profile, Protocol};

/// The most that a body or a profile may unpack to, as the specification of OTLP proposes.
pub(crate) const MAX_BYTES: usize = 64 << 20;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Head and body of a request.
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) is_http2: bool,
    pub(crate) body: Bytes,
}

/// Why nothing, or not everything, of a request is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// A status of HTTP, or of gRPC on its paths.
    pub(crate) status: u16,
    pub(crate) reason: String,
}

impl Refusal {
    pub(crate) fn new(status: u16, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into() }
    }
}

/// What became of the profiles of one request: some servers store the good ones of a bad request.
#[derive(Default)]
pub(crate) struct Verdict {
    pub(crate) accepted: Vec<Profile>,
    pub(crate) refused: Vec<Refusal>,
}

impl Verdict {
    pub(crate) fn add(&mut self, result: Result<Profile, Refusal>) {
        match result {
            Ok(profile) => self.accepted.push(profile),
            Err(refusal) => self.refused.push(refusal),
        }
    }
}

impl From<Result<Vec<Profile>, Refusal>> for Verdict {
    fn from(result: Result<Vec<Profile>, Refusal>) -> Self {
        match result {
            Ok(accepted) => Self { accepted, refused: Vec::new() },
            Err(refusal) => Self { accepted: Vec::new(), refused: vec![refusal] },
        }
    }
}

impl Request {
    /// A header, empty if it is absent or no text.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// All headers as text, for the record.
    pub(crate) fn all_headers(&self) -> Vec<(String, String)> {
        all_headers(&self.headers)
    }

    /// A parameter of the query.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        let value = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).next()?;
        let value = value.replace('+', " ");
        Some(percent_decode_str(&value).decode_utf8_lossy().into_owned())
    }

    /// A profile with everything but its labels.
    pub(crate) fn profile(&self, protocol: Protocol, file: pprof::File) -> Profile {
        Profile {
            protocol,
            path: self.path.clone(),
            headers: self.all_headers(),
            labels: BTreeMap::new(),
            sample_types: file.sample_types,
            period: file.period,
            start_unix_nanos: file.time_nanos,
            duration_nanos: file.duration_nanos,
            samples: file.samples,
            comments: file.comments,
            raw_bytes: file.raw_bytes,
            wire_bytes: self.body.len(),
            count: 1,
        }
    }
}

pub(crate) fn all_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect()
}

/// Whether these bytes begin as gzip does.
pub(crate) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&GZIP_MAGIC)
}

/// Unpacks gzip, up to [`MAX_BYTES`].
pub(crate) fn gunzip(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let read = MultiGzDecoder::new(bytes).take(MAX_BYTES as u64 + 1).read_to_end(&mut out);
    read.map_err(|error| format!("damaged gzip data: {error}"))?;
    if out.len() > MAX_BYTES {
        return Err(format!("unpacks to more than {MAX_BYTES} bytes"));
    }
    Ok(out)
}

/// Nanoseconds since the Unix epoch.
pub(crate) fn now_nanos() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

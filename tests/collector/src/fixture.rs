//! The smallest messages that every rule lets through, for tests to break.

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use prost::Message;
use std::future::Future;
use std::io::Write;

use crate::grpc;
use crate::pprof::{Function, Label, Line, Location, Pprof, SampleMessage, TypeMessage};
use crate::request::{Request, Verdict, now_nanos};

/// One sample of `work` at `work.rs:42`, of 10 ms, with a label. Strings 9 and 10 are `span id`
/// and `bad-name`.
pub(crate) fn pprof() -> Pprof {
    let strings =
        ["", "cpu", "nanoseconds", "work", "work.rs", "route", "/", "cpu-time", "a.b", "span id"];
    let cpu = TypeMessage { kind: 1, unit: 2 };
    Pprof {
        sample_types: vec![cpu],
        samples: vec![SampleMessage {
            locations: vec![1],
            values: vec![10_000_000],
            labels: vec![Label { key: 5, text: 6, ..Label::default() }],
        }],
        mappings: Vec::new(),
        locations: vec![Location {
            id: 1,
            mapping: 0,
            lines: vec![Line { function: 1, line: 42 }],
        }],
        functions: vec![Function { id: 1, name: 3, file: 4, ..Function::default() }],
        strings: strings.into_iter().chain(["bad-name"]).map(str::to_owned).collect(),
        time_nanos: now_nanos(),
        duration_nanos: 1_000_000_000,
        period_type: Some(cpu),
        period: 10_000_000,
        ..Pprof::default()
    }
}

/// The same without the label.
pub(crate) fn pprof_without_labels() -> Pprof {
    let mut pprof = pprof();
    pprof.samples[0].labels.clear();
    pprof
}

pub(crate) fn request(path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Request {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap());
    }
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    Request {
        path: path.into(),
        query: query.into(),
        headers: map,
        is_http2: true,
        body: body.into(),
    }
}

pub(crate) fn grpc_request(path: &str, message: &impl Message) -> Request {
    let headers = [("content-type", "application/grpc"), ("te", "trailers")];
    request(path, &headers, grpc::framed(&message.encode_to_vec()))
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Fails unless exactly this was refused and nothing stored.
pub(crate) fn assert_refused(verdict: &Verdict, status: u16, reason: &str) {
    let [refusal] = verdict.refused.as_slice() else {
        panic!("not refused once for {reason:?}: {:?}", verdict.refused)
    };
    assert!(refusal.reason.contains(reason), "{refusal:?} instead of {reason:?}");
    assert_eq!(refusal.status, status, "{refusal:?}");
    assert!(verdict.accepted.is_empty(), "{reason}");
}

/// Fails unless one profile was accepted.
pub(crate) fn assert_accepted(verdict: &Verdict) {
    assert_eq!((verdict.accepted.len(), verdict.refused.as_slice()), (1, &[][..]));
}

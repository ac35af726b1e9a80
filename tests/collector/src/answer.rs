//! Answers: of a server that works, and of one that fails on demand.

use std::io;
use std::iter;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, Response, StatusCode};
use prost::Message;

use crate::fault::Fault;
use crate::grpc;
use crate::pyroscope::push;
use crate::request::{Refusal, Verdict};
use crate::wire::Wire;
use crate::{datadog, otlp};

pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

const GRPC: &str = "application/grpc";
const CHUNK: usize = 64 << 10;

/// What happens to a request.
pub(crate) enum Act {
    /// It is answered.
    Answer(Response<Body>),
    /// The connection is taken from HTTP.
    Wire(Wire),
    /// It waits for ever.
    Wait,
}

/// An answer with a whole body.
pub(crate) fn whole(status: u16, content_type: &str, body: impl Into<Bytes>) -> Response<Body> {
    let body = Full::new(body.into()).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    set(response.headers_mut(), "content-type", content_type);
    response
}

fn set(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        headers.insert(name, value);
    }
}

/// The answer of the server whose path it is.
pub(crate) fn honest(path: &str, is_grpc: bool, verdict: &Verdict) -> Response<Body> {
    match verdict.refused.first() {
        Some(refusal) if is_grpc => {
            trailers_only(grpc::trailers(refusal.status, &refusal.reason, None))
        }
        None if is_grpc => {
            let steps =
                [Step::Data(grpc::framed(&[])), Step::Trailers(grpc::trailers(0, "", None))];
            streamed(GRPC, None, steps.into_iter())
        }
        Some(refusal) => refused(path, refusal),
        None => match path {
            push::PATH => whole(200, "application/proto", ""),
            otlp::HTTP_PATH => whole(200, "application/x-protobuf", ""),
            datadog::INTAKE_PATH => whole(202, "application/json", "{}"),
            _ => whole(200, "text/plain", ""),
        },
    }
}

fn refused(path: &str, refusal: &Refusal) -> Response<Body> {
    let Refusal { status, reason } = refusal;
    match path {
        push::PATH if *status != 415 => {
            let code = push::connect_code(*status);
            let text = serde_json::json!({"code": code, "message": reason}).to_string();
            whole(*status, "application/json", text)
        }
        otlp::HTTP_PATH => {
            let message = reason.clone();
            let code = i32::from(grpc::INVALID_ARGUMENT);
            let body = grpc::Status { code, message, details: Vec::new() }.encode_to_vec();
            whole(*status, "application/x-protobuf", body)
        }
        _ => whole(*status, "text/plain", reason.clone()),
    }
}

/// The failure. `number` counts the connection's requests from 1.
pub(crate) fn failing(fault: &Fault, is_http2: bool, number: u32) -> Option<Act> {
    let millis = Duration::from_millis;
    Some(match fault {
        Fault::None => return None,
        Fault::Status { status, headers, body } => {
            let mut response = whole(*status, "text/plain", body.clone());
            headers.iter().for_each(|(name, value)| set(response.headers_mut(), name, value));
            Act::Answer(response)
        }
        Fault::Redirect { location } => {
            let mut response = whole(307, "text/plain", "");
            set(response.headers_mut(), "location", location);
            Act::Answer(response)
        }
        Fault::Grpc { code, message, retry_after_millis } => {
            Act::Answer(trailers_only(grpc::trailers(*code, message, *retry_after_millis)))
        }
        Fault::Reset => Act::Wire(Wire::Reset),
        Fault::Close => Act::Wire(Wire::Close),
        Fault::Silence => Act::Wait,
        Fault::SlowHeader { interval_millis } => {
            Act::Wire(Wire::slow_header(is_http2, number, millis(*interval_millis)))
        }
        Fault::EndlessHeaders => Act::Wire(Wire::endless_headers(is_http2, number)),
        Fault::Garbage => Act::Wire(Wire::garbage()),
        Fault::GoAway => Act::Wire(Wire::go_away(is_http2)),
        Fault::BreakOff
        | Fault::SlowBody { .. }
        | Fault::HugeBody { .. }
        | Fault::GrpcFraming
        | Fault::NoTrailers
        | Fault::GrpcOversized { .. } => Act::Answer(failing_body(fault)),
    })
}

fn failing_body(fault: &Fault) -> Response<Body> {
    let ok = || Step::Trailers(grpc::trailers(0, "", None));
    match *fault {
        Fault::BreakOff => {
            // What was written before an error is only sent after a while.
            let pause = Step::Wait(Duration::from_millis(50));
            let steps = [Step::Data(Bytes::from_static(b"only this")), pause, Step::Break];
            streamed("text/plain", Some(1000), steps.into_iter())
        }
        Fault::SlowBody { interval_millis } => {
            let pause = Duration::from_millis(interval_millis);
            let pair = move || [Step::Data(Bytes::from_static(b"x")), Step::Wait(pause)];
            let steps = iter::repeat_with(pair).take(1_000_000).flatten();
            streamed("text/plain", Some(1_000_000), steps)
        }
        Fault::HugeBody { bytes } => streamed("text/plain", Some(bytes), filler(bytes)),
        Fault::GrpcFraming => {
            let prefix = Bytes::from_static(&[0, 0, 0, 0, 100, 1, 2, 3]);
            streamed(GRPC, None, [Step::Data(prefix), ok()].into_iter())
        }
        Fault::GrpcOversized { bytes } => {
            let mut prefix = vec![0];
            prefix.extend(bytes.to_be_bytes());
            let steps = iter::once(Step::Data(prefix.into()));
            streamed(GRPC, None, steps.chain(filler(bytes.into())).chain(iter::once_with(ok)))
        }
        // Also for `NoTrailers`: the one that is left.
        _ => streamed(GRPC, None, iter::once(Step::Data(grpc::framed(&[])))),
    }
}

fn trailers_only(trailers: HeaderMap) -> Response<Body> {
    let mut response = whole(200, GRPC, "");
    response.headers_mut().extend(trailers);
    response
}

/// One step of a body.
enum Step {
    Data(Bytes),
    Wait(Duration),
    Trailers(HeaderMap),
    Break,
}

fn filler(bytes: u64) -> impl Iterator<Item = Step> + Send + 'static {
    let chunk = Bytes::from(vec![b'x'; CHUNK]);
    let mut left = bytes;
    iter::from_fn(move || {
        let size = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        left -= size as u64;
        (size > 0).then(|| Step::Data(chunk.slice(..size)))
    })
}

fn streamed(
    content_type: &str,
    length: Option<u64>,
    steps: impl Iterator<Item = Step> + Send + 'static,
) -> Response<Body> {
    let frames = stream::unfold(steps, |mut steps| async {
        loop {
            let frame = match steps.next()? {
                Step::Wait(pause) => {
                    tokio::time::sleep(pause).await;
                    continue;
                }
                Step::Data(bytes) => Ok(Frame::data(bytes)),
                Step::Trailers(trailers) => Ok(Frame::trailers(trailers)),
                Step::Break => Err(io::Error::other("broken off on demand")),
            };
            return Some((frame, steps));
        }
    });
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    set(response.headers_mut(), "content-type", content_type);
    if let Some(length) = length {
        set(response.headers_mut(), "content-length", &length.to_string());
    }
    response
}

//! gRPC on the server's side: one message in, a status out.

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use bytes::{BufMut, Bytes, BytesMut};
use hyper::HeaderMap;
use hyper::header::HeaderValue;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use prost::Message;

use crate::request::{MAX_BYTES, Refusal, Request, gunzip};

pub(crate) const UNKNOWN: u16 = 2;
pub(crate) const INVALID_ARGUMENT: u16 = 3;
const RESOURCE_EXHAUSTED: u16 = 8;
const UNIMPLEMENTED: u16 = 12;
const INTERNAL: u16 = 13;

const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// All that `grpc-message` may not hold as it is.
const MESSAGE: &AsciiSet = &CONTROLS.add(b'%');

/// `google.rpc.Status`, also the body of a refusal by OTLP over HTTP.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Status {
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
    #[prost(string, tag = "2")]
    pub(crate) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(crate) details: Vec<Any>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Any {
    #[prost(string, tag = "1")]
    pub(crate) type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Duration>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Duration {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// The one message of a unary call.
pub(crate) fn message<M: Message + Default>(request: &Request) -> Result<M, Refusal> {
    let internal = |reason: &str| Err(Refusal::new(INTERNAL, reason));
    if !request.is_http2 {
        return internal("gRPC needs HTTP/2");
    }
    if request.header("te") != "trailers" {
        return internal("no te: trailers");
    }
    let [flag, a, b, c, d, rest @ ..] = &request.body[..] else {
        return internal("the body is shorter than a message's prefix");
    };
    if u32::from_be_bytes([*a, *b, *c, *d]) as usize != rest.len() {
        return internal("the message's length is not that of the body");
    }
    let unpacked = match (flag, request.header("grpc-encoding")) {
        (0, _) => rest.to_vec(),
        (1, "gzip") => gunzip(rest).map_err(|reason| Refusal::new(INTERNAL, reason))?,
        (1, other) => {
            return Err(Refusal::new(UNIMPLEMENTED, format!("unknown grpc-encoding {other:?}")));
        }
        _ => return internal("an unknown flag before the message"),
    };
    if unpacked.len() > MAX_BYTES {
        return Err(Refusal::new(RESOURCE_EXHAUSTED, "a message of more than 64 MiB"));
    }
    M::decode(unpacked.as_slice())
        .map_err(|error| Refusal::new(INTERNAL, format!("damaged message: {error}")))
}

/// A message with its prefix.
pub(crate) fn framed(message: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(message.len() + 5);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    bytes.put_slice(message);
    bytes.freeze()
}

/// The trailers that end a call.
pub(crate) fn trailers(code: u16, message: &str, retry_after_millis: Option<u64>) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(code));
    let escaped = utf8_percent_encode(message, MESSAGE).to_string();
    if let Ok(value) = HeaderValue::try_from(escaped)
        && !message.is_empty()
    {
        trailers.insert("grpc-message", value);
    }
    if let Some(millis) = retry_after_millis {
        let seconds = i64::try_from(millis / 1000).unwrap_or(i64::MAX);
        let nanos = i32::try_from(millis % 1000).unwrap_or(0) * 1_000_000;
        let info = RetryInfo { retry_delay: Some(Duration { seconds, nanos }) }.encode_to_vec();
        let details = vec![Any { type_url: RETRY_INFO.into(), value: info }];
        let status = Status { code: i32::from(code), message: message.into(), details };
        if let Ok(value) =
            HeaderValue::try_from(BASE64_STANDARD_NO_PAD.encode(status.encode_to_vec()))
        {
            trailers.insert("grpc-status-details-bin", value);
        }
    }
    trailers
}

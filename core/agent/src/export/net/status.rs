//! The status of a call of gRPC.

use std::time::Duration;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use prost::Message;

use super::Answer;

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    delay: Option<Delay>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The status in trailers, or in the headers of an answer that has nothing else.
pub(super) fn read(headers: &HeaderMap) -> Option<Answer> {
    let text = |name| headers.get(name)?.to_str().ok();
    let code = text("grpc-status")?.parse().unwrap_or(UNKNOWN);
    let message = percent_decoded(text("grpc-message").unwrap_or_default());
    let details = text("grpc-status-details-bin").and_then(|text| BASE64.decode(text).ok());
    let retry_after = details.as_deref().and_then(retry_delay);
    Some(Answer { code, message, retry_after, reply: Vec::new() })
}

const UNKNOWN: u32 = 2;

/// What a status of HTTP stands for where a proxy, or a server that does not speak gRPC, answers.
pub(super) fn of_http(status: u16, headers: &HeaderMap) -> Answer {
    if let Some(answer) = read(headers) {
        return answer;
    }
    let code = match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => UNKNOWN,
    };
    let after = headers.get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    Answer {
        code,
        message: format!("HTTP status {status}"),
        retry_after: after.map(Duration::from_secs),
        reply: Vec::new(),
    }
}

fn retry_delay(details: &[u8]) -> Option<Duration> {
    let status = Status::decode(details).ok()?;
    let any = status.details.iter().find(|any| any.type_url.ends_with("google.rpc.RetryInfo"))?;
    let delay = RetryInfo::decode(any.value.as_slice()).ok()?.delay.unwrap_or_default();
    let seconds = u64::try_from(delay.seconds).ok()?;
    let nanos = u32::try_from(delay.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    Some(Duration::new(seconds, nanos))
}

/// Bytes that the encoding escapes; what is no text afterwards shows as such.
fn percent_decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let escaped = match (first, after) {
            (b'%', [high, low, tail @ ..]) => {
                digit(*high).zip(digit(*low)).map(|(high, low)| ((high << 4 | low) as u8, tail))
            }
            _ => None,
        };
        let (byte, tail) = escaped.unwrap_or((*first, after));
        out.push(byte);
        rest = tail;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs =
            pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        pairs.collect()
    }

    #[test]
    fn a_status_says_what_happened_and_how_long_to_wait() {
        let delay = Some(Delay { seconds: 7, nanos: 500_000_000 });
        let value = RetryInfo { delay }.encode_to_vec();
        let type_url = "type.googleapis.com/google.rpc.RetryInfo".to_owned();
        let details = Status { details: vec![Any { type_url, value }] }.encode_to_vec();
        for padded in [BASE64.encode(&details), BASE64.encode(&details).replace('=', "")] {
            let answer = read(&headers(&[
                ("grpc-status", "8"),
                ("grpc-message", "too%20much: 100%"),
                ("grpc-status-details-bin", &padded),
            ]));
            let answer = answer.unwrap();
            assert_eq!((answer.code, answer.message.as_str()), (8, "too much: 100%"));
            assert_eq!(answer.retry_after, Some(Duration::from_millis(7500)));
        }
        assert!(read(&headers(&[])).is_none());
        let strange = read(&headers(&[("grpc-status", "x"), ("grpc-status-details-bin", "%")]));
        assert_eq!(strange.unwrap().code, UNKNOWN);
    }

    #[test]
    fn a_proxys_answer_stands_for_a_status() {
        let busy = of_http(503, &headers(&[("retry-after", "3")]));
        assert_eq!((busy.code, busy.retry_after), (14, Some(Duration::from_secs(3))));
        assert_eq!(of_http(404, &headers(&[])).code, 12);
    }
}

//! Every fault over HTTP/2, frame by frame.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use sondage_collector::{Collector, Fault};

use crate::by_hand::{bytes, now, number, write_raw};
use crate::client::{Answer, PATIENCE, answer, call, until};

const PATH: &str = "/parca.profilestore.v1alpha1.ProfileStoreService/WriteRaw";
const SHORT: Duration = Duration::from_millis(500);

/// A good call that meets this fault.
fn meet(fault: Fault, timeout: Duration) -> Option<Result<Answer, h2::Error>> {
    let collector = Collector::start().unwrap();
    collector.fail_next([fault]);
    let result = call(collector.address(), PATH, &write_raw(now()), timeout);
    until(|| collector.requests().len() == 1);
    assert!(collector.profiles().is_empty());
    result
}

fn answered(fault: Fault) -> Answer {
    meet(fault, PATIENCE).unwrap().unwrap()
}

fn failed(fault: Fault) -> h2::Error {
    meet(fault, PATIENCE).unwrap().unwrap_err()
}

#[test]
fn a_status_comes_with_its_message_and_when_to_come_again() {
    let message = "später 100%".to_owned();
    let answer = answered(Fault::Grpc {
        code: 8,
        message: message.clone(),
        retry_after_millis: Some(2_500),
    });
    assert_eq!(answer.status(), "8");
    assert_eq!(answer.headers["grpc-message"], "sp%C3%A4ter 100%25");
    let delay = bytes(1, [number(1, 2), number(2, 500_000_000)].concat());
    let info =
        bytes(3, [bytes(1, "type.googleapis.com/google.rpc.RetryInfo"), bytes(2, delay)].concat());
    let expected = [number(1, 8), bytes(2, message), info].concat();
    let encoded = answer.headers["grpc-status-details-bin"].as_bytes();
    use base64::Engine;
    assert_eq!(base64::prelude::BASE64_STANDARD_NO_PAD.decode(encoded).unwrap(), expected);
    let answer =
        answered(Fault::Grpc { code: 14, message: String::new(), retry_after_millis: None });
    assert_eq!(answer.status(), "14");
    assert!(!answer.headers.contains_key("grpc-status-details-bin"));
}

#[test]
fn messages_are_framed_wrongly_or_too_large_or_lack_their_end() {
    let answer = answered(Fault::GrpcFraming);
    assert_eq!((answer.body.as_slice(), answer.status()), (&[0, 0, 0, 0, 100, 1, 2, 3][..], "0"));
    let answer = answered(Fault::GrpcOversized { bytes: 8 << 20 });
    assert_eq!((answer.body.len(), &answer.body[..5]), (5 + (8 << 20), &[0, 0, 0x80, 0, 0][..]));
    assert_eq!(answer.status(), "0");
    let answer = answered(Fault::NoTrailers);
    assert_eq!(answer.body, [0; 5]);
    assert!(answer.trailers.is_none() && !answer.headers.contains_key("grpc-status"));
}

#[test]
fn go_away_disowns_the_call() {
    let error = failed(Fault::GoAway);
    assert!(error.is_go_away() && error.is_remote(), "{error:?}");
    assert_eq!(error.reason(), Some(h2::Reason::NO_ERROR));
}

#[test]
fn connections_end_without_an_answer() {
    for fault in [Fault::Close, Fault::Reset] {
        let error = failed(fault.clone());
        assert!(error.is_io(), "{fault:?}: {error:?}");
    }
}

#[test]
fn a_body_breaks_off_by_a_reset_of_its_stream() {
    let error = failed(Fault::BreakOff);
    assert!(error.is_reset() && error.is_remote(), "{error:?}");
}

#[test]
fn garbage_and_endless_headers_are_errors_of_the_protocol() {
    for fault in [Fault::Garbage, Fault::EndlessHeaders] {
        let error = failed(fault.clone());
        assert!(error.reason().is_some() && !error.is_remote(), "{fault:?}: {error:?}");
    }
}

#[test]
fn silence_and_dripping_heads_and_bodies_outlast_a_client() {
    for fault in [
        Fault::Silence,
        Fault::SlowHeader { interval_millis: 5 },
        Fault::SlowBody { interval_millis: 5 },
    ] {
        assert!(meet(fault.clone(), SHORT).is_none(), "{fault:?}");
    }
}

#[test]
fn statuses_of_http_and_huge_bodies_come_as_over_http1() {
    let status = Fault::Status { status: 502, headers: [].into(), body: "proxy".into() };
    assert_eq!(answered(status).body, b"proxy");
    assert_eq!(answered(Fault::HugeBody { bytes: 10 << 20 }).body.len(), 10 << 20);
    let redirect = answered(Fault::Redirect { location: "/elsewhere".into() });
    assert_eq!(redirect.headers["location"], "/elsewhere");
}

/// What comes back for a request that is written frame by frame: up to so many bytes.
fn wire(fault: Fault, limit: u64) -> Vec<u8> {
    let collector = Collector::start().unwrap();
    collector.fail_next([fault]);
    let mut stream = TcpStream::connect(collector.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // No settings; the headers of stream 1, whole and without a body: POST, http, /.
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let headers = [0, 0, 3, 1, 5, 0, 0, 0, 1, 0x83, 0x86, 0x84];
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    stream.write_all(&[&preface[..], &settings, &headers].concat()).unwrap();
    answer(stream, limit)
}

/// Where these bytes begin.
fn find(bytes: &[u8], what: &[u8]) -> usize {
    let found = bytes.windows(what.len()).position(|it| it == what);
    found.unwrap_or_else(|| panic!("no {what:?} in {bytes:?}"))
}

#[test]
fn the_frames_of_a_fault_are_on_the_wire() {
    let go_away = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert!(wire(Fault::GoAway, 1000).ends_with(&go_away));
    // Headers of 16,384 bytes that come one by one, and are not complete after 200.
    let bytes = wire(Fault::SlowHeader { interval_millis: 1 }, 300);
    let begin = find(&bytes, &[0, 0x40, 0, 1, 0, 0, 0, 0, 1]) + 9;
    assert!(bytes.len() == 300 && bytes[begin..].iter().all(|byte| *byte == 0), "{bytes:?}");
    // Bodies in frames of one byte.
    let bytes = wire(Fault::SlowBody { interval_millis: 1 }, 400);
    let byte = [0, 0, 1, 0, 0, 0, 0, 0, 1, b'x'];
    assert!(bytes[find(&bytes, &byte)..].starts_with(&byte.repeat(10)), "{bytes:?}");
    // Headers that never end, and continuations of them.
    let bytes = wire(Fault::EndlessHeaders, 1 << 20);
    let begin = find(&bytes, &[0, 0, 1, 1, 0, 0, 0, 0, 1, 0x88]) + 10;
    assert_eq!(bytes.len(), 1 << 20);
    let length = u32::from_be_bytes([0, bytes[begin], bytes[begin + 1], bytes[begin + 2]]);
    let frames = bytes[begin..].chunks_exact(length as usize + 9);
    assert!(frames.len() > 50);
    assert!(frames.into_iter().all(|frame| frame[3..9] == [9, 0, 0, 0, 0, 1]));
}

//! Every fault over HTTP/2, frame by frame.

use std::time::Duration;

use sondage_collector::{Collector, Fault};

use crate::by_hand::{bytes, now, number, write_raw};
use crate::client::{Answer, PATIENCE, call, until};

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

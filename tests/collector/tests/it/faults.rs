//! Every fault over HTTP/1, as a client sees it and as it is on the wire.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::time::{Duration, Instant};

use sondage_collector::{Collector, Fault, Faults, Random, Reply};

use crate::by_hand::now;
use crate::client::{PATIENCE, agent, answer, open, try_push, until, url};

const SHORT: Duration = Duration::from_millis(300);

fn failing(reply: impl Into<Reply> + Clone) -> Collector {
    let collector = Collector::start().unwrap();
    collector.fail_next([reply.clone(), reply]);
    collector
}

/// The bytes that come back for a whole request, up to a limit.
fn wire(collector: &Collector, limit: u64) -> Vec<u8> {
    answer(open(collector.address(), 3, 3), limit)
}

/// Nothing was stored, and the requests met the fault.
fn assert_met(collector: &Collector, fault: &str) {
    until(|| !collector.requests().is_empty());
    assert!(collector.profiles().is_empty());
    let requests = collector.requests();
    assert!(requests.iter().all(|request| request.outcome == fault), "{requests:?}");
    assert!(requests.iter().all(|request| !request.path.is_empty()), "{requests:?}");
}

#[test]
fn a_status_comes_with_its_headers_and_body() {
    for after in ["7", "Mon, 23 Nov 2026 10:00:00 GMT"] {
        let headers = BTreeMap::from([("retry-after".to_owned(), after.to_owned())]);
        let collector = failing(Fault::Status { status: 503, headers, body: "later".into() });
        let response = try_push(&collector, PATIENCE, now()).unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["retry-after"]),
            (503, &after.parse().unwrap())
        );
        assert_eq!(response.into_body().read_to_string().unwrap(), "later");
        assert_met(&collector, "status");
    }
}

#[test]
fn a_redirect_leads_elsewhere() {
    let collector = failing(Fault::Redirect { location: "http://other.example/".into() });
    let response = try_push(&collector, PATIENCE, now()).unwrap();
    assert_eq!(response.status(), 307);
    assert_eq!(response.headers()["location"], "http://other.example/");
    assert_met(&collector, "redirect");
}

#[test]
fn a_connection_is_closed_without_an_answer() {
    for fault in [Fault::Close, Fault::GoAway] {
        let collector = failing(fault.clone());
        assert!(try_push(&collector, PATIENCE, now()).is_err(), "{fault:?}");
        assert_eq!(wire(&collector, 1000), b"");
    }
}

#[test]
fn a_connection_is_reset_before_the_body_is_read() {
    let collector = failing(Fault::Reset);
    let mut stream = open(collector.address(), 1_000_000, 10);
    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!(try_push(&collector, PATIENCE, now()).is_err());
    assert_met(&collector, "reset");
}

#[test]
fn a_body_breaks_off() {
    let collector = failing(Fault::BreakOff);
    let response = try_push(&collector, PATIENCE, now()).unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-length"]),
        (200, &1000.into())
    );
    assert!(response.into_body().read_to_string().is_err());
    assert!(wire(&collector, 10_000).ends_with(b"\r\n\r\nonly this"));
    assert_met(&collector, "break_off");
}

#[test]
fn silence_lasts_until_the_client_hangs_up() {
    let collector = failing(Fault::Silence);
    assert!(try_push(&collector, SHORT, now()).is_err());
    let mut stream = open(collector.address(), 3, 3);
    stream.set_read_timeout(Some(SHORT)).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_met(&collector, "silence");
}

#[test]
fn heads_and_bodies_drip() {
    let interval_millis = 5;
    for fault in [Fault::SlowHeader { interval_millis }, Fault::SlowBody { interval_millis }] {
        let collector = failing(fault.clone());
        let begin = Instant::now();
        // No head of an answer is as long, so that these bytes were written one by one.
        let bytes = wire(&collector, 200);
        assert!(bytes.starts_with(b"HTTP/1.1 200 OK\r\n"), "{fault:?}");
        let head = bytes.windows(4).position(|it| it == b"\r\n\r\n");
        assert_eq!(head.is_some(), matches!(fault, Fault::SlowBody { .. }));
        let dripped = 200 - head.map_or(0, |end| end + 4);
        let least = Duration::from_millis(interval_millis) * u32::try_from(dripped - 2).unwrap();
        assert!(begin.elapsed() >= least, "{fault:?}: {dripped} bytes in {:?}", begin.elapsed());
        let error = match try_push(&collector, SHORT, now()) {
            Ok(response) => response.into_body().read_to_string().unwrap_err(),
            Err(error) => error,
        };
        assert!(matches!(error, ureq::Error::Timeout(_)), "{error:?}");
    }
}

#[test]
fn a_huge_body_has_all_its_bytes() {
    let collector = failing(Fault::HugeBody { bytes: 1 << 30 });
    let response = try_push(&collector, PATIENCE, now()).unwrap();
    assert_eq!(response.headers()["content-length"], "1073741824");
    let body = response.into_body().into_with_config().limit(4 << 20).read_to_vec();
    assert!(matches!(body, Err(ureq::Error::BodyExceedsLimit(_))), "{body:?}");
    collector.heal();
    collector.fail_next([Fault::HugeBody { bytes: (64 << 20) + 1 }]);
    let mut reader = try_push(&collector, PATIENCE, now()).unwrap().into_body().into_reader();
    assert_eq!(std::io::copy(&mut reader, &mut std::io::sink()).unwrap(), (64 << 20) + 1);
    assert_met(&collector, "huge_body");
}

#[test]
fn headers_do_not_end() {
    let collector = failing(Fault::EndlessHeaders);
    let bytes = wire(&collector, 1 << 20);
    assert_eq!(bytes.len(), 1 << 20);
    assert!(bytes.starts_with(b"HTTP/1.1 200 OK\r\nx-endless: "));
    assert!(!bytes.windows(4).any(|it| it == b"\r\n\r\n"));
    assert!(try_push(&collector, PATIENCE, now()).is_err());
    assert_met(&collector, "endless_headers");
}

#[test]
fn garbage_is_no_http() {
    let collector = failing(Fault::Garbage);
    assert!(wire(&collector, 1000).starts_with(b"\x00\xffthis is no answer"));
    assert!(try_push(&collector, PATIENCE, now()).is_err());
    assert_met(&collector, "garbage");
}

#[test]
fn a_profile_whose_answer_is_lost_counts_twice_when_it_comes_again() {
    let collector = Collector::start().unwrap();
    collector.fail_next([Reply::after_storing(Fault::Close)]);
    let start = now();
    assert!(try_push(&collector, PATIENCE, start).is_err());
    assert_eq!(collector.profiles()[0].count, 1, "stored, though the client cannot know");
    assert_eq!(try_push(&collector, PATIENCE, start).unwrap().status(), 200);
    assert_eq!(collector.profiles()[0].count, 2);
    assert_eq!(collector.requests()[0].outcome, "stored, then close");
}

#[test]
fn faults_by_chance_are_the_same_for_the_same_seed() {
    let outcomes = |seed| {
        let collector = Collector::start().unwrap();
        let faults = vec![Fault::Close.into(), Reply::after_storing(Fault::Close)];
        let random = Some(Random { probability: 0.5, seed, faults });
        collector.plan(Faults { next: vec![Fault::None.into()], random });
        (0..40).for_each(|_| drop(try_push(&collector, PATIENCE, now())));
        collector.requests().into_iter().map(|request| request.outcome).collect::<Vec<_>>()
    };
    let first = outcomes(1);
    assert_eq!(first, outcomes(1));
    assert_ne!(first, outcomes(2));
    assert_eq!(first[0], "stored", "those that were asked for come before those by chance");
    let faults = first.iter().filter(|outcome| *outcome != "stored").count();
    assert!((8..=32).contains(&faults), "{faults} of 40");
}

#[test]
fn faults_are_planned_in_json_and_mistakes_in_it_are_named() {
    let collector = Collector::start().unwrap();
    let plan = |text: &str| {
        let response = agent(PATIENCE).post(url(&collector, "/_faults")).send(text).unwrap();
        (response.status().as_u16(), response.into_body().read_to_string().unwrap())
    };
    let faults = r#"{
        "next": [{"fault": "status", "status": 429, "headers": {"retry-after": "1"}},
                 {"fault": "close", "store": true}],
        "random": {"probability": 1, "seed": 7, "faults": [{"fault": "status", "status": 500}]}
    }"#;
    assert_eq!(plan(faults).0, 200);
    let push = || try_push(&collector, PATIENCE, now()).map(|response| response.status().as_u16());
    assert_eq!(push().unwrap(), 429);
    assert!(push().is_err());
    assert_eq!(push().unwrap(), 500);
    agent(PATIENCE).delete(url(&collector, "/_faults")).call().unwrap();
    assert_eq!(push().unwrap(), 200);
    for (text, complaint) in
        [(r#"{"next": [{"fault": "flood"}]}"#, "flood"), (r#"{"later": []}"#, "later")]
    {
        let (status, message) = plan(text);
        assert!(status == 400 && message.contains(complaint), "{message}");
    }
}

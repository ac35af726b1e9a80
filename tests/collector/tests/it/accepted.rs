//! A minimal message of every protocol, written by hand, arrives and is understood.

use serde_json::json;
use sondage_collector::{Collector, Profile, Protocol};

use crate::by_hand::{PUSH, bytes, export, gzip, now, number, pprof, push, route, write_raw};
use crate::client::{PATIENCE, agent, call, get, try_push, url};

const OTLP: &str = "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export";
const PARCA: &str = "/parca.profilestore.v1alpha1.ProfileStoreService/WriteRaw";

/// Posts it, expects this status and one profile, and returns it.
fn post(path: &str, headers: &[(&str, &str)], body: Vec<u8>, status: u16) -> Profile {
    let collector = Collector::start().unwrap();
    let mut request = agent(PATIENCE).post(url(&collector, path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send(&body).unwrap();
    assert_eq!(response.status(), status, "{:?}", collector.refused());
    the_only(&collector)
}

fn the_only(collector: &Collector) -> Profile {
    let mut profiles = collector.profiles();
    assert_eq!((profiles.len(), collector.refused().len()), (1, 0), "{:?}", collector.refused());
    assert_eq!(collector.requests()[0].outcome, "stored");
    profiles.remove(0)
}

/// What all of them say.
fn assert_understood(profile: &Profile, protocol: Protocol, start: u64) {
    let sample = &profile.samples[0];
    let frame = &sample.stack[0];
    assert_eq!(profile.protocol, protocol);
    assert_eq!((frame.function.as_str(), frame.file.as_str(), frame.line), ("leaf", "a.rs", 42));
    assert_eq!((sample.values.as_slice(), profile.total(0)), (&[7][..], 7));
    assert_eq!(profile.start_unix_nanos, start as i64);
    assert_eq!(profile.sample_types[0].unit, "nanoseconds");
    assert_eq!(profile.count, 1);
    assert!(profile.raw_bytes > 50 && profile.wire_bytes > 50);
}

#[test]
fn a_push_to_pyroscope_is_understood() {
    let start = now();
    let headers = [("content-type", "application/proto"), ("authorization", "Bearer canary")];
    let profile = post(PUSH, &headers, push(start), 200);
    assert_understood(&profile, Protocol::PyroscopePush, start);
    assert_eq!(profile.labels["service_name"], "shop");
    assert_eq!(profile.samples[0].labels["route"], "/");
    assert_eq!(profile.period.as_ref().unwrap().1, 100);
    let header = ("authorization".to_owned(), "Bearer canary".to_owned());
    assert!(profile.headers.contains(&header), "secrets are kept, so that tests can look for them");
}

#[test]
fn an_ingest_to_pyroscope_is_understood() {
    let start = now();
    let path = "/ingest?name=shop%7Bzone%3Da%7D&format=pprof";
    let profile = post(path, &[], pprof("cpu", start, &[route()]), 200);
    assert_understood(&profile, Protocol::PyroscopeIngest, start);
    assert_eq!((&*profile.labels["service_name"], &*profile.labels["zone"]), ("shop", "a"));
}

#[test]
fn otlp_is_understood_over_http_and_over_grpc() {
    let start = now();
    let headers = [("content-type", "application/x-protobuf"), ("content-encoding", "gzip")];
    let profile = post("/v1development/profiles", &headers, gzip(&export(start)), 200);
    assert_understood(&profile, Protocol::OtlpHttp, start);
    let collector = Collector::start().unwrap();
    let answer = call(collector.address(), OTLP, &export(start), PATIENCE).unwrap().unwrap();
    assert_eq!((answer.status(), answer.body.as_slice()), ("0", &[0; 5][..]));
    let profile = the_only(&collector);
    assert_understood(&profile, Protocol::OtlpGrpc, start);
    assert_eq!(profile.labels["service.name"], "shop");
    assert_eq!(profile.samples[0].labels["route"], "/");
    assert_eq!(profile.samples[0].stack[0].parca_function.as_deref(), Some(""));
}

#[test]
fn a_write_to_parca_is_understood() {
    let start = now();
    let collector = Collector::start().unwrap();
    let answer = call(collector.address(), PARCA, &write_raw(start), PATIENCE).unwrap().unwrap();
    assert_eq!(answer.status(), "0");
    let profile = the_only(&collector);
    assert_understood(&profile, Protocol::Parca, start);
    assert_eq!(profile.labels["zone"], "a");
}

#[test]
fn a_form_to_datadog_is_understood() {
    let event = json!({
        "attachments": ["profile.pprof"], "tags_profiler": "service:shop,language:rust,runtime-id:1",
        "start": "2026-11-23T10:00:00Z", "end": "2026-11-23T10:00:10Z",
        "family": "rust", "version": "4",
    });
    let span = [number(1, 7), number(3, 255)].concat();
    let raw = gzip(&pprof("cpu-time", 1, &[span]));
    let body = [
        b"--B\r\nContent-Disposition: form-data; name=\"event\"; filename=\"event.json\"\r\n",
        b"Content-Type: application/json\r\n\r\n".as_slice(),
        event.to_string().as_bytes(),
        b"\r\n--B\r\nContent-Disposition: form-data; name=\"profile.pprof\"; ",
        b"filename=\"profile.pprof\"\r\n\r\n",
        &raw,
        b"\r\n--B--\r\n",
    ]
    .concat();
    let headers = [("content-type", "multipart/form-data; boundary=B"), ("dd-api-key", "k")];
    for (path, status) in [("/profiling/v1/input", 200), ("/api/v2/profile", 202)] {
        let profile = post(path, &headers, body.clone(), status);
        assert_understood(&profile, Protocol::Datadog, 1_795_428_000_000_000_000);
        assert_eq!(profile.samples[0].numbers["span id"], 255);
    }
}

#[test]
fn a_refusal_names_the_rule_in_the_answer_and_in_the_record() {
    let collector = Collector::start().unwrap();
    let sample = bytes(2, bytes(1, pprof("cpu", now(), &[])));
    let label = bytes(1, [bytes(1, "a"), bytes(2, "b")].concat());
    let body = bytes(1, [label, sample].concat());
    let request = agent(PATIENCE).post(url(&collector, PUSH));
    let response = request.header("content-type", "application/proto").send(&body).unwrap();
    assert_eq!(response.status(), 400);
    let text = response.into_body().read_to_string().unwrap();
    assert!(
        text.contains("\"invalid_argument\"") && text.contains("no metric name provided"),
        "{text}"
    );
    assert!(collector.refused()[0].reason.contains("no metric name"));
    let answer = call(collector.address(), PARCA, &[], PATIENCE).unwrap().unwrap();
    assert_eq!(answer.status(), "3");
    assert_eq!(answer.headers["grpc-message"], "no profile in the request");
    let unknown = call(collector.address(), "/no.Such/Method", &[], PATIENCE).unwrap().unwrap();
    assert_eq!(unknown.status(), "12");
    assert_eq!(collector.refused().len(), 3);
}

#[test]
fn a_profile_that_comes_twice_is_one_with_a_count_of_two() {
    let collector = Collector::start().unwrap();
    let start = now();
    for start in [start, start, start + 1] {
        assert_eq!(try_push(&collector, PATIENCE, start).unwrap().status(), 200);
    }
    let counts: Vec<_> = collector.profiles().iter().map(|profile| profile.count).collect();
    assert_eq!(counts, [2, 1]);
}

#[test]
fn everything_can_be_read_as_json_and_cleared() {
    let collector = Collector::start().unwrap();
    let start = now();
    try_push(&collector, PATIENCE, start).unwrap();
    agent(PATIENCE).get(url(&collector, "/nothing")).call().unwrap();
    let profile = &get(&collector, "/_received")[0];
    assert_eq!(profile["protocol"], "pyroscope_push");
    assert_eq!(profile["start_unix_nanos"], start.to_string());
    assert_eq!(profile["samples"][0]["stack"][0]["function"], "leaf");
    assert_eq!(get(&collector, "/_refused")[0]["reason"], "not a POST");
    let requests = get(&collector, "/_requests");
    assert_eq!(requests.as_array().unwrap().len(), 2, "the collector's own pages do not count");
    assert_eq!(requests[0]["size"], push(start).len());
    assert_eq!(requests[0]["crc32"], crc32fast::hash(&push(start)));
    agent(PATIENCE).delete(url(&collector, "/_received")).call().unwrap();
    for page in ["/_received", "/_refused", "/_requests"] {
        assert_eq!(get(&collector, page), json!([]), "{page}");
    }
}

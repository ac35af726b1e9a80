//! What a Pyroscope server gets.

use std::sync::Arc;

use prost::Message;
use sondage::config::{Auth, Config, Secret, Target};
use sondage::export::{PyroscopeSink, Sink};
use sondage::profile::{LossCause, Profile, ValueType, pprof};

use super::{Scratch, export, profile};
use crate::server::{Reply, Request, Server};

#[derive(Clone, PartialEq, Message)]
pub struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    pub series: Vec<Series>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Series {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    pub samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Sample {
    #[prost(bytes = "vec", tag = "1")]
    pub raw_profile: Vec<u8>,
    #[prost(string, tag = "2")]
    id: String,
}

/// The one series of a request: its labels as `name=value`, and its profile.
fn series(request: &Request) -> (Vec<String>, Profile) {
    let message = PushRequest::decode(request.body.as_slice()).unwrap();
    assert_eq!((message.series.len(), message.series[0].samples.len()), (1, 1));
    let series = &message.series[0];
    let labels = series.labels.iter().map(|label| format!("{}={}", label.name, label.value));
    let raw = &series.samples[0].raw_profile;
    assert!(raw.starts_with(&[0x1f, 0x8b]), "gzipped");
    (labels.collect(), pprof::decode(raw).unwrap())
}

/// A sink for the server, set up as a user would.
pub fn sink(target: &str, auth: Auth) -> PyroscopeSink {
    let target: Target = target.parse().unwrap();
    let config = Config::builder().auth(auth).tenant("team-a").targets([target]).build().unwrap();
    let Target::Pyroscope(endpoint) = config.targets[0].clone() else { panic!("{config:?}") };
    PyroscopeSink::new(endpoint, &config.http, false).unwrap()
}

fn ok() -> Server {
    Server::start(vec![Reply::status(200)])
}

#[test]
fn a_profile_arrives_with_its_labels_and_headers() {
    let server = ok();
    let mut sent = (*profile("/orders")).clone();
    sent.meta.labels.push(("k8s.pod.name".into(), "pod-1".into()));
    let auth = Auth::Token(Secret::new("t0ken").unwrap());
    let stats = export(sink(&format!("{}/prefix/", server.target()), auth), &[Arc::new(sent)]);
    assert_eq!((stats.pushed, stats.lost(), stats.last_error), (1, 0, None));
    let request = &server.requests()[0];
    assert_eq!(request.line, "POST /prefix/push.v1.PusherService/Push HTTP/1.1");
    for (name, value) in [
        ("content-type", "application/proto"),
        ("authorization", "Bearer t0ken"),
        ("x-scope-orgid", "team-a"),
        ("content-length", &request.body.len().to_string()),
        ("user-agent", concat!("sondage/", env!("CARGO_PKG_VERSION"))),
    ] {
        assert_eq!(request.headers[name], value);
    }
    for absent in ["content-encoding", "transfer-encoding", "cookie"] {
        assert!(!request.headers.contains_key(absent), "{absent}");
    }
    let (labels, profile) = series(request);
    assert_eq!(labels, ["__name__=process_cpu", "service_name=shop", "k8s_pod_name=pod-1"]);
    assert_eq!(profile.total(0), 10_000_000);
    let route: Vec<_> = profile.labels(profile.samples()[0].labels).collect();
    assert_eq!(route, [("route", "/orders")]);
}

#[test]
fn secrets_in_files_are_read_for_every_upload() {
    let (server, scratch) = (ok(), Scratch::new());
    let path = scratch.0.join("secret");
    for (text, basic) in [("user:pässword", true), ("user:password", true), ("token", false)] {
        std::fs::write(&path, "a:b").unwrap();
        let file = path.clone();
        let auth = if basic { Auth::BasicFile(file) } else { Auth::TokenFile(file) };
        let sink = sink(&server.target(), auth);
        // Rotated after the sink was made.
        std::fs::write(&path, format!("{text}\n")).unwrap();
        let stats = export(sink, &[profile("a")]);
        assert_eq!(stats.pushed, u64::from(text.is_ascii()));
        assert!(!format!("{stats:?}").contains("ssword"), "{stats:?}");
    }
    let sent: Vec<_> =
        server.requests().iter().map(|it| it.headers["authorization"].clone()).collect();
    assert_eq!(sent, ["Basic dXNlcjpwYXNzd29yZA==", "Bearer token"]);
}

#[test]
fn cpu_and_waiting_time_are_series_of_their_own() {
    let server = ok();
    let cpu = ValueType::new("cpu", "nanoseconds");
    let mut sent = Profile::new(vec![
        ValueType::new("samples", "count"),
        cpu.clone(),
        ValueType::new("wall", "nanoseconds"),
    ]);
    sent.meta = profile("").meta.clone();
    sent.add_loss(LossCause::Dropped, 5);
    let location = sent.named_location("work");
    let stack = sent.stack(&[location]);
    let labels = sent.label_set([
        ("http.route", "/x"),
        ("span_id", "00000000000000ff"),
        ("trace_id", "0123456789abcdef0123456789abcdef"),
    ]);
    sent.add(stack, labels, &[1, 10, 100]);
    let stats = export(sink(&server.target(), Auth::None), &[Arc::new(sent)]);
    assert_eq!((stats.pushed, stats.lost()), (2, 0));
    let (labels, profile) = series(&server.requests()[0]);
    assert_eq!(labels[0], "__name__=process_cpu");
    assert_eq!(profile.sample_types(), [ValueType::new("samples", "count"), cpu]);
    assert_eq!((profile.total(0), profile.total(1)), (1, 10));
    assert_eq!(profile.losses().len(), 1);
    let labels: Vec<_> = profile.labels(profile.samples()[0].labels).collect();
    assert_eq!(labels, [("http_route", "/x"), ("span_id", "00000000000000ff")]);
    let (labels, profile) = series(&server.requests()[1]);
    let wall = ValueType::new("wall", "nanoseconds");
    assert_eq!(labels[0], "__name__=wall");
    assert_eq!(profile.meta.period, Some((wall.clone(), 10_000_000)));
    assert_eq!((profile.sample_types(), profile.total(0)), ([wall].as_slice(), 100));
    assert!(profile.losses().is_empty(), "losses are told once");
}

/// As many samples as asked for, each of a stack of its own.
fn large(samples: i64) -> Arc<Profile> {
    let mut profile = (*profile("")).clone();
    for index in 1..samples {
        let location = profile.named_location(&format!("function {index}"));
        let stack = profile.stack(&[location]);
        profile.add(stack, sondage::profile::LabelSetId::default(), &[index]);
    }
    Arc::new(profile)
}

#[test]
fn a_profile_above_the_servers_limits_arrives_in_pieces() {
    let server = ok();
    let sent = large(40_000);
    let stats = export(sink(&server.target(), Auth::None), std::slice::from_ref(&sent));
    let pieces: Vec<_> = server.requests().iter().map(|request| series(request).1).collect();
    assert!((3..=8).contains(&pieces.len()), "{}", pieces.len());
    assert_eq!(stats.pushed, pieces.len() as u64);
    for piece in &pieces {
        assert!(piece.samples().len() <= 16_000);
        assert!(pprof::encode(piece).len() <= 1_500_000);
        assert_eq!(piece.meta, sent.meta);
    }
    assert_eq!(pieces.iter().map(|piece| piece.total(0)).sum::<i64>(), sent.total(0));
}

#[test]
fn what_the_server_finds_too_large_is_halved() {
    let server = Server::start(vec![Reply::status(413), Reply::status(200)]);
    let sent = large(10);
    let stats = export(sink(&server.target(), Auth::None), std::slice::from_ref(&sent));
    assert_eq!((stats.pushed, stats.split, stats.lost()), (2, 1, 0));
    let all: Vec<_> = server.requests().iter().map(series).collect();
    assert!(all.iter().all(|(labels, _)| labels == &all[0].0), "the same series");
    let totals: Vec<_> = all.iter().map(|(_, profile)| profile.total(0)).collect();
    assert_eq!(totals[0], totals[1] + totals[2]);
    assert_eq!(totals[0], sent.total(0));
}

#[test]
fn a_profile_without_samples_is_sent_only_for_its_losses() {
    let empty = || {
        let mut empty = Profile::new(vec![ValueType::new("cpu", "nanoseconds")]);
        empty.meta = profile("").meta.clone();
        empty
    };
    let mut lossy = empty();
    lossy.add_loss(LossCause::Dropped, 7);
    let mut sink = sink("pyroscope+http://127.0.0.1:1", Auth::None);
    assert_eq!(sink.encode(&empty()).unwrap().len(), 0);
    assert_eq!(sink.encode(&lossy).unwrap().len(), 1);
}

//! Servers that fail, by every protocol.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sondage::config::{Auth, Secret, SecretSource};
use sondage::export::{Options, PushError, Sink};
use sondage::profile::{Profile, ValueType};
use sondage_collector::{Collector, Fault, Faults, Protocol, Random, Reply};

use super::protocols::{KINDS, deliver, settings, sink_of};
use super::{profile, quick, soon, start};

/// Long enough for every exchange that is not held up on purpose.
const PATIENCE: Duration = Duration::from_millis(1500);

fn is_grpc(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::OtlpGrpc | Protocol::Parca)
}

fn faults() -> Vec<Fault> {
    vec![
        Fault::Reset,
        Fault::Close,
        Fault::BreakOff,
        Fault::Silence,
        Fault::SlowHeader { interval_millis: 50 },
        Fault::SlowBody { interval_millis: 50 },
        Fault::HugeBody { bytes: 1 << 30 },
        Fault::EndlessHeaders,
        Fault::Redirect { location: "http://127.0.0.1:1/evil?key=canary".to_owned() },
        Fault::Garbage,
        Fault::GrpcFraming,
        Fault::NoTrailers,
        Fault::GrpcOversized { bytes: 1 << 30 },
        Fault::GoAway,
    ]
}

/// What a busy machine may add to a time; a push that nothing ends takes for ever.
const A_STALL: Duration = Duration::from_secs(20);

/// One try of one upload.
fn push(sink: &mut dyn Sink) -> (Result<(), PushError>, Duration) {
    let upload = sink.encode(&profile("/orders")).unwrap().remove(0);
    let begin = Instant::now();
    let outcome = sink.push(&upload, begin + PATIENCE);
    (outcome, begin.elapsed())
}

#[test]
fn every_fault_ends_in_time_with_a_short_error_and_the_next_profile_arrives() {
    for (kind, _) in KINDS {
        let collector = Collector::start().unwrap();
        let target = format!("{kind}{}", collector.address());
        let mut sink = sink_of(&target, settings());
        for fault in faults() {
            collector.clear();
            collector.fail_next([fault.clone()]);
            let (outcome, took) = push(&mut *sink);
            assert!(took < PATIENCE + A_STALL, "{target} {fault:?}: {took:?}");
            if let Err(error) = outcome {
                let message = error.message();
                assert!(message.len() < 500 && !message.contains("canary"), "{fault:?}: {message}");
            }
            let (outcome, _) = push(&mut *sink);
            assert_eq!(outcome, Ok(()), "{target} after {fault:?}");
            assert_eq!(collector.profiles().len(), 1, "{target} after {fault:?}");
        }
    }
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

#[test]
fn frames_without_end_and_a_window_that_never_opens_end_at_the_deadline() {
    let (data, headers, settings_frame, ping, update, continuation) = (0, 1, 4, 6, 8, 9);
    let answer = frame(headers, 4, 1, &[0x88]);
    // An initial window of 0 bytes.
    let shut = frame(settings_frame, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let open = frame(settings_frame, 0, 0, &[]);
    let padding = [&[255][..], &[0; 255]].concat();
    let floods = [
        ("pings", &open, vec![], frame(ping, 0, 0, &[7; 8])),
        ("settings", &open, vec![], open.clone()),
        ("a shut window", &shut, vec![], frame(ping, 0, 0, &[7; 8])),
        ("windows", &open, vec![], frame(update, 0, 0, &[0, 0, 0, 0])),
        ("empty data", &open, answer.clone(), frame(data, 0, 1, &[])),
        ("padded data", &open, answer, frame(data, 8, 1, &padding)),
        ("continuations", &open, frame(headers, 0, 1, &[0x88]), frame(continuation, 0, 1, &[])),
        ("silence in a shut window", &shut, vec![], vec![]),
    ];
    for (name, first, then, flood) in floods {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let opening = [first.clone(), then].concat();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut begin = [0; 64];
            let _ = stream.read(&mut begin);
            let _ = stream.write_all(&opening);
            let many = flood.repeat(1000);
            let mut reader = stream.try_clone().unwrap();
            let reading =
                std::thread::spawn(
                    move || while reader.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {},
                );
            while !many.is_empty() && stream.write_all(&many).is_ok() {}
            reading.join().unwrap();
        });
        let mut sink = sink_of(&format!("otlp+grpc://{address}"), settings());
        let (outcome, took) = push(&mut *sink);
        server.join().unwrap();
        let error = outcome.unwrap_err();
        println!("{name}: {took:?}: {error}");
        assert!(took < PATIENCE + A_STALL, "{name}: {took:?}");
        assert!(error.message().len() < 500, "{name}: {error}");
    }
}

#[test]
fn the_server_says_when_to_come_back() {
    for (kind, protocol) in KINDS {
        let collector = Collector::start().unwrap();
        let busy = match is_grpc(protocol) {
            true => {
                Fault::Grpc { code: 8, message: "later".to_owned(), retry_after_millis: Some(1000) }
            }
            false => Fault::Status {
                status: 429,
                headers: [("retry-after".to_owned(), "1".to_owned())].into(),
                body: String::new(),
            },
        };
        collector.fail_next([busy]);
        let target = format!("{kind}{}", collector.address());
        let stats = deliver(sink_of(&target, settings()), &profile("/orders"), &quick());
        assert_eq!((stats.pushed, stats.retried), (1, 1), "{target}: {stats:?}");
        let at: Vec<_> = collector.requests().iter().map(|it| it.at_millis).collect();
        assert!((990..4000).contains(&(at[1] - at[0])), "{target}: {at:?}");
    }
}

#[test]
fn a_refusal_is_told_once_and_not_repeated() {
    for (kind, protocol) in KINDS {
        let collector = Collector::start().unwrap();
        let codes: &[u16] =
            if is_grpc(protocol) { &[3, 7, 12, 16] } else { &[400, 401, 403, 404, 415, 422] };
        for &code in codes {
            collector.clear();
            let refusal = match is_grpc(protocol) {
                true => Fault::Grpc { code, message: "because".into(), retry_after_millis: None },
                false => Fault::Status { status: code, headers: [].into(), body: "because".into() },
            };
            collector.fail_next([refusal]);
            let target = format!("{kind}{}", collector.address());
            let stats = deliver(sink_of(&target, settings()), &profile("/orders"), &quick());
            assert_eq!(
                (stats.dropped_rejected, stats.retried),
                (1, 0),
                "{target} {code}: {stats:?}"
            );
            assert_eq!(collector.requests().len(), 1, "{target} {code}");
            assert!(stats.last_error.unwrap().contains("because"), "{target} {code}");
        }
    }
}

/// A profile of a hundred samples that differ in their label.
fn hundred() -> Arc<Profile> {
    let mut hundred = (*profile("0")).clone();
    for number in 1..100 {
        let location = hundred.named_location(&format!("function {number}"));
        let stack = hundred.stack(&[location]);
        let number = number.to_string();
        let labels = hundred.label_set([("route", number.as_str())]);
        hundred.add(stack, labels, &[10_000_000]);
    }
    Arc::new(hundred)
}

#[test]
fn what_is_too_large_arrives_in_halves_that_add_up() {
    for (kind, protocol) in KINDS {
        let collector = Collector::start().unwrap();
        collector.fail_next([match is_grpc(protocol) {
            true => Fault::Grpc {
                code: 8,
                message: "received message larger than max (5 vs. 4)".into(),
                retry_after_millis: None,
            },
            false => Fault::Status { status: 413, headers: [].into(), body: String::new() },
        }]);
        let target = format!("{kind}{}", collector.address());
        let stats = deliver(sink_of(&target, settings()), &hundred(), &quick());
        assert_eq!((stats.pushed, stats.split, stats.lost()), (2, 1, 0), "{target}: {stats:?}");
        let (mut total, mut samples) = (0, 0);
        for profile in collector.profiles() {
            let each = match profile.sample_types[0].kind.as_str() {
                "samples" => profile.period.as_ref().unwrap().1,
                _ => 1,
            };
            total += profile.total(0) * each;
            samples += profile.samples.len();
        }
        assert_eq!((total, samples), (1_000_000_000, 100), "{target}");
    }
}

#[test]
fn an_answer_that_is_lost_leaves_one_profile_counted_in_doubt() {
    for (kind, _) in KINDS {
        let collector = Collector::start().unwrap();
        collector.fail_next([Reply::after_storing(Fault::Close)]);
        let target = format!("{kind}{}", collector.address());
        let stats = deliver(sink_of(&target, settings()), &profile("/orders"), &quick());
        assert_eq!(
            (stats.ambiguous, stats.retried, stats.lost()),
            (1, 0, 1),
            "{target}: {stats:?}"
        );
        let stored = collector.profiles();
        assert!(stored.len() == 1 && stored[0].count == 1, "{target}");
    }
}

/// Profiles for each protocol; at full size ten thousand in all.
fn many() -> u64 {
    let full = std::env::var("SONDAGE_STORM").is_ok_and(|size| size == "full");
    if full { 1_500 } else { 60 }
}

#[test]
fn among_faults_nothing_arrives_twice_and_everything_is_counted() {
    let many = many();
    for (kind, protocol) in KINDS {
        let collector = Collector::start().unwrap();
        let busy = match is_grpc(protocol) {
            true => Fault::Grpc { code: 14, message: String::new(), retry_after_millis: None },
            false => Fault::Status { status: 503, headers: [].into(), body: String::new() },
        };
        let faults = vec![
            busy.into(),
            Fault::Reset.into(),
            Fault::GoAway.into(),
            Reply::after_storing(Fault::Close),
        ];
        collector.plan(Faults {
            next: Vec::new(),
            random: Some(Random { probability: 0.2, seed: 4, faults }),
        });
        let target = format!("{kind}{}", collector.address());
        let options = Options { max_profiles: many as usize, push_timeout: PATIENCE, ..quick() };
        let exporter = start(vec![sink_of(&target, settings())], &options);
        let first = profile("/orders");
        for number in 0..many {
            let mut next = (*first).clone();
            next.meta.start_unix_nanos = next.meta.start_unix_nanos.map(|it| it + number);
            exporter.submit(&Arc::new(next));
        }
        assert!(exporter.drain(soon() + Duration::from_secs(10 + many)), "{:?}", exporter.stats());
        let stats = exporter.stop(soon()).remove(0);
        let stored = collector.profiles();
        assert!(stored.iter().all(|it| it.count == 1), "{target}: one came twice");
        assert_eq!(stats.pushed + stats.lost(), many, "{target}: {stats:?}");
        let possible = stats.pushed..=stats.pushed + stats.ambiguous;
        assert!(possible.contains(&(stored.len() as u64)), "{target}: {} {stats:?}", stored.len());
        assert!(stats.retried + stats.ambiguous > 0, "{target}: {stats:?}");
    }
}

#[test]
fn no_secret_is_in_any_message() {
    let auth = Auth::Token(Secret::new("token-canary").unwrap());
    let headers = SecretSource::Text(Secret::new("x-key=otlp-canary").unwrap());
    for (kind, protocol) in KINDS {
        let collector = Collector::start().unwrap();
        let target = format!("{kind}{}", collector.address());
        let settings = settings().auth(auth.clone()).otlp_headers(headers.clone());
        let mut sink = sink_of(&target, settings);
        assert!(!format!("{} {:?}", sink.name(), collector.address()).contains("canary"));
        let refusals = [
            Fault::Status { status: 401, headers: [].into(), body: "no".into() },
            Fault::Redirect { location: "https://u:canary@evil/?k=canary".to_owned() },
            Fault::Garbage,
            Fault::Close,
        ];
        for fault in refusals {
            collector.fail_next([fault.clone()]);
            if let (Err(error), _) = push(&mut *sink) {
                let shown = format!("{error} {error:?}");
                assert!(!shown.contains("canary"), "{protocol:?} {fault:?}: {shown}");
            }
        }
    }
}

/// Profiles that no agent makes and `sondage push` may be given.
fn strange() -> Vec<(&'static str, Profile)> {
    let cpu = ValueType::new("cpu", "nanoseconds");
    let of = |types: &[ValueType], period: Option<(ValueType, u64)>, values: &[&[i64]]| {
        let mut profile = Profile::new(types.to_vec());
        profile.meta = super::profile("/").meta.clone();
        profile.meta.period = period;
        for (number, values) in values.iter().enumerate() {
            let location = profile.named_location(&format!("f{number}"));
            let stack = profile.stack(&[location]);
            let set = profile.label_set([("a.b", "1"), ("a_b", "2"), ("1st", "x"), ("", "y")]);
            profile.add(stack, set, values);
        }
        profile
    };
    let (just_cpu, nameless) = ([cpu.clone()], [ValueType::new("", "")]);
    let mut long = of(&just_cpu, None, &[&[1]]);
    long.meta.duration = Duration::MAX;
    long.meta.start_unix_nanos = Some(u64::MAX);
    long.meta.labels.push(("k".into(), "v".repeat(1 << 20)));
    vec![
        ("no columns", of(&[], None, &[&[]])),
        ("no samples", of(&just_cpu, None, &[])),
        ("a nameless column", of(&nameless, None, &[&[5]])),
        ("the same column twice", of(&[cpu.clone(), cpu.clone()], None, &[&[5, 6]])),
        ("a period of 0", of(&just_cpu, Some((cpu.clone(), 0)), &[&[5]])),
        ("the longest period", of(&just_cpu, Some((cpu.clone(), u64::MAX)), &[&[5]])),
        (
            "the ends of the range",
            of(
                &[cpu.clone(), ValueType::new("alloc_space", "bytes")],
                Some((cpu.clone(), 10_000_000)),
                &[&[i64::MIN, i64::MAX], &[i64::MAX, i64::MIN], &[-1, -1], &[i64::MIN, i64::MIN]],
            ),
        ),
        ("the longest time", long),
    ]
}

#[test]
fn profiles_that_no_agent_makes_are_encoded_and_halved_by_every_protocol() {
    for (kind, _) in KINDS {
        for (name, profile) in strange() {
            let collector = Collector::start().unwrap();
            let target = format!("{kind}{}", collector.address());
            let mut sink = sink_of(&target, settings());
            let uploads = sink.encode(&profile);
            let uploads = uploads.unwrap_or_else(|error| panic!("{kind} {name}: {error}"));
            for upload in &uploads {
                sink.split(upload);
            }
            let stats = deliver(sink, &Arc::new(profile), &quick());
            assert_eq!(stats.panicked, 0, "{kind} {name}: {stats:?}");
            // Servers may refuse what has no type, and no time of theirs.
            if !["no columns", "a nameless column", "the longest time"].contains(&name) {
                assert_eq!((stats.lost(), stats.last_error), (0, None), "{kind} {name}");
            }
        }
    }
}

//! What each kind of server gets, as the collector understands it.

use std::collections::BTreeMap;
use std::sync::Arc;

use sondage::config::{Builder, Config, Secret, SecretSource};
use sondage::export::{self, ExportStats, Options, Sink};
use sondage::profile::{Function, Line, Location, LossCause, Mapping, Profile, ValueType};
use sondage_collector::{self as collector, Collector, Protocol, Sample};

use super::{Scratch, profile, quick, soon, start};

/// Every kind of target that is a server: how it begins, and the protocol it speaks.
pub const KINDS: [(&str, Protocol); 7] = [
    ("pyroscope+http://", Protocol::PyroscopePush),
    ("pyroscope-ingest+http://", Protocol::PyroscopeIngest),
    ("otlp+http://", Protocol::OtlpHttp),
    ("otlp+grpc://", Protocol::OtlpGrpc),
    ("parca+http://", Protocol::Parca),
    ("datadog+http://", Protocol::Datadog),
    ("datadog-intake+http://", Protocol::Datadog),
];

/// Settings that every kind of target accepts.
pub fn settings() -> Builder {
    Config::builder().datadog_key(SecretSource::Text(Secret::new("api-canary").unwrap()))
}

pub fn sink_of(target: &str, settings: Builder) -> Box<dyn Sink> {
    let config = settings.targets([target.parse().unwrap()]).build().unwrap();
    export::sinks(&config).unwrap().remove(0)
}

/// Delivers a profile, and says what became of it.
pub fn deliver(sink: Box<dyn Sink>, profile: &Arc<Profile>, options: &Options) -> ExportStats {
    let exporter = start(vec![sink], options);
    exporter.submit(profile);
    assert!(exporter.drain(soon()), "{:?}", exporter.stats());
    exporter.stop(soon()).remove(0)
}

const SPAN: &str = "f0f067aa0ba902b7";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// CPU time and waiting time, an inlined function, two routes, a span, a loss.
fn rich() -> Arc<Profile> {
    let mut rich = (*profile("/orders")).clone();
    let meta = rich.meta.clone();
    rich = Profile::new(vec![
        ValueType::new("cpu", "nanoseconds"),
        ValueType::new("samples", "count"),
        ValueType::new("wall", "nanoseconds"),
    ]);
    rich.meta = meta;
    rich.meta.labels.push(("k8s.pod.name".into(), "pod-1".into()));
    let (file, build_id) = (rich.string("/bin/shop"), rich.string("0123abcd"));
    let (start, end) = (0x1000, 0x9000);
    let mapping = rich.mapping(Mapping { start, end, file_offset: 0, file, build_id });
    let function = |rich: &mut Profile, name: &str, start_line| {
        let (name, file) = (rich.string(name), rich.string("shop.rs"));
        rich.function(Function { name, system_name: name, file, start_line })
    };
    let (inner, outer) = (function(&mut rich, "inner", 3), function(&mut rich, "outer", 9));
    let lines = vec![Line { function: inner, line: 4 }, Line { function: outer, line: 10 }];
    let leaf = rich.location(Location { mapping, address: 0x1234, lines });
    let root = rich.named_location("main");
    let stack = rich.stack(&[leaf, root]);
    for (labels, values) in [
        (vec![("route", "/orders"), ("thread", "worker")], [30_000_000, 3, 0]),
        (vec![("route", "/pay"), ("thread", "worker")], [0, 0, 7_000]),
        (vec![("route", "/pay"), ("span_id", SPAN), ("trace_id", TRACE)], [15_000_000, 2, 5_000]),
    ] {
        let labels = rich.label_set(labels);
        rich.add(stack, labels, &values);
    }
    rich.add_loss(LossCause::Dropped, 10_000_000);
    Arc::new(rich)
}

/// What a collector got of the rich profile from this kind of target.
fn received(kind: &str, settings: Builder) -> Vec<collector::Profile> {
    let collector = Collector::start().unwrap();
    let target = format!("{kind}{}", collector.address());
    let stats = deliver(sink_of(&target, settings), &rich(), &quick());
    assert_eq!((stats.lost(), stats.last_error), (0, None), "{target}");
    assert_eq!(collector.refused().len(), 0, "{target}: {:?}", collector.refused());
    collector.profiles()
}

/// The stack as every protocol has it, leaf first.
fn functions(sample: &Sample) -> Vec<(String, String, i64)> {
    let frame = |frame: &collector::Frame| (frame.function.clone(), frame.file.clone(), frame.line);
    sample.stack.iter().map(frame).collect()
}

#[test]
fn stacks_labels_and_values_arrive_by_every_protocol() {
    for (kind, protocol) in KINDS {
        let profiles = received(kind, settings());
        let stack = [("inner", "shop.rs", 4), ("outer", "shop.rs", 10), ("main", "", 0)];
        let stack = stack.map(|(name, file, line)| (name.to_owned(), file.to_owned(), line));
        let (mut cpu, mut wall) = (BTreeMap::new(), BTreeMap::new());
        for profile in &profiles {
            assert_eq!(profile.protocol, protocol);
            assert_eq!(profile.duration_nanos, 10_000_000_000, "{kind}");
            let service = ["service_name", "service.name", "service"];
            let named = service.iter().find_map(|name| profile.labels.get(*name));
            assert_eq!(named.map(String::as_str), Some("shop"), "{kind}: {:?}", profile.labels);
            let period = profile.period.as_ref().map_or(1, |(_, period)| *period);
            for (column, of) in profile.sample_types.iter().enumerate() {
                let (sums, each) = match of.kind.as_str() {
                    "cpu" | "cpu-time" => (&mut cpu, 1),
                    // By OTLP, CPU time is a number of periods.
                    "samples" if profile.sample_types.len() == 1 => (&mut cpu, period),
                    "wall" | "wall-time" => (&mut wall, 1),
                    _ => continue,
                };
                for sample in &profile.samples {
                    assert_eq!(functions(sample), stack, "{kind}");
                    let names = ["route", "trace endpoint"];
                    let all = [&sample.labels, &profile.labels];
                    let route =
                        all.iter().find_map(|it| names.iter().find_map(|name| it.get(*name)));
                    *sums.entry(route.unwrap().clone()).or_insert(0) +=
                        sample.values[column] * each;
                }
            }
        }
        let of = |route: &str, sums: &BTreeMap<String, i64>| sums.get(route).copied().unwrap_or(0);
        assert_eq!(of("/orders", &cpu), 30_000_000, "{kind}");
        // 1.5 periods: by OTLP a whole number of them.
        assert!((of("/pay", &cpu) - 15_000_000).abs() <= 5_000_000, "{kind}: {cpu:?}");
        assert_eq!((of("/orders", &wall), of("/pay", &wall)), (0, 12_000), "{kind}");
    }
}

#[test]
fn names_are_those_that_each_backend_knows() {
    let types = |kind: &str| {
        let profiles = received(kind, settings());
        let mut types: Vec<String> = profiles
            .iter()
            .flat_map(|profile| {
                let name = profile.labels.get("__name__").cloned().unwrap_or_default();
                let period = profile.period.clone().unwrap_or_default().0.kind;
                let types = profile.sample_types.iter();
                types.map(move |it| format!("{name}:{}:{}:{period}", it.kind, it.unit))
            })
            .collect();
        types.sort();
        types.dedup();
        types
    };
    let columns = [
        "process_cpu:cpu:nanoseconds:cpu",
        "process_cpu:samples:count:cpu",
        "wall:wall:nanoseconds:wall",
    ];
    assert_eq!(types("pyroscope+http://"), columns);
    assert_eq!(types("parca+http://"), columns);
    let otlp = types("otlp+grpc://");
    assert!(otlp.iter().any(|it| it.ends_with("samples:count:cpu")), "{otlp:?}");
    assert!(otlp.iter().any(|it| it.ends_with("wall:nanoseconds:wall")), "{otlp:?}");
    let datadog = types("datadog+http://");
    let expected = [
        ":cpu-samples:count:cpu-time",
        ":cpu-time:nanoseconds:cpu-time",
        ":wall-time:nanoseconds:cpu-time",
    ];
    assert_eq!(datadog, expected);
}

#[test]
fn types_of_other_profilers_get_names_that_the_server_takes() {
    let mut foreign = Profile::new(vec![ValueType::new("cpu-time", "nanoseconds")]);
    foreign.meta = profile("/").meta.clone();
    foreign.meta.period = Some((ValueType::new("cpu-time", "nanoseconds"), 10_000_000));
    let location = foreign.named_location("work");
    let stack = foreign.stack(&[location]);
    let labels = foreign.label_set([]);
    foreign.add(stack, labels, &[10_000_000]);
    let foreign = Arc::new(foreign);
    for (kind, protocol) in KINDS {
        let collector = Collector::start().unwrap();
        let target = format!("{kind}{}", collector.address());
        let stats = deliver(sink_of(&target, settings()), &foreign, &quick());
        assert_eq!(
            (stats.lost(), stats.last_error),
            (0, None),
            "{target}: {:?}",
            collector.refused()
        );
        let expected = if protocol == Protocol::Datadog { "cpu-time" } else { "cpu_time" };
        assert_eq!(collector.profiles()[0].sample_types[0].kind, expected, "{target}");
    }
}

#[test]
fn functions_are_right_also_where_parca_reads_the_entry_before() {
    for kind in ["otlp+http://", "otlp+grpc://"] {
        let profiles = received(kind, settings());
        let frames = profiles.iter().flat_map(|it| &it.samples).flat_map(|it| &it.stack);
        let mut seen = 0;
        for frame in frames {
            // Told only where it differs.
            assert!(
                frame.parca_function.as_ref().is_none_or(|it| *it == frame.function),
                "{frame:?}"
            );
            seen += 1;
        }
        assert!(seen > 0, "{kind}");
    }
}

#[test]
fn spans_are_spelled_as_each_backend_wants_them_and_traces_only_on_request() {
    for (kind, protocol) in KINDS {
        for trace_ids in [false, true] {
            let profiles = received(kind, settings().trace_ids(trace_ids));
            let samples: Vec<_> = profiles
                .iter()
                .flat_map(|it| it.samples.iter().map(|sample| (&it.labels, sample)))
                .collect();
            let label = |name: &str, value: &str| {
                samples.iter().any(|(series, sample)| {
                    [*series, &sample.labels]
                        .iter()
                        .any(|it| it.get(name).is_some_and(|it| it == value))
                })
            };
            let linked = samples.iter().any(|(_, sample)| {
                sample.link.as_ref().is_some_and(|(trace, span)| trace == TRACE && span == SPAN)
            });
            let number = u64::from_str_radix(SPAN, 16).unwrap().cast_signed();
            let numbered = samples.iter().any(|(_, it)| {
                ["span id", "local root span id"]
                    .iter()
                    .all(|name| it.numbers.get(*name) == Some(&number))
            });
            let what = format!("{kind} {trace_ids}");
            match protocol {
                Protocol::PyroscopePush | Protocol::PyroscopeIngest => {
                    assert!(label("span_id", SPAN), "{what}");
                    assert_eq!(label("trace_id", TRACE), trace_ids, "{what}");
                }
                Protocol::OtlpHttp | Protocol::OtlpGrpc => {
                    assert_eq!(linked, trace_ids, "{what}");
                    assert_eq!(label("span_id", SPAN), !trace_ids, "{what}");
                    assert!(!label("trace_id", TRACE), "{what}");
                }
                Protocol::Parca => {
                    assert_eq!(label("span_id", SPAN), trace_ids, "{what}");
                    assert_eq!(label("trace_id", TRACE), trace_ids, "{what}");
                }
                Protocol::Datadog => assert!(numbered, "{what}"),
            }
        }
    }
}

#[test]
fn labels_cannot_pass_for_others() {
    let mut hostile = (*profile("}{,=\"\n&x=1")).clone();
    for (key, value) in [
        ("__name__", "forged"),
        ("__profile_type__", "forged"),
        ("a\nb", "line\r\nx-evil: 1"),
        ("env", "prod\",service_name=\"forged"),
        ("quote\"}", "},{"),
        ("é", "\u{202e}é"),
    ] {
        hostile.meta.labels.push((key.into(), value.into()));
    }
    let hostile = Arc::new(hostile);
    for (kind, _) in KINDS {
        let collector = Collector::start().unwrap();
        let target = format!("{kind}{}", collector.address());
        let stats = deliver(sink_of(&target, settings()), &hostile, &quick());
        assert_eq!((stats.lost(), stats.last_error), (0, None), "{target}");
        assert_eq!(collector.refused().len(), 0, "{target}: {:?}", collector.refused());
        for profile in collector.profiles() {
            let name = profile.labels.get("__name__").map_or("process_cpu", String::as_str);
            assert_eq!(name, "process_cpu", "{target}");
            let service = ["service_name", "service.name", "service"];
            let services: Vec<_> =
                service.iter().filter_map(|it| profile.labels.get(*it)).collect();
            assert_eq!(services, ["shop"], "{target}: {:?}", profile.labels);
            assert!(!profile.headers.iter().any(|(name, _)| name.contains("evil")), "{target}");
        }
    }
}

#[test]
fn a_unix_socket_serves_as_well() {
    let scratch = Scratch::new();
    let path = scratch.0.join("collector.sock");
    let options = collector::Options { unix: Some(path.clone()), tls: None };
    let collector = Collector::start_with(&options).unwrap();
    for kind in ["pyroscope", "pyroscope-ingest", "otlp", "parca", "datadog"] {
        let target = format!("{kind}+unix:{}", path.display());
        let stats = deliver(sink_of(&target, settings()), &profile("/orders"), &quick());
        assert_eq!((stats.pushed, stats.lost(), stats.last_error), (1, 0, None), "{target}");
    }
    assert_eq!(collector.profiles().len(), 5);
    let nobody = format!("datadog+unix:{}", scratch.0.join("nobody.sock").display());
    let stats = deliver(sink_of(&nobody, settings()), &profile("/orders"), &quick());
    assert_eq!((stats.dropped_expired, stats.retried), (1, 7), "{stats:?}");
    assert!(stats.last_error.unwrap().contains("No such file"));
}

#[test]
fn credentials_go_where_they_belong_and_nowhere_else() {
    let collector = Collector::start().unwrap();
    let headers = SecretSource::Text(Secret::new("api-key=otlp-canary").unwrap());
    let auth = sondage::config::Auth::Token(Secret::new("token-canary").unwrap());
    let settings = || settings().auth(auth.clone()).tenant("team-a").otlp_headers(headers.clone());
    for (kind, protocol) in KINDS {
        collector.clear();
        let target = format!("{kind}{}", collector.address());
        let stats = deliver(sink_of(&target, settings()), &profile("/orders"), &quick());
        assert_eq!(stats.lost(), 0, "{target}: {stats:?}");
        let sent = collector.profiles().remove(0).headers;
        let has = |value: &str| sent.iter().any(|(_, it)| it.contains(value));
        let datadog = protocol == Protocol::Datadog;
        let otlp = matches!(protocol, Protocol::OtlpHttp | Protocol::OtlpGrpc);
        assert_eq!(has("token-canary"), !datadog, "{target}");
        assert_eq!(has("team-a"), !datadog, "{target}");
        assert_eq!(has("otlp-canary"), otlp, "{target}");
        assert_eq!(has("api-canary"), kind.starts_with("datadog-intake"), "{target}");
    }
}

#[test]
fn a_server_that_has_only_an_ipv6_address_is_reached() {
    use std::io::{Read, Write};
    // The collector's own address is one of IPv4: what comes by the other is passed on to it.
    let collector = Collector::start().unwrap();
    let listener = std::net::TcpListener::bind("[::1]:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let behind = collector.address();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.unwrap();
            let server = std::net::TcpStream::connect(behind).unwrap();
            let pass = |mut from: std::net::TcpStream, mut to: std::net::TcpStream| {
                std::thread::spawn(move || {
                    let mut buffer = [0; 4096];
                    while let Ok(count @ 1..) = from.read(&mut buffer) {
                        if to.write_all(&buffer[..count]).is_err() {
                            break;
                        }
                    }
                    let _ = to.shutdown(std::net::Shutdown::Write);
                })
            };
            pass(client.try_clone().unwrap(), server.try_clone().unwrap());
            pass(server, client);
        }
    });
    for kind in ["pyroscope+http", "otlp+grpc"] {
        let target = format!("{kind}://[::1]:{port}");
        let stats = deliver(sink_of(&target, settings()), &profile("/orders"), &quick());
        assert_eq!((stats.pushed, stats.lost(), stats.last_error), (1, 0, None), "{target}");
    }
}

//! Pyroscope 1.21, with the storage of 1.x and with that of 2.x.

use std::time::SystemTime;

use prost::Message;
use serde_json::{Value, json};
use sondage::profile::pprof;

use crate::server::{Program, Server, free_ports};
use crate::truth::{ROUTES, SPAN, Stacks, compare, eventually, in_span, period, push, stacks};

const CPU: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";

/// `querier.v1.SelectMergeProfileRequest`.
#[derive(Clone, PartialEq, Message)]
struct Query {
    #[prost(string, tag = "1")]
    profile_type: String,
    #[prost(string, tag = "2")]
    selector: String,
    #[prost(int64, tag = "3")]
    start: i64,
    #[prost(int64, tag = "4")]
    end: i64,
    #[prost(int64, optional, tag = "5")]
    max_nodes: Option<i64>,
}

/// On one loopback address the rings must be told it: they would advertise that of a network card.
pub fn start(storage_2: bool) -> Server {
    let [http, grpc, members, raft] = free_ports();
    let configuration = format!(
        "target: all
analytics: {{ reporting_enabled: false }}
self_profiling: {{ disable_push: true }}
server:
  http_listen_address: 127.0.0.1
  http_listen_port: {http}
  grpc_listen_address: 127.0.0.1
  grpc_listen_port: {grpc}
memberlist: {{ bind_addr: [127.0.0.1], bind_port: {members}, advertise_addr: 127.0.0.1 }}
pyroscopedb: {{ data_path: ./data }}
storage: {{ backend: filesystem, filesystem: {{ dir: ./shared }} }}
"
    );
    let rings = [
        "compactor.ring.instance-addr",
        "distributor.ring.instance-addr",
        "ingester.lifecycler.addr",
        "overrides-exporter.ring.instance-addr",
        "query-frontend.instance-addr",
        "query-scheduler.ring.instance-addr",
        "store-gateway.sharding-ring.instance-addr",
    ];
    let mut arguments = vec!["-config.file=config.yaml".to_owned()];
    arguments.extend(rings.map(|ring| format!("-{ring}=127.0.0.1")));
    let mut environment = Vec::new();
    if storage_2 {
        environment.push(("PYROSCOPE_V2", "1"));
        let raft = format!("127.0.0.1:{raft}");
        arguments.extend([
            "-write-path=segment-writer".to_owned(),
            "-enable-query-backend=true".to_owned(),
            "-metastore.data-dir=./meta".to_owned(),
            "-metastore.raft.dir=./raft".to_owned(),
            format!("-metastore.raft.bind-address={raft}"),
            format!("-metastore.raft.advertise-address={raft}"),
            format!("-metastore.raft.server-id={raft}"),
            format!("-metastore.address=127.0.0.1:{grpc}"),
            format!("-query-backend.address=127.0.0.1:{grpc}"),
            "-segment-writer.lifecycler.addr=127.0.0.1".to_owned(),
        ]);
    }
    let (name, ready) = ("pyroscope", "/ready");
    Server::start(Program { name, port: http, ready, configuration, arguments, environment })
}

fn now_millis() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

/// What the server has of a service, and of one of its routes.
fn merged(server: &Server, service: &str, route: Option<&str>) -> Stacks {
    let route = route.map_or_else(String::new, |route| format!(",route=\"{route}\""));
    let query = Query {
        profile_type: CPU.to_owned(),
        selector: format!("{{service_name=\"{service}\",env=\"test\"{route}}}"),
        start: now_millis() - 3_600_000,
        end: now_millis() + 600_000,
        max_nodes: Some(100_000),
    };
    let path = "/querier.v1.QuerierService/SelectMergeProfile";
    let answer = server.post(path, "application/proto", &query.encode_to_vec());
    stacks(&pprof::decode(&answer).unwrap(), None)
}

fn ask(server: &Server, method: &str, service: &str, more: &Value) -> Value {
    let mut query = json!({
        "start": now_millis() - 3_600_000,
        "end": now_millis() + 600_000,
        "profile_typeID": CPU,
        "label_selector": format!("{{service_name=\"{service}\"}}"),
        "matchers": [format!("{{service_name=\"{service}\"}}")],
    });
    query.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let path = format!("/querier.v1.QuerierService/{method}");
    let answer = server.post(&path, "application/json", query.to_string().as_bytes());
    serde_json::from_slice(&answer).unwrap()
}

/// The functions of a span's flame graph, and its weight in nanoseconds.
fn span(server: &Server, service: &str, span: &str) -> (String, i64) {
    let answer =
        ask(server, "SelectMergeSpanProfile", service, &json!({ "span_selector": [span] }));
    let graph = &answer["flamegraph"];
    let total = graph["total"].as_str().map_or(0, |total| total.parse().unwrap());
    (graph["names"].to_string(), total)
}

/// Every way into Pyroscope, and by how much a stack may then differ.
fn check(storage_2: bool) {
    let server = start(storage_2);
    let address = server.url.strip_prefix("http").unwrap();
    for (service, target, each) in [
        ("push", format!("pyroscope+http{address}"), 0),
        ("ingest", format!("pyroscope-ingest+http{address}"), 0),
        ("otlp-http", format!("otlp+http{address}"), period()),
        ("otlp-grpc", format!("otlp+grpc{address}"), period()),
    ] {
        push(&target, service);
        let all = eventually(|| merged(&server, service, None), &target);
        compare(&all, None, each, &target);
        for route in ROUTES {
            compare(&merged(&server, service, Some(route)), Some(route), each, &target);
        }
        let labels = ask(&server, "LabelNames", service, &json!({}));
        let labels = labels["names"].to_string();
        assert!(labels.contains("\"route\"") && labels.contains("\"env\""), "{labels}");
        assert!(!labels.contains("span_id") && !labels.contains("trace_id"), "{labels}");
        let (names, weight) = span(&server, service, SPAN);
        assert!(names.contains("truth::pays") && !names.contains("truth::browses"), "{names}");
        let expected = in_span();
        let near = expected > 0 && (weight - expected).abs() <= each;
        assert!(near, "{target}: {weight} ns in the span instead of {expected}");
        assert_eq!(span(&server, service, "00000000000000ff").1, 0);
    }
}

#[test]
fn pyroscope_gives_back_what_was_pushed() {
    check(false);
}

#[test]
fn pyroscope_with_the_storage_of_2_gives_back_what_was_pushed() {
    check(true);
}

//! Pyroscope 1.21: what it returns of a profile that the agent pushed.

use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use sondage::{Agent, Config};

use crate::server::{Server, free_ports};

const CPU: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
const SPAN: &str = "00f067aa0ba902b7";

/// On one loopback address the rings must be told it: they would advertise that of a network card.
fn start() -> Server {
    let [http, grpc, members] = free_ports();
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
    Server::start("pyroscope", http, &configuration, &arguments)
}

#[inline(never)]
fn pays(time: Duration) -> u64 {
    burn(time) ^ 1
}

#[inline(never)]
fn browses(time: Duration) -> u64 {
    burn(time) ^ 2
}

fn burn(time: Duration) -> u64 {
    let start = Instant::now();
    let mut sum = 0u64;
    while start.elapsed() < time {
        sum = (0..10_000).fold(sum, |sum, i| black_box(sum.wrapping_mul(31).wrapping_add(i)));
    }
    sum
}

/// A query for what was pushed in the last hour, and what else it says.
fn query(more: Value) -> Value {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let now = u64::try_from(now.as_millis()).unwrap();
    let mut query = json!({
        "start": now - 3_600_000,
        "end": now + 600_000,
        "profile_typeID": CPU,
        "label_selector": "{service_name=\"shop\"}",
    });
    query.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    query
}

/// The functions of a flame graph, and its weight in nanoseconds.
fn flame_graph(answer: &Value) -> (Vec<&str>, u64) {
    let graph = &answer["flamegraph"];
    let names = graph["names"].as_array().into_iter().flatten();
    let total = graph["total"].as_str().map_or(0, |total| total.parse().unwrap());
    (names.map(|name| name.as_str().unwrap()).collect(), total)
}

fn holds(names: &[&str], function: &str) -> bool {
    names.iter().any(|name| name.ends_with(function))
}

#[test]
fn functions_labels_and_span_profiles_come_back() {
    let server = start();
    let target = format!("pyroscope+{}", server.url).parse().unwrap();
    let config = Config::builder()
        .service_name("shop")
        .label("env", "test")
        .hz(200)
        .interval(Duration::from_secs(3600))
        .targets([target]);
    let agent = Agent::start(config.build().unwrap()).unwrap();
    let second = Duration::from_secs(1);
    let work = std::thread::spawn(move || {
        let route = |route, work: fn(Duration) -> u64| {
            sondage::labels([("route", route)]).scope(|| black_box(work(second)))
        };
        route("/browse", browses);
        route("/pay", pays);
        // Half of what is paid belongs to a span.
        let span = sondage::labels([("route", "/pay"), ("span_id", SPAN)]);
        span.scope(|| black_box(pays(second)))
    });
    work.join().unwrap();
    let profile = agent.stop().unwrap();
    assert!(profile.samples().len() > 3);

    let ask = |method: &str, more| {
        server.ask(&format!("/querier.v1.QuerierService/{method}"), &query(more))
    };
    let merge = |route: &str| {
        let selector = format!("{{service_name=\"shop\",env=\"test\",route=\"{route}\"}}");
        ask("SelectMergeStacktraces", json!({ "label_selector": selector }))
    };
    let end = Instant::now() + Duration::from_secs(30);
    let mut paid = merge("/pay");
    while flame_graph(&paid).1 == 0 {
        assert!(Instant::now() < end, "nothing arrived\n{}", server.log());
        std::thread::sleep(Duration::from_millis(500));
        paid = merge("/pay");
    }

    let labels = ask("LabelNames", json!({}));
    let labels = labels["names"].as_array().unwrap();
    assert!(labels.contains(&json!("route")) && labels.contains(&json!("env")), "{labels:?}");
    assert!(!labels.contains(&json!("span_id")), "a series of each span");

    let near = |nanos: u64, seconds: f64| (nanos as f64 / 1e9 - seconds).abs() < 0.15 * seconds;
    let (names, weight) = flame_graph(&paid);
    assert!(holds(&names, "pyroscope::pays") && !holds(&names, "pyroscope::browses"), "{names:?}");
    assert!(near(weight, 2.0), "{weight} ns under /pay");
    let browsed = merge("/browse");
    let (names, weight) = flame_graph(&browsed);
    assert!(holds(&names, "pyroscope::browses") && !holds(&names, "pyroscope::pays"), "{names:?}");
    assert!(near(weight, 1.0), "{weight} ns under /browse");

    let span = ask("SelectMergeSpanProfile", json!({ "span_selector": [SPAN] }));
    let (names, weight) = flame_graph(&span);
    assert!(holds(&names, "pyroscope::pays") && !holds(&names, "pyroscope::browses"), "{names:?}");
    assert!(near(weight, 1.0), "{weight} ns in the span");
    let other = ask("SelectMergeSpanProfile", json!({ "span_selector": ["00000000000000ff"] }));
    assert_eq!(flame_graph(&other).1, 0);
}

//! The OpenTelemetry Collector 0.154, which passes profiles on to Parca.

use std::time::{Duration, Instant};

use crate::server::{Program, Server, free_ports};
use crate::truth::{SPAN, push, truth};

fn start() -> (Server, [u16; 2]) {
    let [http, grpc] = free_ports();
    let configuration = format!(
        "receivers:
  otlp:
    protocols:
      grpc: {{ endpoint: 127.0.0.1:{grpc} }}
      http: {{ endpoint: 127.0.0.1:{http} }}
exporters:
  debug: {{ verbosity: detailed }}
service:
  telemetry: {{ metrics: {{ level: none }} }}
  pipelines:
    profiles: {{ receivers: [otlp], exporters: [debug] }}
"
    );
    let arguments = vec![
        "--config=file:config.yaml".to_owned(),
        "--feature-gates=service.profilesSupport".to_owned(),
    ];
    let program = Program { name: "otelcol", port: http, ..Program::default() };
    // Nothing but profiles has a path: any answer means that it listens.
    (Server::start(Program { configuration, arguments, ..program }), [http, grpc])
}

#[test]
fn the_collector_reads_what_was_pushed() {
    let (server, [http, grpc]) = start();
    for (service, target) in [
        ("by-http", format!("otlp+http://127.0.0.1:{http}")),
        ("by-grpc", format!("otlp+grpc://127.0.0.1:{grpc}")),
    ] {
        push(&target, service);
        let end = Instant::now() + Duration::from_secs(30);
        let resource = format!("service.name: Str({service})");
        while !server.whole_log().contains(&resource) {
            assert!(Instant::now() < end, "{target}: nothing arrived\n{}", server.log());
            std::thread::sleep(Duration::from_millis(100));
        }
        let log = server.whole_log();
        let (_, from) = log.split_once(&resource).unwrap();
        for part in ["truth::pays", "truth::browses", "route", "/pay", SPAN, "process_cpu"] {
            assert!(log.contains(part), "{target}: no {part}");
        }
        // Every sample is one value: the sum is the number of periods.
        let values = from.split("Values: [").skip(1);
        let sum: i64 = values.map(|it| it.split(']').next().unwrap().parse::<i64>().unwrap()).sum();
        let expected = truth().total(truth().column("cpu").unwrap()) / crate::truth::period();
        assert!((sum - expected).abs() <= 1, "{target}: {sum} periods instead of {expected}");
    }
}

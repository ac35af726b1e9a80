//! Parca 0.28.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sondage::profile::pprof;
use sondage::{Agent, Config};

use crate::server::{Program, Server, free_ports};
use crate::truth::{ROUTES, Stacks, compare, eventually, period, push, stacks};

/// A server that also fetches as these lines of its configuration say.
pub fn start(scrapes: &str) -> Server {
    let [http] = free_ports();
    let configuration = format!(
        "object_storage:
  bucket: {{ type: \"FILESYSTEM\", config: {{ directory: \"./data\" }} }}
{scrapes}"
    );
    let arguments = vec![
        "--config-path=config.yaml".to_owned(),
        format!("--http-address=127.0.0.1:{http}"),
        // Functions are named already: nobody on the network is to be asked.
        "--debuginfod-upstream-servers=".to_owned(),
    ];
    let program = Program { name: "parca", port: http, ready: "/metrics", ..Program::default() };
    Server::start(Program { configuration, arguments, ..program })
}

fn merged(server: &Server, kind: &str, selector: &str) -> Stacks {
    let answer = query(server, kind, selector, "REPORT_TYPE_PPROF");
    let file = answer["pprof"].as_str().map(|text| STANDARD.decode(text).unwrap());
    file.map_or_else(Stacks::new, |file| stacks(&pprof::decode(&file).unwrap(), None))
}

fn query(server: &Server, kind: &str, selector: &str, report: &str) -> Value {
    let query = format!("{kind}{{{selector}}}");
    // Both ends must be near: the range is split into steps.
    let (start, end) = (now(-3600), now(600));
    let answer = server.get(
        "/api/profiles/query",
        &[
            ("mode", "MODE_MERGE"),
            ("report_type", report),
            ("merge.query", &query),
            ("merge.start", &start),
            ("merge.end", &end),
        ],
    );
    serde_json::from_slice(&answer).unwrap()
}

/// A moment in RFC 3339, some seconds from now.
fn now(seconds: i64) -> String {
    let output = std::process::Command::new("date")
        .args(["-u", &format!("--date={seconds} seconds"), "+%Y-%m-%dT%H:%M:%SZ"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn is_known(server: &Server, service: &str) -> bool {
    let answer = server.get("/api/profiles/labels/service_name/values", &[]);
    String::from_utf8(answer).unwrap().contains(&format!("\"{service}\""))
}

#[test]
fn parca_gives_back_what_was_pushed() {
    let server = start("");
    let address = server.url.strip_prefix("http").unwrap();
    push(&format!("parca+http{address}"), "raw");
    let kind = "process_cpu:cpu:nanoseconds:cpu:nanoseconds:delta";
    let ask = |selector: &str| {
        let known = is_known(&server, "raw");
        if known { merged(&server, kind, selector) } else { Stacks::new() }
    };
    let all = eventually(|| ask("service_name=\"raw\", env=\"test\""), "parca");
    compare(&all, None, 0, "parca");
    for route in ROUTES {
        let selector = format!("service_name=\"raw\", route=\"{route}\"");
        compare(&merged(&server, kind, &selector), Some(route), 0, "parca");
    }
}

#[test]
fn parca_gives_back_what_came_by_otlp() {
    let server = start("");
    let address = server.url.strip_prefix("http").unwrap();
    push(&format!("otlp+grpc{address}"), "otlp");
    let kind = "process_cpu:samples:count:cpu:nanoseconds:delta";
    // Parca gives the number of periods back as their time.
    let ask = |selector: &str| merged(&server, kind, selector);
    let known = || match is_known(&server, "otlp") {
        true => ask("service_name=\"otlp\""),
        false => Stacks::new(),
    };
    compare(&eventually(known, "parca"), None, period(), "parca by OTLP");
    for route in ROUTES {
        let selector = format!("service_name=\"otlp\", route=\"{route}\"");
        compare(&ask(&selector), Some(route), period(), "parca by OTLP");
    }
    // A message in which its reading of functions goes wrong makes this report end the server.
    let top = query(&server, kind, "service_name=\"otlp\"", "REPORT_TYPE_TOP");
    assert!(top.to_string().contains("servers::truth::"));
}

#[test]
fn parca_fetches_from_the_agent() {
    let [port] = free_ports();
    let target = format!("pull+http://127.0.0.1:{port}").parse().unwrap();
    let config = Config::builder().service_name("fetched").targets([target]).build().unwrap();
    let agent = Agent::start(config).unwrap();
    let server = start(&format!(
        "scrape_configs:
  - job_name: shop
    scrape_interval: 2s
    static_configs: [{{ targets: [\"127.0.0.1:{port}\"] }}]
    profiling_config:
      pprof_config:
        memory: {{ enabled: false }}
        block: {{ enabled: false }}
        goroutine: {{ enabled: false }}
        mutex: {{ enabled: false }}
        process_cpu: {{ enabled: true, delta: true, path: /debug/pprof/profile }}
"
    ));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                black_box(burns());
            }
        });
        let ask =
            || merged(&server, "process_cpu:cpu:nanoseconds:cpu:nanoseconds:delta", "job=\"shop\"");
        let known = || match server.get("/api/profiles/labels/job/values", &[]) {
            answer if String::from_utf8_lossy(&answer).contains("shop") => ask(),
            _ => Stacks::new(),
        };
        let found = eventually(known, "a fetch by parca");
        stop.store(true, Ordering::Relaxed);
        assert!(found.keys().any(|stack| stack.contains("parca::burns")), "{found:?}");
        assert!(found.values().sum::<i64>() > 100_000_000, "{found:?}");
    });
    agent.stop().unwrap();
}

#[inline(never)]
fn burns() -> u64 {
    (0..100_000).fold(0, |sum, number: u64| black_box(sum ^ number))
}

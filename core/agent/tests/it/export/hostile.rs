//! Servers that fail in every way: what arrives, what is retried, and for how long.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use sondage::config::{Auth, Secret};
use sondage::export::{FileSink, PushError, Sink, Upload};

use super::pyroscope::sink;
use super::{Scratch, export, profile, quick, soon, start};
use crate::server::{Reply, Server};

fn sink_of(server: &Server) -> impl Sink + 'static {
    sink(&server.target(), Auth::None)
}

/// Pushes bytes that are no profile, which no server here minds.
fn push(server: &Server, bytes: usize, timeout: Duration) -> Result<(), PushError> {
    let upload = Upload { body: vec![7; bytes], ..Upload::default() };
    sink_of(server).push(&upload, Instant::now() + timeout)
}

#[test]
fn an_outage_ends_and_the_same_bytes_arrive() {
    let outage = [500, 503, 502, 504, 408, 429].map(Reply::status);
    let server = Server::start(outage.into_iter().chain([Reply::status(200)]).collect());
    let stats = export(sink_of(&server), &[profile("a")]);
    assert_eq!((stats.pushed, stats.lost()), (1, 0), "{stats:?}");
    let requests = server.requests();
    assert_eq!(requests.len(), 7);
    assert!(requests.iter().all(|request| request.body == requests[0].body));
}

#[test]
fn retry_after_is_honoured_in_seconds_and_as_a_date() {
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    let until = "Sun, 06 Nov 1994 08:49:38 GMT";
    for busy in [
        Reply::status(429).with_header("retry-after", "1"),
        Reply::status(503).with_header("retry-after", until).with_header("date", date),
    ] {
        let server = Server::start(vec![busy, Reply::status(200)]);
        let stats = export(sink_of(&server), &[profile("a")]);
        assert_eq!((stats.pushed, stats.retried), (1, 1));
        let requests = server.requests();
        let waited = requests[1].at - requests[0].at;
        assert!((Duration::from_secs(1)..Duration::from_secs(20)).contains(&waited), "{waited:?}");
    }
}

#[test]
fn a_refusal_is_never_retried() {
    for status in [400, 401, 403, 404, 413, 415, 422, 501] {
        let body = format!(r#"{{"code":"refused","message":"because {status}"}}"#);
        let server = Server::start(vec![Reply::Status(status, Vec::new(), body)]);
        let stats = export(sink_of(&server), &[profile("a")]);
        assert_eq!((stats.dropped_rejected, stats.retried), (1, 0), "{status}: {stats:?}");
        assert_eq!(server.connections(), 1, "{status}");
        let error = stats.last_error.unwrap();
        assert!(error.contains(&format!("because {status}")), "{error}");
    }
}

#[test]
fn a_server_that_answers_500_for_ever_is_asked_three_times() {
    let server = Server::start(vec![Reply::status(500)]);
    let stats = export(sink_of(&server), &[profile("a")]);
    assert_eq!((server.connections(), stats.dropped_expired), (3, 1));
}

#[test]
fn an_answer_that_drips_or_never_ends_costs_one_deadline() {
    for reply in [
        Reply::Silence,
        Reply::Drip(b"HTTP/1.1 200 OK\r\n", Duration::from_millis(50)),
        Reply::Drip(b"x-endless-header: y\r\n", Duration::from_millis(5)),
        Reply::Drip(b"HTTP/1.1 200 OK\r\nx: y\r\n", Duration::ZERO),
    ] {
        let server = Server::start(vec![reply.clone()]);
        let before = Instant::now();
        let result = push(&server, 100, Duration::from_millis(400));
        let took = before.elapsed();
        assert!(matches!(result, Err(PushError::Ambiguous { .. })), "{reply:?}: {result:?}");
        assert!(took < Duration::from_secs(20), "{reply:?}: {took:?}");
    }
}

#[test]
fn a_slow_server_delays_neither_the_next_profile_nor_another_sink() {
    let scratch = Scratch::new();
    let drip = Reply::Drip(b"HTTP/1.1 200 OK\r\n", Duration::from_millis(50));
    let server = Server::start(vec![drip, Reply::status(200)]);
    let file = FileSink::new(&scratch.0, "shop").unwrap();
    let exporter = start(vec![Box::new(sink_of(&server)), Box::new(file)], &quick());
    ["a", "b"].iter().for_each(|label| exporter.submit(&profile(label)));
    assert!(exporter.drain(soon()));
    let stats = exporter.stop(soon());
    assert_eq!((stats[0].ambiguous, stats[0].pushed), (1, 1), "{stats:?}");
    assert_eq!(server.connections(), 2, "the profile in doubt is not sent again");
    assert_eq!((stats[1].pushed, scratch.names().len()), (2, 2));
}

#[test]
fn of_a_gigabyte_of_answer_little_is_read() {
    for (status, stored) in [(200, true), (503, false)] {
        let server = Server::start(vec![Reply::Huge(status, 1 << 30)]);
        let before = Instant::now();
        let result = push(&server, 100, Duration::from_secs(5));
        assert_eq!(result.is_ok(), stored, "{result:?}");
        assert!(before.elapsed() < Duration::from_secs(2));
        // What the system's own buffers take, and no more.
        assert!(server.sent() < 64 << 20, "{} bytes", server.sent());
    }
}

#[test]
fn an_answer_that_breaks_off_counts_by_its_status() {
    let server = Server::start(vec![Reply::BreakOff(503), Reply::BreakOff(200)]);
    let stats = export(sink_of(&server), &[profile("a")]);
    assert_eq!((stats.pushed, stats.retried, stats.lost()), (1, 1, 0));
    assert!(stats.last_error.unwrap().contains("only this"));
}

#[test]
fn a_connection_that_breaks_after_the_message_leaves_it_in_doubt() {
    for reply in [Reply::Close, Reply::Reset] {
        let server = Server::start(vec![reply.clone(), Reply::status(200)]);
        let stats = export(sink_of(&server), &[profile("a"), profile("b")]);
        assert_eq!((stats.ambiguous, stats.pushed), (1, 1), "{reply:?}: {stats:?}");
        assert_eq!(server.connections(), 2);
    }
}

#[test]
fn a_connection_that_breaks_within_the_message_is_tried_again() {
    let server = Server::start(vec![Reply::Reset]);
    // More than the system's buffers take.
    let result = push(&server, 32 << 20, Duration::from_secs(5));
    assert!(matches!(result, Err(PushError::Retry { .. })), "{result:?}");
}

#[test]
fn a_dead_server_costs_eight_tries_and_a_clear_error() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let target = format!("pyroscope+http://{free}");
    let stats = export(sink(&target, Auth::None), &[profile("a")]);
    assert_eq!((stats.retried, stats.dropped_expired), (7, 1));
    let error = stats.last_error.unwrap();
    assert!(error.starts_with(&target) && error.contains("refused"), "{error}");
}

#[test]
fn a_name_that_does_not_exist_is_a_clear_error() {
    let mut sink = sink("pyroscope+http://no-such-host.invalid", Auth::None);
    let before = Instant::now();
    let result = sink.push(&Upload::default(), Instant::now() + Duration::from_secs(1));
    assert!(matches!(result, Err(PushError::Retry { .. })), "{result:?}");
    assert!(before.elapsed() < Duration::from_secs(3));
}

#[test]
fn a_redirect_is_not_followed_and_sees_no_credentials() {
    let thief = Server::start(vec![Reply::status(200)]);
    for status in [301, 302, 303, 307, 308] {
        let to = format!("http://{}/push?x=1", thief.address);
        let server = Server::start(vec![Reply::status(status).with_header("location", &to)]);
        let auth = Auth::Token(Secret::new("canary").unwrap());
        let stats = export(sink(&server.target(), auth), &[profile("a")]);
        assert_eq!((stats.dropped_rejected, server.connections()), (1, 1), "{stats:?}");
        let error = stats.last_error.unwrap();
        assert!(error.contains(&format!("http://{}/push", thief.address)), "{error}");
        assert!(!error.contains("canary") && !error.contains("x=1"), "{error}");
    }
    assert_eq!(thief.connections(), 0);
}

#[test]
fn an_answer_that_is_no_http_is_a_clear_error() {
    let server = Server::start(vec![Reply::Drip(b"SSH-2.0-OpenSSH_9.9\r\n", Duration::ZERO)]);
    let result = push(&server, 100, Duration::from_millis(400));
    assert!(matches!(result, Err(PushError::Ambiguous { .. })), "{result:?}");
}

/// Set for the process that [`proxies_of_the_environment_are_used_only_when_asked_for`] starts.
const WITH_PROXY: &str = "SONDAGE_TEST_WITH_PROXY";

#[test]
fn proxies_of_the_environment_are_used_only_when_asked_for() {
    use sondage::config::{Config, ProxyPolicy, Target};
    use sondage::export::sinks;

    let name = "export::hostile::proxies_of_the_environment_are_used_only_when_asked_for";
    let push = |target: &str, policy| {
        let target: Target = target.parse().unwrap();
        let config = Config::builder().targets([target]).proxy(policy).build().unwrap();
        export_all(sinks(&config).unwrap())
    };
    let server = Server::start(vec![Reply::status(200)]);
    if std::env::var_os(WITH_PROXY).is_some() {
        assert_eq!(push(&server.target(), ProxyPolicy::Off), 1, "not by the proxy");
        let unknown = "pyroscope+http://no-such-host.invalid";
        assert_eq!(push(unknown, ProxyPolicy::Environment), 1, "by the proxy");
        return;
    }
    let proxy = format!("http://{}", server.address);
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(WITH_PROXY, "1")
        .envs(["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"].map(|name| (name, &proxy)))
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}{text}", String::from_utf8_lossy(&output.stdout));
    let lines: Vec<_> = server.requests().into_iter().map(|request| request.line).collect();
    let expected =
        ["CONNECT no-such-host.invalid:80 HTTP/1.1", "POST /push.v1.PusherService/Push HTTP/1.1"];
    assert_eq!(lines, expected);
}

fn export_all(sinks: Vec<Box<dyn Sink>>) -> u64 {
    let exporter = start(sinks, &quick());
    exporter.submit(&profile("a"));
    exporter.drain(soon());
    exporter.stop(soon()).iter().map(|stats| stats.pushed).sum()
}

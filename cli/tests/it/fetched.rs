//! Profiles of running processes by URL: `report`, `view` and `top --push`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sondage::config::Target;
use sondage::{Agent, Config};

use crate::built::sondage;
use crate::read::said;
use crate::scratch::Scratch;

#[inline(never)]
fn busy_with_orders(stop: &AtomicBool) {
    let mut number = 1u64;
    while !stop.load(Ordering::Relaxed) {
        number = std::hint::black_box(number.wrapping_mul(31).wrapping_add(7));
    }
}

#[test]
fn a_running_agent_is_reported_shown_and_watched_with_its_token() {
    let scratch = Scratch::new("fetched");
    let token = scratch.path("token");
    std::fs::write(&token, "canary-token\n").unwrap();
    let config = Config {
        service_name: "orders".into(),
        targets: vec!["pull+http://127.0.0.1:0".parse::<Target>().unwrap()],
        pull_token_file: Some(token.clone()),
        ..Config::default()
    };
    let agent = Agent::start(config).unwrap();
    let address = agent.status().listening[0];
    let stop = Arc::new(AtomicBool::new(false));
    let worker = std::thread::spawn({
        let stop = stop.clone();
        move || busy_with_orders(&stop)
    });
    let run = |arguments: &[&str], with_token: bool| {
        let mut command = sondage();
        if with_token {
            command.env("SONDAGE_TOKEN_FILE", &token);
        }
        let output = command.args(arguments).output().unwrap();
        assert!(!said(&output).contains("canary"), "{}", said(&output));
        output
    };
    let url = format!("http://{address}");

    let report = run(&["report", &format!("pull+{url}"), "--seconds", "1"], true);
    assert!(report.status.success(), "{}", said(&report));
    assert!(said(&report).contains("busy_with_orders"), "{}", said(&report));

    let exact = format!("{url}/debug/pprof/profile?seconds=1");
    let page = scratch.path("page.html");
    let view = run(&["view", &exact, "--export", page.to_str().unwrap()], true);
    assert!(view.status.success(), "{}", said(&view));
    assert!(page.exists());

    let top = run(&["top", "--push", &url, "--interval", "1", "--duration", "2"], true);
    assert!(top.status.success(), "{}", said(&top));
    assert_eq!(said(&top).matches("orders at http://").count(), 2, "{}", said(&top));
    assert!(said(&top).contains("busy_with_orders"), "{}", said(&top));

    let refused = run(&["report", &url, "--seconds", "1"], false);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("SONDAGE_TOKEN_FILE"), "{}", said(&refused));
    stop.store(true, Ordering::Relaxed);
    worker.join().unwrap();
    drop(agent);
}

/// Answers each connection with these bytes, for ever if there is no end to them.
fn server(head: &'static str, endless: bool) -> String {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(head.as_bytes());
            let chunk = vec![0; 1 << 16];
            while endless && stream.write_all(&chunk).is_ok() {}
        }
    });
    format!("http://{address}/profile?seconds=1")
}

#[test]
fn answers_that_are_no_profile_are_refused_in_time_and_named() {
    let endless = server("HTTP/1.1 200 OK\r\n\r\n", true);
    let noise = server("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nnoise", false);
    let cut = server("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nnoise", false);
    let elsewhere = server(
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        false,
    );
    let escape = server("HTTP/1.1 500 No\r\nContent-Length: 7\r\n\r\n\x1b[2Jbad", false);
    for (url, expected) in [
        (endless.as_str(), "more than 64 MiB"),
        (&noise, "not a readable profile"),
        (&cut, "breaks off"),
        (&elsewhere, "status 302"),
        (&escape, "status 500: \\u{1b}[2Jbad"),
        ("http://127.0.0.1:1", "127.0.0.1:1"),
    ] {
        let begun = Instant::now();
        let output = sondage().args(["report", url]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{url}: {}", said(&output));
        assert!(said(&output).contains(expected), "{url}: {}", said(&output));
        assert!(begun.elapsed() < Duration::from_secs(10), "{url}: {:?}", begun.elapsed());
    }
    let both = sondage().args(["top", "1", "--push", "http://h"]).output().unwrap();
    assert_eq!(both.status.code(), Some(2), "{}", said(&both));
}

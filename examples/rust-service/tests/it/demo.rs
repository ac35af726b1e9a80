//! The demo from the outside: it serves, reports honestly, and ends.

use std::path::PathBuf;
use std::process::{Command, Output};

fn rust_service(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rust-service")).args(args).output().unwrap()
}

fn out_dir(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Reads requests and errors of the table's line that starts with `route`.
fn counts(table: &str, route: &str) -> (u64, u64) {
    let line = table.lines().find(|line| line.starts_with(route)).unwrap();
    let mut fields = line[route.len()..].split_whitespace();
    (fields.next().unwrap().parse().unwrap(), fields.next().unwrap().parse().unwrap())
}

#[test]
fn the_demo_answers_every_route_more_than_a_hundred_times_without_an_error() {
    let out = out_dir("demo");
    // 1,200 requests are 120 of the rarest route; the time is only there to end a broken run.
    let run = rust_service(&[
        "demo",
        "--seconds",
        "120",
        "--requests",
        "1200",
        "--out",
        out.to_str().unwrap(),
    ]);
    let (table, errors) =
        (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{table}{errors}");
    let routes = ["products/{id}", "search", "export", "reports/{day}"];
    for route in routes.map(|path| format!("GET /{path}")) {
        let (requests, errors) = counts(&table, &route);
        assert!(requests > 100 && errors == 0, "{route}: {table}");
    }
    let (orders, errors) = counts(&table, "POST /checkout");
    assert!(orders > 100 && errors == 0, "{table}");
    assert!(table.contains(&format!("ledger: {orders} orders on disk")), "{table}");
    assert!(!out.join("ledger.redb").exists(), "the ledger's file is removed");
}

#[test]
fn the_demo_ends_when_its_time_is_over() {
    let out = out_dir("short");
    let begin = std::time::Instant::now();
    let run = rust_service(&["demo", "--seconds", "1", "--out", out.to_str().unwrap()]);
    let table = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{table}{}", String::from_utf8_lossy(&run.stderr));
    assert!(begin.elapsed().as_secs() >= 1, "{table}");
    let (requests, errors) = counts(&table, "all");
    assert!(requests > 0 && requests < 1_000_000 && errors == 0, "{table}");
}

#[test]
fn failing_requests_make_the_load_generator_fail_and_say_why() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let run = rust_service(&["load", "--addr", &closed.to_string(), "--requests", "5"]);
    assert_eq!(run.status.code(), Some(1));
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(said.contains("5 requests failed") && said.contains("cannot connect"), "{said}");
}

#[test]
fn an_output_folder_that_cannot_be_made_is_reported() {
    let run = rust_service(&["demo", "--seconds", "1", "--out", "/proc/nowhere"]);
    assert_eq!(run.status.code(), Some(1));
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(said.contains("cannot make the output folder"), "{said}");
}

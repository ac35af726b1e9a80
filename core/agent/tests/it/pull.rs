//! Profiles fetched from the agent over HTTP.

use crate::labels::{ONE_AGENT, burn, quiet, time_by_function};
use sondage::config::Target;
use sondage::profile::{Profile, pprof};
use sondage::{Agent, Config, ErrorKind};
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

fn alone() -> MutexGuard<'static, ()> {
    ONE_AGENT.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pulled(config: Config) -> (Agent, SocketAddr) {
    let target: Target = "pull+http://127.0.0.1:0".parse().unwrap();
    let targets = config.targets.iter().cloned().chain([target]).collect();
    let agent = Agent::start(Config { targets, ..config }).unwrap();
    let address = agent.status().listening[0];
    (agent, address)
}

/// What the server sends until it closes the connection.
fn exchange(address: SocketAddr, request: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

/// The status, the head and the body of the answer to a request with these headers.
fn ask(address: SocketAddr, line: &str, headers: &[&str]) -> (u16, String, Vec<u8>) {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let answer = exchange(address, &format!("{line} HTTP/1.1\r\n{headers}\r\n"));
    let end = answer.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap().to_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head, answer[end + 4..].to_vec())
}

fn get(address: SocketAddr, path: &str) -> (u16, String, Vec<u8>) {
    ask(address, &format!("GET {path}"), &[&format!("Host: {address}")])
}

fn text((status, _, body): (u16, String, Vec<u8>)) -> (u16, String) {
    (status, String::from_utf8(body).unwrap())
}

/// A scrape on a thread of its own.
fn scrape(address: SocketAddr, seconds: u64) -> JoinHandle<Profile> {
    std::thread::spawn(move || {
        let (status, head, body) = get(address, &format!("/debug/pprof/profile?seconds={seconds}"));
        assert_eq!(status, 200, "{head}");
        assert!(head.contains("content-type: application/octet-stream"), "{head}");
        pprof::decode(&body).unwrap()
    })
}

/// CPU time of each piece of work. The kernel may leave a thread of a busy machine without a tick
/// for a quarter of a second of its CPU time, and tells that time with the next tick: not how long
/// a piece of work was can be asked, only in whose window it was sampled.
const WORK: Duration = Duration::from_millis(600);

#[inline(never)]
fn before_the_window() -> u64 {
    burn(WORK).wrapping_add(1)
}

#[inline(never)]
fn within_the_window() -> u64 {
    burn(WORK).wrapping_add(2)
}

#[inline(never)]
fn at_the_end() -> u64 {
    burn(WORK).wrapping_add(3)
}

/// Works until profiles have been finished `more` times, which a scrape does when it begins.
fn until_flushed(agent: &Agent, flushes: u64) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while agent.stats().flushes < flushes {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn written(folder: &PathBuf) -> Profile {
    let mut sum = Profile::new(Vec::new());
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "gz") {
            sum.merge(&pprof::decode(&std::fs::read(path).unwrap()).unwrap());
        }
    }
    sum
}

#[test]
fn overlapping_scrapes_are_each_right_and_the_other_targets_lose_and_double_nothing() {
    let _alone = alone();
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("pull-conserved");
    let _ = std::fs::remove_dir_all(&folder);
    let config = Config {
        hz: 200,
        targets: vec![Target::File(folder.clone())],
        interval: Duration::from_secs(600),
        ..quiet()
    };
    let (agent, address) = pulled(config);
    black_box(before_the_window());
    let long = scrape(address, 14);
    until_flushed(&agent, 1);
    black_box(within_the_window());
    let short = scrape(address, 4);
    until_flushed(&agent, 2);
    let inner = black_box(at_the_end());
    let (short, long) = (short.join().unwrap(), long.join().unwrap());
    black_box((inner, before_the_window()));
    let last = agent.stop().unwrap();
    let whole = written(&folder);

    let time = |profile: &Profile, name: &str| time_by_function(profile, name, 1);
    assert_eq!(time(&long, "before_the_window"), 0);
    assert!(time(&long, "within_the_window") > 0);
    assert!(time(&long, "at_the_end") > 0);
    assert_eq!(time(&short, "within_the_window"), 0);
    assert!(time(&short, "at_the_end") > 0);
    assert!(time(&last, "before_the_window") > 0);
    assert!(long.meta.duration.abs_diff(Duration::from_secs(14)) < Duration::from_secs(4));

    // Everything is in the files, once: a scrape takes nothing away and adds nothing.
    for name in ["within_the_window", "at_the_end"] {
        assert_eq!(time(&whole, name), time(&long, name), "{name}");
    }
    let [before, after] = [&whole, &last].map(|profile| time(profile, "before_the_window"));
    assert!(before > after, "{before} {after}");
    assert!(whole.total(1) >= long.total(1) + after);
}

#[test]
fn an_ordinary_client_gets_a_profile_metrics_and_the_list() {
    let _alone = alone();
    let (agent, address) = pulled(Config { hz: 200, ..quiet() });
    let client = ureq::Agent::new_with_defaults();
    let working = std::thread::spawn(|| burn(Duration::from_millis(1500)));
    let url = |path: &str| format!("http://{address}{path}");
    let mut answer = client.get(url("/debug/pprof/profile?seconds=2")).call().unwrap();
    let profile = pprof::decode(&answer.body_mut().read_to_vec().unwrap()).unwrap();
    working.join().unwrap();
    assert!(time_by_function(&profile, "burn", 1) > 100_000_000);
    assert!(profile.meta.labels.iter().any(|(key, _)| key == "service_name"));

    let mut answer = client.get(url("/metrics")).call().unwrap();
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    let metrics = answer.body_mut().read_to_string().unwrap();
    let samples = metrics.lines().find_map(|it| it.strip_prefix("sondage_samples_total "));
    assert!(samples.is_some_and(|it| it.parse::<f64>().unwrap() >= 10.0), "{metrics}");
    for path in ["/", "/debug/pprof/"] {
        let (status, list) = text(get(address, path));
        assert!(status == 200 && list.contains("/metrics"), "{list}");
    }
    let (status, heap) = text(get(address, "/debug/pprof/heap"));
    assert_eq!((status, heap.as_str()), (404, "no heap profile is collected in this process\n"));
    let line = "HEAD /debug/pprof/profile?seconds=300";
    let (status, _, body) = ask(address, line, &["Host: localhost"]);
    assert_eq!((status, body.len()), (200, 0));
    agent.set_enabled(false).unwrap();
    let (status, head, body) = get(address, "/debug/pprof/profile?seconds=1");
    assert!(status == 503 && head.contains("retry-after:"), "{head}");
    assert_eq!(body, b"profiling is off in this process\n");
}

#[test]
fn what_may_not_read_is_refused_before_anything_is_done_for_it() {
    let _alone = alone();
    let (agent, address) = pulled(quiet());
    let host = format!("Host: {address}");
    let profile = "GET /debug/pprof/profile?seconds=300";
    let own = format!("Origin: http://{address}");
    for (line, headers, status) in [
        ("POST /metrics", vec![host.as_str()], 405),
        ("DELETE /", vec![host.as_str()], 405),
        ("OPTIONS /", vec![host.as_str()], 405),
        ("GET /debug/pprof/profile?seconds=0", vec![host.as_str()], 400),
        ("GET /debug/pprof/profile?seconds=301", vec![host.as_str()], 400),
        ("GET /debug/pprof/profile?seconds=-1", vec![host.as_str()], 400),
        ("GET /debug/pprof/profile?seconds=", vec![host.as_str()], 400),
        ("GET /nothing", vec![host.as_str()], 404),
        (profile, vec![], 400),
        (profile, vec![host.as_str(), host.as_str()], 400),
        (profile, vec!["Host: evil"], 403),
        (profile, vec!["Host: localhost.evil"], 403),
        (profile, vec!["Host: 127.0.0.1.evil:80"], 403),
        ("GET http://evil/metrics", vec![host.as_str()], 403),
        (profile, vec![host.as_str(), "Origin: http://evil"], 403),
        (profile, vec![host.as_str(), "Origin: null"], 403),
        (profile, vec![host.as_str(), own.as_str(), "Origin: http://evil"], 403),
        ("GET /metrics", vec![host.as_str(), own.as_str()], 200),
        ("GET /metrics", vec!["Host: localhost:1234"], 200),
    ] {
        let (answered, head, _) = ask(address, line, &headers);
        assert_eq!(answered, status, "{line} {headers:?}: {head}");
        assert!(answered != 405 || head.contains("allow: get, head"), "{head}");
    }
    let long = format!("X: {}", "x".repeat(64 << 10));
    let answer = exchange(address, &format!("GET /metrics HTTP/1.1\r\n{host}\r\n{long}\r\n\r\n"));
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "a head of 64 KiB is taken");
    let many = "X: y\r\n".repeat(1000);
    let answer = exchange(address, &format!("GET /metrics HTTP/1.1\r\n{host}\r\n{many}\r\n"));
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "a thousand headers are taken");
    assert_eq!(agent.stats().flushes, 0, "a refused request made a profile");
}

#[test]
fn clients_that_say_little_or_nothing_do_not_keep_others_out_for_long() {
    let _alone = alone();
    let (_agent, address) = pulled(quiet());
    let mut slow: Vec<_> = (0..20).map(|_| TcpStream::connect(address).unwrap()).collect();
    let deadline = Instant::now() + Duration::from_secs(40);
    let mut round = 0;
    loop {
        // A byte now and then, as slow-loris does.
        slow.iter_mut()
            .for_each(|stream| drop(stream.write_all(&b"GET / HTTP/1.1"[round..=round])));
        round = (round + 1) % 14;
        let answer = exchange(address, &format!("GET / HTTP/1.1\r\nHost: {address}\r\n\r\n"));
        if answer.starts_with(b"HTTP/1.1 200") {
            break;
        }
        assert!(Instant::now() < deadline, "nobody else is served");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn more_scrapes_than_are_taken_at_once_are_told_to_come_again() {
    let _alone = alone();
    let (agent, address) = pulled(quiet());
    let mut waiting = Vec::new();
    for number in 1..=8 {
        let mut stream = TcpStream::connect(address).unwrap();
        let line = "GET /debug/pprof/profile?seconds=300 HTTP/1.1";
        stream.write_all(format!("{line}\r\nHost: localhost\r\n\r\n").as_bytes()).unwrap();
        waiting.push(stream);
        until_flushed(&agent, number);
    }
    let (status, head, _) = get(address, "/debug/pprof/profile?seconds=1");
    assert!(status == 503 && head.contains("retry-after: 10"), "{head}");
    // Places come free when clients go away.
    drop(waiting);
    let deadline = Instant::now() + Duration::from_secs(20);
    while get(address, "/debug/pprof/profile?seconds=1").0 != 200 {
        assert!(Instant::now() < deadline);
    }
}

#[test]
fn clients_that_ask_and_go_away_without_end_do_not_fill_the_other_targets_queues() {
    let _alone = alone();
    let (agent, address) = pulled(quiet());
    let begin = Instant::now();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(address).unwrap();
        let line = "GET /debug/pprof/profile?seconds=300 HTTP/1.1";
        stream.write_all(format!("{line}\r\nHost: localhost\r\n\r\n").as_bytes()).unwrap();
        // Long enough for the window to be opened, or refused.
        stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let _ = stream.read(&mut [0]);
    }
    let spells = begin.elapsed().as_secs() / 10 + 1;
    let flushes = agent.stats().flushes;
    assert!((1..=32 * spells).contains(&flushes), "{flushes} in {:?}", begin.elapsed());
}

#[test]
fn with_a_token_only_who_has_it_may_read_and_a_new_one_counts_at_once() {
    let _alone = alone();
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("pull-token");
    std::fs::write(&path, "first-token\n").unwrap();
    let config = Config { pull_token_file: Some(path.clone()), ..quiet() };
    let (_agent, address) = pulled(config);
    let with = |value: &str| {
        let header = format!("Authorization: {value}");
        ask(address, "GET /metrics", &["Host: localhost", &header])
    };
    assert_eq!(with("Bearer first-token").0, 200);
    assert_eq!(with("bearer first-token").0, 200);
    for wrong in ["Bearer first-toke", "Bearer first-token2", "Basic first-token", "Bearer", ""] {
        let (status, head, _) = with(wrong);
        assert!(status == 401 && head.contains("www-authenticate: bearer"), "{wrong}: {head}");
    }
    assert_eq!(get(address, "/metrics").0, 401);
    std::fs::write(&path, "second-token\n").unwrap();
    assert_eq!(with("Bearer first-token").0, 401);
    assert_eq!(with("Bearer second-token").0, 200);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(with("Bearer second-token").0, 503);
}

#[test]
fn an_address_that_others_reach_needs_a_token() {
    let _alone = alone();
    let target: Target = "pull+http://0.0.0.0:0".parse().unwrap();
    let error = Config::builder().targets([target.clone()]).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("SONDAGE_PULL_TOKEN_FILE"), "{error}");
    // A configuration made by hand is no way around it.
    let agent = Agent::start(Config { targets: vec![target.clone()], ..quiet() }).unwrap();
    assert!(agent.status().listening.is_empty());
    assert!(agent.stats().warnings.iter().any(|it| it.contains("loopback")));
    drop(agent);
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("pull-open-token");
    std::fs::write(&path, "a-token").unwrap();
    let config = Config::builder().targets([target]).pull_token_file(path).build().unwrap();
    let agent = Agent::start(config).unwrap();
    assert_eq!(agent.status().listening.len(), 1);
}

#[test]
fn where_the_port_is_taken_profiling_goes_on_and_says_so() {
    let _alone = alone();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = Target::Pull(taken.local_addr().unwrap());
    let agent = Agent::start(Config { hz: 200, targets: vec![target], ..quiet() }).unwrap();
    // Until the thread is found and sampled.
    until(|| {
        burn(Duration::from_millis(100));
        agent.flush().unwrap();
        agent.stats().samples > 5
    });
    let stats = agent.stats();
    assert!(agent.status().listening.is_empty());
    assert!(stats.warnings.iter().any(|it| it.contains("cannot listen")), "{:?}", stats.warnings);
}

fn threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.map(|name| name.trim_end().to_owned()).filter(|it| it.starts_with("sondage")).collect()
}

/// Waits until it is so.
fn until(it_is_so: impl Fn() -> bool) {
    let latest = Instant::now() + Duration::from_secs(10);
    while !it_is_so() {
        assert!(Instant::now() < latest, "{:?}", threads());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn stopping_ends_every_connection_and_frees_the_port() {
    let _alone = alone();
    let (agent, address) = pulled(quiet());
    // A thread has its starter's name until it runs.
    until(|| threads().contains(&"sondage-pull".to_owned()));
    let scraping = std::thread::spawn(move || {
        exchange(
            address,
            "GET /debug/pprof/profile?seconds=300 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        )
    });
    until_flushed(&agent, 1);
    let silent = TcpStream::connect(address).unwrap();
    let stopping = Instant::now();
    agent.stop().unwrap();
    assert!(stopping.elapsed() < Duration::from_secs(20), "{:?}", stopping.elapsed());
    let _ = scraping.join().unwrap();
    until(|| threads().is_empty());
    drop(silent);
    assert!(TcpStream::connect(address).is_err());
    let target = Target::Pull(address);
    let again = Agent::start(Config { targets: vec![target], ..quiet() }).unwrap();
    assert_eq!(again.status().listening, [address], "{:?}", again.stats().warnings);
}

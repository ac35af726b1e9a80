//! `view`: the page as a file, and the server of it, which answers nobody else.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::built::sondage;
use crate::history::{profile, write};
use crate::read::said;
use crate::scratch::Scratch;

/// A command that serves a page.
struct Served {
    child: Child,
    address: SocketAddr,
    token: String,
}

impl Served {
    fn start(arguments: &[&Path]) -> Self {
        let mut command = sondage();
        command.arg("view").args(arguments).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        let rest = url.trim_end().strip_prefix("http://").unwrap().strip_suffix('/').unwrap();
        let (address, token) = rest.split_once('/').unwrap();
        Self { child, address: address.parse().unwrap(), token: token.to_owned() }
    }

    /// The status, the head and the body of the answer.
    fn ask(&self, line: &str, headers: &[String]) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let _ = stream.write_all(format!("{line} HTTP/1.1\r\n{headers}\r\n").as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).map_or(0, |status| status.parse().unwrap());
        (status, head.to_lowercase(), body.to_owned())
    }

    fn host(&self) -> String {
        format!("Host: {}", self.address)
    }

    fn page(&self) -> (u16, String, String) {
        self.ask(&format!("GET /{}/", self.token), &[self.host()])
    }

    fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn directory(scratch: &Scratch) -> std::path::PathBuf {
    let dir = scratch.path("profiles");
    write(&dir, &[profile("shop", "first_work", "/a", 60, "cpu")]);
    dir
}

#[test]
fn a_page_is_written_whole_with_the_profiles_and_their_base() {
    let scratch = Scratch::new("view-export");
    let dir = directory(&scratch);
    let before = scratch.path("before.folded");
    std::fs::write(&before, "main;former_work 3\n").unwrap();
    let page = scratch.path("page.html");
    let view = |arguments: &[&Path]| {
        let output = sondage().arg("view").args(arguments).arg("--export").arg(&page).output();
        let output = output.unwrap();
        assert!(output.status.success() && output.stdout.is_empty(), "{}", said(&output));
        std::fs::read_to_string(&page).unwrap()
    };
    let alone = view(&[&dir]);
    assert!(alone.contains("first_work") && alone.contains(r#""base":null"#));
    let compared = view(&[&dir, Path::new("--base"), &before]);
    assert!(compared.contains("first_work") && compared.contains("former_work"));
    assert!(!compared.contains(r#""base":null"#));
    let two = view(&[&dir, &before]);
    let parts = two.split_once(r#""parts":[["#).unwrap().1.split_once("]]").unwrap().0;
    assert_eq!(parts.matches('[').count(), 1, "two parts: {parts}");
    assert_eq!(scratch.names(), ["before.folded", "page.html", "profiles"]);
}

#[test]
fn a_served_page_shows_what_the_directory_has_when_it_is_loaded() {
    let scratch = Scratch::new("view-serve");
    let dir = directory(&scratch);
    let served = Served::start(&[&dir]);
    assert!(served.address.ip().is_loopback() && served.token.len() == 32);
    let (status, head, page) = served.page();
    assert_eq!(status, 200, "{head}");
    for header in
        ["text/html; charset=utf-8", "cache-control: no-store", "nosniff", "no-referrer", "deny"]
    {
        assert!(head.contains(header), "{header}: {head}");
    }
    assert!(page.contains("first_work") && !page.contains("second_work"));
    write(&dir, &[profile("shop", "second_work", "/a", 30, "cpu")]);
    let (_, _, page) = served.page();
    assert!(page.contains("first_work") && page.contains("second_work"));
    std::fs::remove_dir_all(&dir).unwrap();
    let (status, _, text) = served.page();
    assert_eq!(status, 500, "{text}");
    assert!(text.contains("profiles"), "{text}");
}

#[test]
fn it_ends_by_ctrl_c_and_when_its_time_is_over() {
    let scratch = Scratch::new("view-end");
    let dir = directory(&scratch);
    let mut served = Served::start(&[&dir]);
    served.signal(nix::sys::signal::Signal::SIGINT);
    assert!(served.child.wait().unwrap().success());
    let mut served = Served::start(&[&dir, Path::new("--for"), Path::new("0.2")]);
    assert!(served.child.wait().unwrap().success());
    assert!(TcpStream::connect(served.address).is_err());
}

#[test]
fn what_cannot_be_read_is_said_before_anything_is_served() {
    let output = sondage().args(["view", "/nowhere/x.pb.gz"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(output.stdout.is_empty());
}

#[test]
fn nobody_else_is_answered() {
    let scratch = Scratch::new("view-refused");
    let dir = directory(&scratch);
    let served = Served::start(&[&dir]);
    let path = format!("/{}/", served.token);
    let wrong = format!("/{}0/", &served.token[1..]);
    let (host, own) = (served.host(), format!("Origin: http://{}", served.address));
    let header = |text: &str| text.to_owned();
    for (line, headers, expected) in [
        (format!("GET {path}"), vec![host.clone(), own.clone()], 200),
        (format!("GET {path}"), vec![header("Host: localhost")], 200),
        (format!("HEAD {path}"), vec![host.clone()], 200),
        (header("GET /"), vec![host.clone()], 403),
        (format!("GET {wrong}"), vec![host.clone()], 403),
        (format!("GET /{}", &served.token[..31]), vec![host.clone()], 403),
        (format!("GET //{}/", served.token), vec![host.clone()], 403),
        (header("GET /favicon.ico"), vec![host.clone()], 403),
        (format!("GET {path}x"), vec![host.clone()], 404),
        (format!("GET {path}../debug/pprof/profile"), vec![host.clone()], 404),
        (format!("GET {path}"), vec![header("Host: evil.example")], 403),
        (format!("GET {path}"), vec![header("Host: 127.0.0.1.evil.example")], 403),
        (format!("GET {path}"), vec![], 400),
        (format!("GET {path}"), vec![host.clone(), header("Host: evil.example")], 400),
        (format!("GET http://evil.example{path}"), vec![host.clone()], 403),
        (format!("GET {path}"), vec![host.clone(), header("Origin: http://evil.example")], 403),
        (format!("GET {path}"), vec![host.clone(), header("Origin: null")], 403),
        (format!("GET {path}"), vec![host.clone(), own.clone(), own.clone()], 403),
        (format!("POST {path}"), vec![host.clone()], 405),
        (format!("OPTIONS {path}"), vec![host.clone(), header("Origin: http://evil.example")], 405),
    ] {
        let (status, head, body) = served.ask(&line, &headers);
        assert_eq!(status, expected, "{line} {headers:?}: {head}");
        let is_page = expected == 200 && !line.starts_with("HEAD");
        assert_eq!(body.contains("first_work"), is_page, "{line} {headers:?}");
        assert!(!head.contains("access-control"), "{head}");
    }
    let large = format!("X: {}", "x".repeat(64 << 10));
    let (status, _, body) = served.ask(&format!("GET {path}"), &[host, large]);
    assert!(status != 200 && !body.contains("first_work"), "{status}");
}

#[test]
fn clients_that_send_nothing_hold_nobody_up() {
    let scratch = Scratch::new("view-slow");
    let dir = directory(&scratch);
    let served = Served::start(&[&dir]);
    let _slow: Vec<_> = (0..12)
        .map(|number| {
            let mut stream = TcpStream::connect(served.address).unwrap();
            stream.write_all(&b"GET / HTTP/1.1\r\nHost"[..number]).unwrap();
            stream
        })
        .collect();
    let begun = Instant::now();
    assert_eq!(served.page().0, 200);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn a_browser_is_opened_only_if_asked_for_and_not_waited_for() {
    let scratch = Scratch::new("view-open");
    let dir = directory(&scratch);
    let (tools, opened) = (scratch.path("tools"), scratch.path("opened"));
    std::fs::create_dir(&tools).unwrap();
    let script = format!("#!/bin/sh\necho \"$1\" > {}\nexec sleep 30\n", opened.display());
    std::fs::write(tools.join("xdg-open"), script).unwrap();
    Command::new("chmod").arg("+x").arg(tools.join("xdg-open")).status().unwrap();
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let view = |arguments: &[&str]| {
        let mut command = sondage();
        command.env("PATH", &path).arg("view").arg(&dir).args(["--for", "1"]).args(arguments);
        let begun = Instant::now();
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        assert!(begun.elapsed() < Duration::from_secs(10));
        String::from_utf8(output.stdout).unwrap()
    };
    view(&[]);
    assert!(!opened.exists());
    let url = view(&["--open"]);
    assert_eq!(std::fs::read_to_string(&opened).unwrap(), url);
}

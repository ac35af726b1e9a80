//! The collector as a process.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::client::{PATIENCE, agent};

#[test]
fn it_says_where_it_listens_and_ends_with_its_input() {
    let unix = std::env::temp_dir().join(format!("sondage-collector-{}", std::process::id()));
    let mut child = Command::new(env!("CARGO_BIN_EXE_sondage-collector"))
        .args(["--unix".as_ref(), unix.as_os_str()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["unix"], unix.to_str().unwrap());
    assert_eq!(line["url"], format!("http://{}", line["address"].as_str().unwrap()));
    let page = format!("{}/_requests", line["url"].as_str().unwrap());
    assert_eq!(agent(PATIENCE).get(page).call().unwrap().status(), 200);
    let mut stream = UnixStream::connect(&unix).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert!(!unix.exists());
}

#[test]
fn a_mistake_on_its_command_line_ends_it() {
    for arguments in [&["--port", "1"][..], &["--unix"], &["--client-ca", "/dev/null"]] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_sondage-collector")).args(arguments).output().unwrap();
        assert!(!output.status.success() && output.stdout.is_empty());
        assert!(String::from_utf8_lossy(&output.stderr).contains("usage:"), "{arguments:?}");
    }
}

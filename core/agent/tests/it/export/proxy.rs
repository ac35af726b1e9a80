//! gRPC through a proxy.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};

use sondage::config::ProxyPolicy;
use sondage_collector::Collector;

use super::protocols::{deliver, settings, sink_of};
use super::{profile, quick};

/// Set for the process that the test starts, to the target to push to.
const TARGET: &str = "SONDAGE_TEST_BEHIND_PROXY";

/// A proxy whose every tunnel ends at `server`; tells what it was asked for.
fn proxy(server: SocketAddr) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, questions) = channel();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                client.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            let _ = asked.send(String::from_utf8(head).unwrap());
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            let server = TcpStream::connect(server).unwrap();
            pipe(client.try_clone().unwrap(), server.try_clone().unwrap());
            pipe(server, client);
        }
    });
    (address, questions)
}

fn pipe(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
}

#[test]
fn grpc_goes_through_the_tunnel_of_a_proxy() {
    if let Ok(target) = std::env::var(TARGET) {
        let settings = settings().proxy(ProxyPolicy::Environment);
        let stats = deliver(sink_of(&target, settings), &profile("/orders"), &quick());
        assert_eq!((stats.pushed, stats.lost(), stats.last_error), (1, 0, None));
        return;
    }
    let collector = Collector::start().unwrap();
    let (address, questions) = proxy(collector.address());
    let proxy = format!("http://u:p@{address}");
    let run = |target: &str, no_proxy: &str| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "export::proxy::grpc_goes_through_the_tunnel_of_a_proxy"])
            .env(TARGET, target)
            .envs(["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"].map(|name| (name, &proxy)))
            .env("NO_PROXY", no_proxy)
            .env_remove("no_proxy")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    };
    run("parca+http://no-such-host.invalid:7070", "");
    let question = questions.recv().unwrap();
    assert!(question.starts_with("CONNECT no-such-host.invalid:7070 HTTP/1.1\r\n"), "{question}");
    assert!(question.contains("proxy-authorization: Basic dTpw"), "{question}");
    // Where the environment says so, not through the proxy.
    run(&format!("otlp+grpc://{}", collector.address()), "127.0.0.1");
    assert!(questions.try_recv().is_err());
    assert_eq!(collector.profiles().len(), 2);
}

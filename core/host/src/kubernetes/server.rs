//! An API server for tests: TLS, one answer after another.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::ring;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{Kubernetes, Pods};
use crate::scratch::Scratch;

/// What the server does with one request.
pub(super) enum Answer {
    /// A status and a whole body.
    Whole(u16, String),
    /// A watch: each text is sent when the test sends it, until that drops its end.
    Lines(mpsc::Receiver<String>),
    /// A beginning, and then the same bytes for ever.
    Endless(&'static str, &'static str),
    /// The connection is closed.
    Nothing,
}

/// A request that arrived.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) path: String,
    pub(super) token: String,
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) files: Scratch,
    pub(super) seen: mpsc::Receiver<Seen>,
    pub(super) sent: Arc<AtomicU64>,
}

impl Server {
    /// Gives these answers in order; whoever asks more often is closed the door on.
    pub(super) fn start(answers: Vec<Answer>) -> Self {
        let files = Scratch::new("api");
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        files.write("ca.crt", authority.pem().as_bytes());
        files.write("token", b"first\n");
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (saw, seen) = mpsc::channel();
        let sent = Arc::new(AtomicU64::new(0));
        let counter = sent.clone();
        let answers = Mutex::new(answers.into_iter());
        std::thread::spawn(move || {
            let config = Arc::new(config);
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                let connection = ServerConnection::new(config.clone()).unwrap();
                let mut stream = BufReader::new(StreamOwned::new(connection, stream));
                let Some(request) = read_request(&mut stream) else { continue };
                if saw.send(request).is_err() {
                    return;
                }
                let answer = answers.lock().unwrap().next().unwrap_or(Answer::Nothing);
                let mut stream = stream.into_inner();
                give(answer, &mut stream, &counter);
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        });
        Self { address, files, seen, sent }
    }

    pub(super) fn settings(&self) -> Kubernetes {
        let file = |name: &str| -> PathBuf { self.files.path().join(name) };
        Kubernetes {
            server: self.address.to_string(),
            node: "node-1".to_owned(),
            token_file: file("token"),
            ca_file: file("ca.crt"),
            pod_labels: vec!["app".to_owned(), "app.kubernetes.io/*".to_owned()],
            pod_annotations: Vec::new(),
        }
    }

    pub(super) fn watch(&self) -> Pods {
        self.settings().watch().unwrap()
    }

    pub(super) fn next_request(&self) -> Seen {
        self.seen.recv_timeout(Duration::from_secs(20)).unwrap()
    }
}

fn read_request(stream: &mut impl BufRead) -> Option<Seen> {
    let mut seen = Seen { path: String::new(), token: String::new() };
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let line = line.trim_end();
        if line.is_empty() {
            return Some(seen);
        }
        if let Some(rest) = line.strip_prefix("GET ") {
            seen.path = rest.split(' ').next()?.to_owned();
        }
        if let Some(token) = line.strip_prefix("authorization: Bearer ") {
            seen.token = token.to_owned();
        }
    }
}

fn give(answer: Answer, stream: &mut impl Write, sent: &AtomicU64) {
    let head = |status: u16| format!("HTTP/1.1 {status} X\r\nconnection: close\r\n\r\n");
    let mut send = |text: &str| {
        sent.fetch_add(text.len() as u64, Ordering::Relaxed);
        stream.write_all(text.as_bytes()).and_then(|()| stream.flush()).is_ok()
    };
    match answer {
        Answer::Nothing => {}
        Answer::Whole(status, body) => {
            let _ = send(&head(status)) && send(&body);
        }
        Answer::Lines(lines) => {
            let _ = send(&head(200)) && lines.iter().all(|line| send(&line));
        }
        Answer::Endless(beginning, text) => {
            let block = text.repeat((64 << 10) / text.len());
            let _ = send(&head(200)) && send(beginning);
            while send(&block) {}
        }
    }
}

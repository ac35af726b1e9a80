//! Encrypted uploads: whom the client believes.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::{CryptoProvider, ring};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use sondage::config::{Builder, Config, Target};
use sondage::export::{PushError, PyroscopeSink, Sink, Upload};
use sondage_collector::{Collector, Options, Tls};

use super::protocols::{settings, sink_of};
use super::{Scratch, profile};
use crate::server::{Reply, Server, Stream};

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Issuer {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A server whose certificate the authority made out for `name`, valid or expired.
fn server(authority: &Issuer, name: &str, expired: bool) -> Server {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    if expired {
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    }
    let certificate = params.signed_by(&key, authority).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    Server::start_with(vec![Reply::status(200)], move |stream: TcpStream| {
        let connection = ServerConnection::new(config.clone()).ok()?;
        Some(Box::new(StreamOwned::new(connection, stream)) as Box<dyn Stream>)
    })
}

fn push(server: &Server, ca_file: Option<&std::path::Path>) -> Result<(), PushError> {
    let target = format!("pyroscope+https://localhost:{}", server.address.port());
    let mut builder = Config::builder().targets([target.parse::<Target>().unwrap()]);
    if let Some(path) = ca_file {
        builder = builder.ca_file(path);
    }
    let config = builder.build().unwrap();
    let Target::Pyroscope(endpoint) = config.targets[0].clone() else { panic!("{config:?}") };
    let mut sink = PyroscopeSink::new(endpoint, &config.http, false).unwrap();
    let upload = Upload { body: vec![7; 100], ..Upload::default() };
    sink.push(&upload, Instant::now() + Duration::from_secs(5))
}

#[test]
fn only_the_certificate_of_a_known_authority_for_the_right_name_is_believed() {
    let scratch = Scratch::new();
    let (ours, theirs) = (authority(), authority());
    let path = scratch.0.join("ca.pem");
    std::fs::write(&path, ours.pem()).unwrap();
    let good = server(&ours, "localhost", false);
    assert_eq!(push(&good, Some(&path)), Ok(()));
    assert_eq!(good.requests()[0].body.len(), 100);
    for (server, ca_file) in [
        (&good, None),
        (&server(&theirs, "localhost", false), Some(path.as_path())),
        (&server(&ours, "other.example", false), Some(path.as_path())),
        (&server(&ours, "localhost", true), Some(path.as_path())),
    ] {
        let before = server.requests().len();
        let error = push(server, ca_file).unwrap_err();
        assert!(matches!(error, PushError::Retry { .. }), "{error:?}");
        assert!(error.message().contains("certificate"), "{error}");
        assert_eq!(server.requests().len(), before, "nothing was sent");
    }
    // Rotated: the file is read again for every upload.
    std::fs::write(&path, "not a certificate").unwrap();
    let error = push(&good, Some(&path)).unwrap_err();
    assert!(error.message().contains("no certificate"), "{error}");
    assert!(CryptoProvider::get_default().is_none(), "the host's default is not touched");
}

/// A certificate for `name`, with its key, both in PEM.
fn identity(authority: &Issuer, name: &str, expired: bool) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    if expired {
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    }
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

fn collector(identity: (String, String), client_ca: Option<&Issuer>) -> Collector {
    let client_ca = client_ca.map(|authority| authority.pem());
    let tls = Some(Tls { certificates: identity.0, key: identity.1, client_ca });
    Collector::start_with(&Options { tls, unix: None }).unwrap()
}

/// A target over TLS of each kind, at the collector.
fn encrypted(collector: &Collector) -> [String; 4] {
    let place = format!("s://localhost:{}", collector.address().port());
    ["pyroscope+http", "otlp+http", "otlp+grpc", "parca+http"].map(|kind| format!("{kind}{place}"))
}

/// One try, with these settings.
fn try_once(target: &str, settings: Builder) -> Result<(), PushError> {
    let mut sink = sink_of(target, settings);
    let upload = sink.encode(&profile("/orders")).unwrap().remove(0);
    sink.push(&upload, Instant::now() + Duration::from_secs(5))
}

#[test]
fn grpc_believes_the_same_servers_as_http() {
    let scratch = Scratch::new();
    let (ours, theirs) = (authority(), authority());
    let path = scratch.0.join("ca.pem");
    std::fs::write(&path, ours.pem()).unwrap();
    let good = collector(identity(&ours, "localhost", false), None);
    for target in encrypted(&good) {
        assert_eq!(try_once(&target, settings().ca_file(&path)), Ok(()), "{target}");
    }
    assert_eq!(good.profiles().len(), 4);
    for (bad, ca_file) in [
        (&good, None),
        (&collector(identity(&theirs, "localhost", false), None), Some(&path)),
        (&collector(identity(&ours, "other.example", false), None), Some(&path)),
        (&collector(identity(&ours, "localhost", true), None), Some(&path)),
    ] {
        bad.clear();
        for target in encrypted(bad) {
            let settings = ca_file.map_or_else(settings, |path| settings().ca_file(path));
            let error = try_once(&target, settings).unwrap_err();
            assert!(error.message().contains("certificate"), "{target}: {error}");
        }
        let sent = bad.requests().iter().any(|request| !request.path.is_empty());
        assert!(!sent, "{:?}", bad.requests());
    }
}

#[test]
fn a_server_that_asks_for_a_certificate_gets_ours() {
    let scratch = Scratch::new();
    let (servers, clients) = (authority(), authority());
    let file = |name: &str, text: String| {
        let path = scratch.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let ca = file("ca.pem", servers.pem());
    let collector = collector(identity(&servers, "localhost", false), Some(&clients));
    let (cert, key) = identity(&clients, "agent", false);
    let (cert, key) = (file("client.pem", cert), file("client.key", key));
    for target in encrypted(&collector) {
        let known = settings().ca_file(&ca).client_identity(&cert, &key);
        assert_eq!(try_once(&target, known), Ok(()), "{target}");
        let unknown = try_once(&target, settings().ca_file(&ca));
        assert!(unknown.is_err(), "{target}: {unknown:?}");
    }
    assert_eq!(collector.profiles().len(), 4, "only the uploads with a certificate");
    // Rotated: both files are read again for every upload.
    std::fs::write(&key, "no key").unwrap();
    for target in encrypted(&collector) {
        let broken = settings().ca_file(&ca).client_identity(&cert, &key);
        let error = try_once(&target, broken).unwrap_err();
        assert!(error.message().contains("no private key"), "{target}: {error}");
    }
}

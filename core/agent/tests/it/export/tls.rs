//! Encrypted uploads: whom the client believes.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::{CryptoProvider, ring};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use sondage::config::{Config, Target};
use sondage::export::{PushError, PyroscopeSink, Sink, Upload};

use super::Scratch;
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

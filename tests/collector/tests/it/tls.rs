//! Encryption: both versions of HTTP, and clients that must show who they are.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use sondage_collector::{Collector, Options, Tls};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::by_hand::{PUSH, now, push, write_raw};
use crate::client::{PATIENCE, call_on, until, wait};

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Issuer {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn certificate(authority: &Issuer) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    (params.signed_by(&key, authority).unwrap(), key)
}

fn collector(authority: &Issuer, asks_clients: bool) -> Collector {
    let (certificate, key) = certificate(authority);
    let client_ca = asks_clients.then(|| authority.pem());
    let tls = Tls { certificates: certificate.pem(), key: key.serialize_pem(), client_ca };
    Collector::start_with(&Options { tls: Some(tls), unix: None }).unwrap()
}

#[test]
fn both_versions_of_http_are_encrypted() {
    let authority = authority();
    let collector = collector(&authority, false);
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let path = "/parca.profilestore.v1alpha1.ProfileStoreService/WriteRaw";
    let answer = wait(async {
        let tcp = tokio::net::TcpStream::connect(collector.address()).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
        call_on(stream, path, &write_raw(now())).await.unwrap()
    });
    assert_eq!(answer.status(), "0");
    assert_eq!(try_push(&collector, &authority, None).unwrap(), 200);
    assert_eq!(collector.profiles().len(), 2);
}

#[test]
fn a_client_without_a_certificate_of_the_authority_gets_nowhere() {
    let (ours, theirs) = (authority(), authority());
    let collector = collector(&ours, true);
    assert_eq!(try_push(&collector, &ours, Some(&ours)).unwrap(), 200);
    assert!(try_push(&collector, &ours, None).is_err());
    assert!(try_push(&collector, &ours, Some(&theirs)).is_err());
    assert_eq!(collector.profiles().len(), 1);
    let is_failed = |it: &sondage_collector::Seen| it.outcome.starts_with("no TLS: ");
    until(|| collector.requests().into_iter().filter(is_failed).count() == 2);
}

/// Pushes over HTTP/1, with a certificate that this authority made out.
fn try_push(
    collector: &Collector,
    trusted: &Issuer,
    signer: Option<&Issuer>,
) -> Result<u16, ureq::Error> {
    use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};
    let root = Certificate::from_der(trusted.der()).to_owned();
    let mut tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&[root]));
    if let Some(signer) = signer {
        let (certificate, key) = certificate(signer);
        let chain = [Certificate::from_der(certificate.der()).to_owned()];
        let key = PrivateKey::from_pem(key.serialize_pem().as_bytes()).unwrap();
        tls = tls.client_cert(Some(ClientCert::new_with_certs(&chain, key)));
    }
    let config = ureq::Agent::config_builder().tls_config(tls.build());
    let agent: ureq::Agent = config.timeout_global(Some(PATIENCE)).build().into();
    let url = format!("https://localhost:{}{PUSH}", collector.address().port());
    let request = agent.post(url).header("content-type", "application/proto");
    Ok(request.send(push(now()))?.status().as_u16())
}

//! Connections: accepted, encrypted if asked for, served as whichever HTTP they speak.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::collector::Tls;
use crate::journal::Journal;
use crate::record::Seen;
use crate::service::{self, Connection};
use crate::wire::{Shared, Stream};

/// Accepts for ever.
pub(crate) async fn accept_tcp(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    journal: Arc<Journal>,
) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (tls, journal) = (tls.clone(), journal.clone());
        // An answer in several frames would wait for acknowledgements that the client delays.
        let _ = stream.set_nodelay(true);
        tokio::spawn(async move {
            let Some(tls) = tls else { return serve(Box::new(stream), journal).await };
            match tls.accept(stream).await {
                Ok(stream) => serve(Box::new(stream), journal).await,
                Err(error) => journal.open().seen.push(Seen {
                    path: String::new(),
                    headers: Vec::new(),
                    at_millis: journal.millis(),
                    size: 0,
                    crc32: 0,
                    outcome: format!("no TLS: {error}"),
                }),
            }
        });
    }
}

/// Accepts for ever on a socket in the file system.
pub(crate) async fn accept_unix(listener: UnixListener, journal: Arc<Journal>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        tokio::spawn(serve(Box::new(stream), journal.clone()));
    }
}

async fn serve(stream: Box<dyn Stream>, journal: Arc<Journal>) {
    let (take_over, mut taken) = mpsc::unbounded_channel();
    let shared = Shared::new(stream);
    let connection = Arc::new(Connection { journal, requests: AtomicU32::new(0), take_over });
    let service = service_fn(move |request| service::answer(connection.clone(), request));
    let server = auto::Builder::new(TokioExecutor::new());
    let mut serving = Box::pin(server.serve_connection(TokioIo::new(shared.clone()), service));
    let wire = tokio::select! {
        // How a connection ends is the client's business.
        _ = &mut serving => None,
        wire = taken.recv() => wire,
    };
    drop(serving);
    if let Some(wire) = wire {
        wire.run(shared).await;
    }
}

/// TLS as configured, with both versions of HTTP on offer.
pub(crate) fn acceptor(tls: &Tls) -> io::Result<TlsAcceptor> {
    let invalid = |error: &dyn std::fmt::Display| {
        io::Error::new(io::ErrorKind::InvalidInput, error.to_string())
    };
    let provider = Arc::new(ring::default_provider());
    let certificates = CertificateDer::pem_slice_iter(tls.certificates.as_bytes());
    let certificates = certificates.collect::<Result<_, _>>().map_err(|it| invalid(&it))?;
    let key = PrivateKeyDer::from_pem_slice(tls.key.as_bytes()).map_err(|it| invalid(&it))?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid(&error))?;
    let builder = match &tls.client_ca {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                let certificate = certificate.map_err(|error| invalid(&error))?;
                roots.add(certificate).map_err(|error| invalid(&error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().map_err(|error| invalid(&error))?)
        }
    };
    let mut config = builder.with_single_cert(certificates, key).map_err(|it| invalid(&it))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

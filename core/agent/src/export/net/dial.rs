//! Connections for gRPC: to an address or a socket, through a proxy where one is set, with TLS
//! where the endpoint asks for it.

use std::sync::Arc;
use std::time::Instant;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::grpc::{Broken, left};
use super::http::CONNECT_TIMEOUT;
use super::tunnel::Tunnel;
use super::{names, tls};
use crate::config::{Endpoint, Http};

/// A connection.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Connects to the server.
pub(super) async fn connect(
    endpoint: &Endpoint,
    http: &Http,
    deadline: Instant,
) -> Result<Box<dyn Stream>, Broken> {
    let connecting = async {
        if let Some(path) = endpoint.socket() {
            let stream = UnixStream::connect(path).await;
            return Ok(Box::new(stream.map_err(broke)?) as Box<dyn Stream>);
        }
        let stream = match Tunnel::of(endpoint, http)? {
            Some(tunnel) => tunnel.open(tcp(tunnel.host_and_port(), deadline).await?).await?,
            None => tcp(endpoint.host_and_port(), deadline).await?,
        };
        match endpoint.is_encrypted() {
            true => encrypt(stream, endpoint, http).await,
            false => Ok(Box::new(stream) as Box<dyn Stream>),
        }
    };
    // Resolving and connecting have a limit each; a handshake may take as long again.
    let connected = timeout(left(deadline, 2 * CONNECT_TIMEOUT), connecting).await;
    connected.unwrap_or_else(|_| Err(Broken::Other("no connection in time".to_owned())))
}

fn broke(error: std::io::Error) -> Broken {
    Broken::Other(format!("no connection, or it broke: {error}"))
}

/// Tries the addresses of the host one after the other.
async fn tcp((host, port): (&str, u16), deadline: Instant) -> Result<TcpStream, Broken> {
    let addresses = names::look_up(host, port, left(deadline, CONNECT_TIMEOUT)).map_err(broke)?;
    let mut last = std::io::ErrorKind::NotFound.into();
    let each = left(deadline, CONNECT_TIMEOUT) / addresses.len().max(1) as u32;
    for address in addresses {
        match timeout(each, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = std::io::ErrorKind::TimedOut.into(),
        }
    }
    Err(broke(last))
}

async fn encrypt(
    stream: TcpStream,
    endpoint: &Endpoint,
    http: &Http,
) -> Result<Box<dyn Stream>, Broken> {
    let wrong = |error: &dyn std::fmt::Display| Broken::Other(format!("TLS: {error}"));
    let config = client_config(http).map_err(|error| Broken::Other(error.to_string()))?;
    let name = ServerName::try_from(endpoint.host_and_port().0.to_owned());
    let name = name.map_err(|error| wrong(&error))?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let stream = stream.map_err(|error| wrong(&error))?;
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        return Err(Broken::Other("the server does not speak HTTP/2 over TLS".to_owned()));
    }
    Ok(Box::new(stream))
}

fn client_config(http: &Http) -> Result<ClientConfig, crate::Error> {
    let invalid = |error: &dyn std::fmt::Display| crate::Error::invalid(format!("TLS: {error}"));
    let material = tls::Material::read(http)?;
    let mut roots = RootCertStore::empty();
    match &material.roots {
        Some(given) => {
            for root in given {
                let root = CertificateDer::from(root.der().to_vec());
                roots.add(root).map_err(|error| invalid(&error))?;
            }
        }
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    let config = ClientConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid(&error))?
        .with_root_certificates(roots);
    let mut config = match material.identity {
        Some((chain, key)) => {
            let chain = chain.iter().map(|it| CertificateDer::from(it.der().to_vec()));
            let key = PrivateKeyDer::try_from(key.der().to_vec());
            let key = key.map_err(|error| invalid(&error))?;
            let config = config.with_client_auth_cert(chain.collect(), key);
            config.map_err(|error| invalid(&error))?
        }
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

//! A proxy's tunnel to a server.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use ureq::{Proxy, ProxyProtocol};

use super::grpc::Broken;
use crate::config::{Endpoint, Http, ProxyPolicy};

/// Bytes of a proxy's answer.
const MAX_ANSWER: usize = 8 << 10;

/// A proxy, and where it is to lead.
pub(super) struct Tunnel {
    proxy: Proxy,
    to: String,
}

impl Tunnel {
    /// The tunnel that the settings and the environment ask for.
    pub(super) fn of(endpoint: &Endpoint, http: &Http) -> Result<Option<Self>, Broken> {
        if http.proxy != ProxyPolicy::Environment {
            return Ok(None);
        }
        let Some(proxy) = Proxy::try_from_env() else { return Ok(None) };
        let Ok(uri) = endpoint.url("/").parse() else { return Ok(None) };
        if proxy.is_no_proxy(&uri) {
            return Ok(None);
        }
        if proxy.protocol() != ProxyProtocol::Http {
            return Err(Broken::Other("gRPC goes only through an http:// proxy".to_owned()));
        }
        let (host, port) = endpoint.host_and_port();
        let to =
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        Ok(Some(Self { proxy, to }))
    }

    /// Where to connect to.
    pub(super) fn host_and_port(&self) -> (&str, u16) {
        (self.proxy.host(), self.proxy.port())
    }

    /// Asks the proxy at the other end of the stream for the server.
    pub(super) async fn open(&self, mut stream: TcpStream) -> Result<TcpStream, Broken> {
        let broke = |error: std::io::Error| Broken::Other(format!("the proxy: {error}"));
        let mut request = format!("CONNECT {0} HTTP/1.1\r\nhost: {0}\r\n", self.to);
        if let Some(user) = self.proxy.username() {
            let pair = format!("{user}:{}", self.proxy.password().unwrap_or_default());
            request += &format!("proxy-authorization: Basic {}\r\n", STANDARD.encode(pair));
        }
        request += "\r\n";
        stream.write_all(request.as_bytes()).await.map_err(broke)?;
        let mut answer = Vec::new();
        // Byte by byte: what follows the empty line is the server's.
        while !answer.ends_with(b"\r\n\r\n") {
            if answer.len() == MAX_ANSWER {
                return Err(Broken::Other("the proxy: an endless answer".to_owned()));
            }
            answer.push(stream.read_u8().await.map_err(broke)?);
        }
        let status = answer.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        if !matches!(status, [b'2', _, _]) {
            let status = String::from_utf8_lossy(status.get(..3).unwrap_or_default());
            return Err(Broken::Other(format!("the proxy answers {status}")));
        }
        Ok(stream)
    }
}

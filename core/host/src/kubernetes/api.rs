//! Requests to the API server: one at a time, bounded, each with a client of its own.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sondage::config::Secret;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, BodyReader};

use super::Kubernetes;

/// Bytes of a list: 110 pods have 2 MB at most in practice.
pub(super) const MAX_LIST: u64 = 32 << 20;

/// Bytes of one change: the server's own store takes objects of 1.5 MiB.
pub(super) const MAX_CHANGE: u64 = 4 << 20;

/// How long a list may take in all.
const LIST_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the server is asked to let a watch stand, and how much longer it may take to end it.
/// Behind a connection that died without a word, changes are missed for so long.
const WATCH: Duration = Duration::from_secs(150);
const WATCH_GRACE: Duration = Duration::from_secs(15);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_CA_FILE: u64 = 4 << 20;
const MAX_MESSAGE: u64 = 4 << 10;

/// Why a request gave nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The version to go on from is too old: list again.
    Gone,
    /// The server refuses for good, as far as one can tell.
    Forbidden(String),
    /// It may be better next time, perhaps after this wait.
    Later(String, Option<Duration>),
}

/// The API server.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) settings: Kubernetes,
}

impl Api {
    pub(super) fn new(settings: Kubernetes) -> Result<Self, String> {
        // Both become part of a URL.
        let is_name = |text: &str, more: &[u8]| {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
        };
        if !is_name(&settings.node, b".-") || settings.node.len() > 253 {
            return Err(format!("the node's name {:?} is none", settings.node));
        }
        if !is_name(&settings.server, b".-:[]") {
            return Err(format!("the API server {:?} is not HOST:PORT", settings.server));
        }
        Ok(Self { settings })
    }

    /// All pods of the node, as the server has them in memory.
    pub(super) fn list(&self) -> Result<impl Read + use<>, Failure> {
        self.get("&resourceVersion=0", LIST_TIMEOUT)
    }

    /// Their changes after a version.
    pub(super) fn watch(&self, version: &str) -> Result<impl Read + use<>, Failure> {
        if !version.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(Failure::Gone);
        }
        let query = format!(
            "&watch=1&allowWatchBookmarks=true&timeoutSeconds={}&resourceVersion={version}",
            WATCH.as_secs()
        );
        self.get(&query, WATCH + WATCH_GRACE)
    }

    fn get(&self, query: &str, timeout: Duration) -> Result<BodyReader<'static>, Failure> {
        let later = |message: String| Failure::Later(message, None);
        let Kubernetes { server, node, token_file, ca_file, .. } = &self.settings;
        let token = Secret::read(token_file).map_err(|error| later(error.to_string()))?;
        let agent = agent(ca_file, timeout).map_err(later)?;
        let selector = format!("fieldSelector=spec.nodeName%3D{node}");
        let response = agent
            .get(format!("https://{server}/api/v1/pods?{selector}{query}"))
            .header("authorization", format!("Bearer {}", token.expose()))
            .header("accept", "application/json")
            .call()
            .map_err(|error| later(format!("{server}: {error}")))?;
        let (head, body) = response.into_parts();
        let status = head.status.as_u16();
        if status == 200 {
            return Ok(body.into_reader());
        }
        let message = format!("{server} answers {status}: {}", reason(body.into_reader()));
        Err(match status {
            410 => Failure::Gone,
            401 | 403 => Failure::Forbidden(message),
            _ => {
                let wait = head.headers.get("retry-after").and_then(|value| value.to_str().ok());
                let wait = wait.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
                Failure::Later(message, wait)
            }
        })
    }
}

/// What the server says about a refusal: the message of its status, or the beginning of the text.
fn reason(body: impl Read) -> String {
    let mut bytes = Vec::new();
    let _ = body.take(MAX_MESSAGE).read_to_end(&mut bytes);
    let status = serde_json::from_slice::<super::wire::Failure>(&bytes);
    let text = status.map(|status| status.message).ok().filter(|message| !message.is_empty());
    crate::text::clean(text.as_ref().map_or(&bytes[..], |text| text.as_bytes()), 300)
}

fn agent(ca_file: &Path, timeout: Duration) -> Result<Agent, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(provider)
        .root_certs(RootCerts::new_with_certs(&certificates(ca_file)?))
        .build();
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_idle_connections(0)
        .max_response_header_size(64 << 10)
        .https_only(true)
        .proxy(None)
        .user_agent(concat!("sondage-host-agent/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls)
        .timeout_global(Some(timeout))
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(LIST_TIMEOUT))
        .build();
    Ok(Agent::with_parts(config, DefaultConnector::default(), Names))
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let broken = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let mut pem = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_CA_FILE).read_to_end(&mut pem))
        .map_err(|error| broken(&error))?;
    let mut found = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| broken(&error))? {
            found.push(certificate);
        }
    }
    if found.is_empty() {
        return Err(broken(&"holds no certificate in PEM form"));
    }
    Ok(found)
}

/// Looks names up on this thread: ureq's own starts another one. In a cluster the host is an
/// address.
#[derive(Debug)]
struct Names;

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        _: &Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        use std::net::ToSocketAddrs;
        let host = uri.host().ok_or(ureq::Error::HostNotFound)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let addresses = (host, uri.port_u16().unwrap_or(443)).to_socket_addrs();
        let mut found = self.empty();
        addresses.map_err(ureq::Error::Io)?.take(8).for_each(|address| found.push(address));
        if found.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(found) }
    }
}

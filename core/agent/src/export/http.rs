//! One HTTP request at a time, each with a client of its own that is gone afterwards: no pool, no
//! thread, no connection stays between uploads, and a forked child inherits none.
//!
//! Everything is bounded: the whole exchange by the caller's deadline, connecting by 3 seconds,
//! headers by 64 KiB. Of an answer only the text of a failure is read, at most 64 KiB. Redirects
//! are not followed, so credentials go to the configured host only.

use std::io::{self, Read};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ureq::http::{HeaderMap, Request, Uri};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Proxy, SendBody};

use super::http_date;
use crate::config::{Auth, Http, ProxyPolicy, Secret};
use crate::error::Error;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Bytes of a failure's text that are read.
const MAX_TEXT: u64 = 64 << 10;

/// Addresses of one name that are looked at.
const MAX_ADDRESSES: usize = 16;

/// Bytes of a file of certificates: all of Mozilla's are 200 KiB.
const MAX_CA_BYTES: u64 = 4 << 20;

const USER_AGENT: &str = concat!("sondage/", env!("CARGO_PKG_VERSION"));

/// Settings for requests; holds no connection.
#[derive(Debug)]
pub(super) struct Client {
    http: Http,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    /// How long the server asks to wait.
    pub(super) retry_after: Option<Duration>,
    /// Where a redirect leads.
    pub(super) location: Option<String>,
    /// The beginning of the body of a failure.
    pub(super) text: String,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server cannot have got the whole message.
    NotSent(String),
    /// It may have.
    Unanswered(String),
}

impl Client {
    pub(super) fn new(http: &Http) -> Result<Self, Error> {
        Ok(Self { http: http.clone() })
    }

    /// Posts a protobuf message and reads the answer.
    pub(super) fn post(
        &self,
        url: &str,
        body: &[u8],
        deadline: Instant,
    ) -> Result<Response, Failure> {
        let not_sent = |error: Error| Failure::NotSent(error.to_string());
        let agent = self.agent(deadline).map_err(not_sent)?;
        let mut body = Counted { left: body, asked: false };
        let mut request = Request::post(url)
            .header("content-type", "application/proto")
            .header("content-length", body.left.len());
        if let Some(value) = authorization(&self.http.auth).map_err(not_sent)? {
            request = request.header("authorization", value);
        }
        if let Some(tenant) = &self.http.tenant {
            request = request.header("x-scope-orgid", tenant);
        }
        let request = request
            .body(SendBody::from_reader(&mut body))
            .map_err(|error| Failure::NotSent(format!("{url}: {error}")))?;
        match agent.run(request) {
            Ok(response) => Ok(read(response)),
            // The client reads the body to its end before the last of it leaves: as long as some
            // of it is unread, the server has not got all of it.
            Err(error) if !body.is_read() => Err(Failure::NotSent(describe(&error))),
            Err(error) => Err(Failure::Unanswered(describe(&error))),
        }
    }

    fn agent(&self, deadline: Instant) -> Result<Agent, Error> {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(0)
            .max_response_header_size(64 << 10)
            .user_agent(USER_AGENT)
            .proxy(match self.http.proxy {
                ProxyPolicy::Off => None,
                ProxyPolicy::Environment => Proxy::try_from_env(),
            })
            .tls_config(self.tls()?)
            .timeout_global(Some(left))
            .timeout_resolve(Some(CONNECT_TIMEOUT.min(left)))
            .timeout_connect(Some(CONNECT_TIMEOUT.min(left)))
            .build();
        Ok(Agent::with_parts(config, DefaultConnector::default(), Names))
    }

    /// TLS 1.2 and 1.3 with ring, whatever the host has made its default.
    fn tls(&self) -> Result<TlsConfig, Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = TlsConfig::builder().unversioned_rustls_crypto_provider(provider);
        let Some(path) = &self.http.ca_file else { return Ok(config.build()) };
        let broken = |why: String| Error::invalid(format!("{}: {why}", path.display()));
        let mut pem = Vec::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(MAX_CA_BYTES).read_to_end(&mut pem))
            .map_err(|error| broken(error.to_string()))?;
        let mut roots = Vec::new();
        for item in parse_pem(&pem) {
            match item {
                Ok(PemItem::Certificate(certificate)) => roots.push(certificate),
                Ok(_) => {}
                Err(error) => return Err(broken(error.to_string())),
            }
        }
        if roots.is_empty() {
            return Err(broken("holds no certificate in PEM form".to_owned()));
        }
        Ok(config.root_certs(RootCerts::new_with_certs(&roots)).build())
    }
}

fn authorization(auth: &Auth) -> Result<Option<String>, Error> {
    let bearer = |token: &Secret| format!("Bearer {}", token.expose());
    Ok(match auth {
        Auth::None => None,
        Auth::Token(token) => Some(bearer(token)),
        Auth::TokenFile(path) => Some(bearer(&Secret::read(path)?)),
        Auth::BasicFile(path) => {
            Some(format!("Basic {}", STANDARD.encode(Auth::read_basic(path)?.expose())))
        }
    })
}

/// A body that knows how much of it was read.
struct Counted<'a> {
    left: &'a [u8],
    asked: bool,
}

impl Counted<'_> {
    fn is_read(&self) -> bool {
        self.asked && self.left.is_empty()
    }
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.asked = true;
        self.left.read(buffer)
    }
}

fn read(response: ureq::http::Response<ureq::Body>) -> Response {
    let (head, body) = response.into_parts();
    let status = head.status.as_u16();
    let mut bytes = Vec::new();
    if !head.status.is_success() {
        // The status counts; a text that breaks off is shown as far as it came.
        let _ = body.into_reader().take(MAX_TEXT).read_to_end(&mut bytes);
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let location = header(&head.headers, "location").map(str::to_owned);
    Response { status, retry_after: retry_after(&head.headers), location, text }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// `Retry-After`: seconds, or a date, which is compared with the server's own clock where it
/// tells that.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = header(headers, "retry-after")?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = http_date::parse(text)?;
    let ours = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let theirs = header(headers, "date").and_then(http_date::parse);
    let now = theirs.unwrap_or_else(|| ours().as_secs());
    Some(Duration::from_secs(until.saturating_sub(now)))
}

fn describe(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => format!("no connection, or it broke: {error}"),
        ureq::Error::Timeout(what) => format!("no answer in time ({what})"),
        ureq::Error::HostNotFound => "the host's name has no address".to_owned(),
        error => error.to_string(),
    }
}

/// Resolves names on a thread that may be left behind at the deadline: the system's resolver
/// cannot be interrupted. Addresses need no thread.
#[derive(Debug)]
struct Names;

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        _config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.scheme().zip(uri.authority());
        let host =
            host.and_then(|(scheme, authority)| DefaultResolver::host_and_port(scheme, authority));
        let host = host.ok_or(ureq::Error::HostNotFound)?;
        let mut found = self.empty();
        if let Ok(address) = host.parse() {
            found.push(address);
            return Ok(found);
        }
        let addresses = look_up(host, (*timeout.after).min(CONNECT_TIMEOUT))?;
        for address in addresses.into_iter().take(MAX_ADDRESSES) {
            found.push(address);
        }
        if found.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(found) }
    }
}

fn look_up(host: String, timeout: Duration) -> Result<Vec<SocketAddr>, ureq::Error> {
    let (send, receive) = sync_channel(1);
    // The thread inherits the signal mask of the uploader, where an agent blocks everything.
    std::thread::Builder::new().name("sondage-dns".into()).spawn(move || {
        let addresses = host.to_socket_addrs().map(Iterator::collect);
        let _ = send.send(addresses);
    })?;
    match receive.recv_timeout(timeout) {
        Ok(addresses) => Ok(addresses?),
        Err(_) => Err(ureq::Error::Timeout(ureq::Timeout::Resolve)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_on_the_servers_clock() {
        let after = |pairs: &[(&'static str, &str)]| retry_after(&headers(pairs));
        assert_eq!(after(&[("retry-after", "120")]), Some(Duration::from_secs(120)));
        let (date, until) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:50:07 GMT");
        let both = after(&[("date", date), ("retry-after", until)]);
        assert_eq!(both, Some(Duration::from_secs(30)));
        assert_eq!(after(&[("retry-after", until)]), Some(Duration::ZERO), "long ago");
        assert_eq!(after(&[("retry-after", "soon")]), None);
        assert_eq!(after(&[]), None);
    }
}

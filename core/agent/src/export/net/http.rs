//! HTTP/1.1.
//!
//! Everything is bounded: the whole exchange by the caller's deadline, connecting by 3 seconds,
//! headers and what is read of an answer by 64 KiB. Redirects are not followed, so credentials go
//! to the configured host only.

use std::io::{self, Read};
use std::time::{Duration, Instant, SystemTime};

use ureq::http::{self, HeaderMap, Uri};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Proxy, SendBody};

use super::names;
use super::tls::Material;
use super::unix::UnixConnector;
use super::{Credentials, Failure, Request, Response, credentials, http_date};
use crate::config::{Endpoint, Http, ProxyPolicy};
use crate::error::Error;

/// The longest that resolving a name, and then connecting, may take.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Bytes of an answer that are read.
const MAX_ANSWER: u64 = 64 << 10;

pub(super) const USER_AGENT: &str = concat!("sondage/", env!("CARGO_PKG_VERSION"));

/// Settings for requests to one server; holds no connection.
#[derive(Debug)]
pub(in super::super) struct Client {
    endpoint: Endpoint,
    http: Http,
    credentials: Credentials,
}

impl Client {
    pub(in super::super) fn new(
        endpoint: &Endpoint,
        http: &Http,
        credentials: Credentials,
    ) -> Result<Self, Error> {
        Ok(Self { endpoint: endpoint.clone(), http: http.clone(), credentials })
    }

    /// Posts a message and reads the answer.
    pub(in super::super) fn post(
        &self,
        message: &Request<'_>,
        deadline: Instant,
    ) -> Result<Response, Failure> {
        let not_sent = |error: Error| Failure::NotSent(error.to_string());
        let agent = self.agent(deadline).map_err(not_sent)?;
        let url = self.endpoint.url(message.path);
        let mut body = Counted { left: message.body, asked: false };
        let mut request = http::Request::post(&url)
            .header("content-type", message.content_type)
            .header("content-length", body.left.len());
        if message.gzip {
            request = request.header("content-encoding", "gzip");
        }
        for (name, value) in
            credentials::headers_of(&self.http, self.credentials).map_err(not_sent)?
        {
            request = request.header(name, value);
        }
        let request = request
            .body(SendBody::from_reader(&mut body))
            .map_err(|error| Failure::NotSent(format!("{url}: {error}")))?;
        match agent.run(request) {
            Ok(response) => Ok(read(response, message.reads_reply)),
            // The client reads the body to its end before the last of it leaves: as long as some
            // of it is unread, the server has not got all of it.
            Err(error) if !body.is_read() => Err(Failure::NotSent(describe(&error))),
            Err(error) => Err(Failure::Unanswered(describe(&error))),
        }
    }

    /// Asks for what is at a path, and reads all of it, or one byte more than `limit`.
    pub(in super::super) fn get(
        &self,
        path: &str,
        limit: usize,
        deadline: Instant,
    ) -> Result<Response, String> {
        let text = |error: Error| error.to_string();
        let agent = self.agent(deadline).map_err(text)?;
        let mut request = http::Request::get(self.endpoint.url(path));
        for (name, value) in credentials::headers_of(&self.http, self.credentials).map_err(text)? {
            request = request.header(name, value);
        }
        let request = request.body(()).map_err(|error| error.to_string())?;
        let response = agent.run(request).map_err(|error| describe(&error))?;
        let (head, body) = response.into_parts();
        let mut bytes = Vec::new();
        let whole = body.into_reader().take(limit as u64 + 1).read_to_end(&mut bytes);
        whole.map_err(|error| format!("the answer breaks off: {error}"))?;
        Ok(Response { status: head.status.as_u16(), body: bytes, ..Response::default() })
    }

    fn agent(&self, deadline: Instant) -> Result<Agent, Error> {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let connect_timeout = CONNECT_TIMEOUT.min(left);
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(0)
            .max_response_header_size(64 << 10)
            .user_agent(USER_AGENT)
            .proxy(match self.http.proxy {
                ProxyPolicy::Environment if self.endpoint.socket().is_none() => {
                    Proxy::try_from_env()
                }
                _ => None,
            })
            .tls_config(Material::read(&self.http)?.into_config())
            .timeout_global(Some(left))
            .timeout_resolve(Some(connect_timeout))
            .timeout_connect(Some(connect_timeout))
            .build();
        Ok(match self.endpoint.socket() {
            Some(path) => {
                Agent::with_parts(config, UnixConnector::new(path, connect_timeout), NoNames)
            }
            None => Agent::with_parts(config, DefaultConnector::default(), Names),
        })
    }
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

fn read(response: http::Response<ureq::Body>, reads_reply: bool) -> Response {
    let (head, body) = response.into_parts();
    let mut bytes = Vec::new();
    if reads_reply || !head.status.is_success() {
        // The status counts; a text that breaks off is shown as far as it came.
        let _ = body.into_reader().take(MAX_ANSWER).read_to_end(&mut bytes);
    }
    Response {
        status: head.status.as_u16(),
        retry_after: retry_after(&head.headers),
        location: header(&head.headers, "location").map(str::to_owned),
        body: bytes,
    }
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

/// See [`names`].
#[derive(Debug)]
struct Names;

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        _config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().ok_or(ureq::Error::HostNotFound)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        let port = uri.port_u16().unwrap_or(default);
        let addresses = names::look_up(host, port, (*timeout.after).min(CONNECT_TIMEOUT));
        let addresses = addresses.map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => ureq::Error::Timeout(ureq::Timeout::Resolve),
            _ => ureq::Error::Io(error),
        })?;
        let mut found = self.empty();
        addresses.into_iter().for_each(|address| found.push(address));
        if found.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(found) }
    }
}

/// A unix socket has no address to look up.
#[derive(Debug)]
struct NoNames;

impl Resolver for NoNames {
    fn resolve(
        &self,
        _uri: &Uri,
        _config: &ureq::config::Config,
        _timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut found = self.empty();
        found.push(std::net::SocketAddr::from(([127, 0, 0, 1], 80)));
        Ok(found)
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

//! Who may read: nobody's web page, and with a token only who has it.

use crate::config::Secret;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, ORIGIN};
use hyper::{Method, Request, StatusCode};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use subtle::ConstantTimeEq;

/// Why a request is refused.
type Refusal = (StatusCode, &'static str);

/// What a request must bring.
pub(super) enum Pass {
    /// Nothing.
    None,
    /// The token in this file, as a header. It is read for every request, so that a rotated one needs
    /// no restart.
    Header(PathBuf),
    /// This token, as the first part of the path: a browser sends no header of ours.
    Path(String),
}

/// The rules.
#[derive(Debug)]
pub(super) struct Gate {
    pass: Pass,
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Header(path) => f.debug_tuple("Header").field(path).finish(),
            Self::Path(_) => f.write_str("Path(***)"),
        }
    }
}

impl Gate {
    pub(super) fn new(pass: Pass) -> Self {
        Self { pass }
    }

    /// Whether a request that arrived at the address `here` is answered.
    pub(super) fn admit<B>(&self, request: &Request<B>, here: SocketAddr) -> Result<(), Refusal> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err((StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are understood"));
        }
        let headers = request.headers();
        let host = one(headers, HOST.as_str())
            .ok_or((StatusCode::BAD_REQUEST, "one Host header is needed"))?;
        let named = request.uri().authority().map(|authority| authority.as_str());
        if !is_here(host, here) || named.is_some_and(|named| !is_here(named, here)) {
            // A page of another name that its server lets point here: DNS rebinding.
            return Err((
                StatusCode::FORBIDDEN,
                "the Host is not this machine's loopback or address",
            ));
        }
        if headers.contains_key(ORIGIN) {
            let own = format!("http://{host}");
            if one(headers, ORIGIN.as_str()).is_none_or(|origin| !origin.eq_ignore_ascii_case(&own))
            {
                return Err((StatusCode::FORBIDDEN, "requests of other pages are refused"));
            }
        }
        match &self.pass {
            Pass::None => Ok(()),
            Pass::Header(file) => Self::check_header(file, headers),
            Pass::Path(token) => Self::check_path(token, request.uri().path()),
        }
    }

    fn check_path(token: &str, path: &str) -> Result<(), Refusal> {
        let given = first_part(path);
        match bool::from(given.as_bytes().ct_eq(token.as_bytes())) {
            true => Ok(()),
            false => Err((StatusCode::FORBIDDEN, "the address with its token is needed")),
        }
    }

    fn check_header(path: &Path, headers: &HeaderMap) -> Result<(), Refusal> {
        let Ok(token) = Secret::read(path) else {
            return Err((StatusCode::SERVICE_UNAVAILABLE, "the token file cannot be read"));
        };
        let given = one(headers, AUTHORIZATION.as_str()).and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        let equal = |given: &str| bool::from(given.as_bytes().ct_eq(token.expose().as_bytes()));
        if given.is_some_and(equal) {
            return Ok(());
        }
        Err((StatusCode::UNAUTHORIZED, "Authorization: Bearer with the token is needed"))
    }
}

/// The first part of a path: where a token stands.
fn first_part(path: &str) -> &str {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.split_once('/').map_or(path, |(first, _)| first)
}

/// The value of a header that is there once.
fn one<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Whether a host, with or without a port, is a name of loopback or the address that was reached.
/// The port may be another one: it may be forwarded.
fn is_here(host: &str, here: SocketAddr) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|it| it.is_ascii_digit()) => {
            name
        }
        _ => host,
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let address = bare.parse::<IpAddr>();
    let is_address = address.is_ok_and(|address| {
        let address = address.to_canonical();
        address.is_loopback() || address == here.ip().to_canonical()
    });
    name.eq_ignore_ascii_case("localhost") || is_address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_and_the_address_that_was_reached_are_here() {
        let here = "10.1.2.3:6060".parse().unwrap();
        for host in ["localhost", "LocalHost:1", "127.0.0.1", "127.0.0.1:6060", "[::1]:6060"] {
            assert!(is_here(host, here), "{host}");
        }
        assert!(is_here("10.1.2.3:6060", here) && is_here("10.1.2.3", here));
        assert!(is_here("10.1.2.3", "[::ffff:10.1.2.3]:6060".parse().unwrap()));
        let others = [
            "localhost.evil",
            "localhost.evil:6060",
            "evil",
            "127.0.0.1.evil",
            "10.1.2.4",
            "",
            ":6060",
            "localhost:evil",
            "evil:127.0.0.1",
            "localhost@evil",
        ];
        for host in others {
            assert!(!is_here(host, here), "{host}");
        }
    }
}

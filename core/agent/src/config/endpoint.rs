//! A server and how it is reached, as a URL.

use std::fmt;
use std::path::{Path, PathBuf};

/// A server, and the path below which its API lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    place: Place,
    prefix: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Host { tls: bool, host: String, port: Option<u16> },
    Socket(PathBuf),
}

/// What may stand before `://` in the URLs of one kind of target.
pub(super) struct Schemes {
    plain: &'static str,
    tls: &'static str,
    /// Whether a unix socket will do.
    socket: bool,
    /// Whether the API may lie below a path.
    prefix: bool,
    /// What is wrong with another scheme.
    expected: &'static str,
}

impl Schemes {
    pub(super) const HTTP: Self = Self {
        plain: "http://",
        tls: "https://",
        socket: true,
        prefix: true,
        expected: "the URL must begin with http://, https:// or unix:/",
    };

    pub(super) const PARCA: Self = Self { prefix: false, ..Self::HTTP };

    /// Behind `grpc`.
    pub(super) const GRPC: Self = Self {
        plain: "://",
        tls: "s://",
        socket: false,
        prefix: false,
        expected: "the URL must begin with grpc:// or grpcs://",
    };
}

impl Endpoint {
    pub(super) fn parse(url: &str, schemes: &Schemes) -> Result<Self, &'static str> {
        if schemes.socket
            && let Some(path) = url.strip_prefix("unix:")
        {
            return socket(path);
        }
        let (tls, rest) = match (url.strip_prefix(schemes.plain), url.strip_prefix(schemes.tls)) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(schemes.expected),
        };
        let (authority, prefix) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        // Anywhere: in `user/:password@host` the password looks like a path.
        if rest.contains('@') {
            return Err("a URL may not hold a password, which would show up in logs: \
                 use SONDAGE_BASIC_AUTH_FILE or SONDAGE_TOKEN_FILE");
        }
        if prefix.contains(['?', '#']) {
            return Err("the URL may have a path but no ? or #");
        }
        if !prefix.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte)) {
            return Err("the path must be percent-encoded");
        }
        let (host, port) = split_port(authority)?;
        check_host(host)?;
        let prefix = prefix.trim_end_matches('/').to_owned();
        if !prefix.is_empty() && !schemes.prefix {
            return Err("gRPC has no path: end the URL after the port");
        }
        Ok(Self { place: Place::Host { tls, host: host.to_owned(), port }, prefix })
    }

    /// A server by `http://` or `https://`, with the path that may follow.
    pub(crate) fn of_server(url: &str) -> Result<Self, &'static str> {
        match url.starts_with("unix:") {
            true => Err(Schemes::HTTP.expected),
            false => Self::parse(url, &Schemes::HTTP),
        }
    }

    /// Whether a path follows the host.
    pub(crate) fn has_path(&self) -> bool {
        !self.prefix.is_empty()
    }

    /// The URL of a path below the prefix; `path` begins with `/`. That of a unix socket names
    /// `localhost` as its host.
    pub fn url(&self, path: &str) -> String {
        match self.place {
            Place::Host { .. } => format!("{self}{path}"),
            Place::Socket(_) => format!("http://localhost{path}"),
        }
    }

    /// Whether the connection is encrypted.
    pub fn is_encrypted(&self) -> bool {
        matches!(self.place, Place::Host { tls: true, .. })
    }

    /// Whether the host is this machine, by its name or address, or a socket on it.
    pub fn is_loopback(&self) -> bool {
        let Place::Host { host, .. } = &self.place else { return true };
        let host = bare(host);
        host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
    }

    /// The path of the unix socket, if it is one.
    pub fn socket(&self) -> Option<&Path> {
        match &self.place {
            Place::Socket(path) => Some(path),
            Place::Host { .. } => None,
        }
    }

    /// The host without the brackets of an IPv6 address, and the port; `localhost` and 80 for a
    /// socket.
    pub fn host_and_port(&self) -> (&str, u16) {
        match &self.place {
            Place::Host { tls, host, port } => {
                (bare(host), port.unwrap_or(if *tls { 443 } else { 80 }))
            }
            Place::Socket(_) => ("localhost", 80),
        }
    }

    /// The URL from the `s` of an encrypted scheme, or from `://`, on.
    pub(super) fn after_scheme_name(&self) -> String {
        let url = self.to_string();
        url.strip_prefix("http").unwrap_or(&url).to_owned()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Socket(path) => write!(f, "unix:{}", path.display()),
            Place::Host { tls, host, port } => {
                write!(f, "{}://{host}", if *tls { "https" } else { "http" })?;
                if let Some(port) = port {
                    write!(f, ":{port}")?;
                }
                f.write_str(&self.prefix)
            }
        }
    }
}

fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

fn socket(path: &str) -> Result<Endpoint, &'static str> {
    /// Bytes of a socket's path, `sun_path` less its NUL.
    const MAX_PATH: usize = 107;
    if !path.starts_with('/') || path.starts_with("//") || path.contains('\0') {
        return Err("write unix:/PATH with the socket's absolute path");
    }
    if path.len() > MAX_PATH {
        return Err("the path of a socket has at most 107 bytes");
    }
    Ok(Endpoint { place: Place::Socket(PathBuf::from(path)), prefix: String::new() })
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), &'static str> {
    let after_address = authority.rfind(']').map_or(0, |end| end + 1);
    let Some(colon) = authority[after_address..].rfind(':') else {
        return Ok((authority, None));
    };
    let (host, port) = authority.split_at(after_address + colon);
    match port[1..].parse() {
        Ok(port) if port > 0 => Ok((host, Some(port))),
        _ => Err("the port must be 1 to 65535"),
    }
}

fn check_host(host: &str) -> Result<(), &'static str> {
    if let Some(address) = host.strip_prefix('[') {
        let address = address.strip_suffix(']').unwrap_or_default();
        let valid = address.parse::<std::net::Ipv6Addr>().is_ok();
        return if valid { Ok(()) } else { Err("not an IPv6 address between [ and ]") };
    }
    let name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    match host {
        "" => Err("names no host"),
        _ if host.len() > 253 => Err("the host's name is longer than 253 characters"),
        _ if !host.bytes().all(name) => {
            Err("the host's name may have letters, digits, '-', '_' and '.'")
        }
        _ => Ok(()),
    }
}

//! Where profiles go, as one line of text.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::{Error, ErrorKind};

/// What is understood now, for error messages.
const ALLOWED: &str = "file:DIR, pyroscope+http://HOST[:PORT][/PREFIX] or pyroscope+https://…";

/// Spellings of the design that no sink stands behind yet.
const PLANNED: [&str; 9] = [
    "otlp+http:",
    "otlp+https:",
    "otlp+grpc:",
    "otlp+grpcs:",
    "parca+http:",
    "parca+https:",
    "datadog+http:",
    "datadog+https:",
    "pull+http:",
];

/// A place that profiles are sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// `file:DIR`: pprof files in a directory, which is made when it is missing.
    File(PathBuf),
    /// `pyroscope+http://HOST[:PORT][/PREFIX]` or `pyroscope+https://…`: a Pyroscope server.
    Pyroscope(Endpoint),
}

/// An HTTP server, and the path below which its API lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    tls: bool,
    host: String,
    port: Option<u16>,
    prefix: String,
}

impl Endpoint {
    /// The URL of a path below the prefix; `path` begins with `/`.
    pub fn url(&self, path: &str) -> String {
        format!("{self}{path}")
    }

    /// Whether the connection is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.tls
    }

    /// Whether the host is this machine, by its name or address.
    pub fn is_loopback(&self) -> bool {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.tls { "https" } else { "http" }, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(&self.prefix)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(dir) => write!(f, "file:{}", dir.display()),
            Self::Pyroscope(endpoint) => write!(f, "pyroscope+{endpoint}"),
        }
    }
}

impl FromStr for Target {
    type Err = Error;

    /// Parses one target. An error shows the text without what may be secret in it.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a kind of target that is planned,
    /// [`ErrorKind::InvalidInput`] for everything else.
    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let shown = redacted(text);
        if let Some(dir) = text.strip_prefix("file:") {
            return file(dir).map_err(|why| Error::invalid(format!("{shown:?}: {why}")));
        }
        if let Some(url) = text.strip_prefix("pyroscope+") {
            let endpoint = endpoint(url);
            let endpoint = endpoint.map_err(|why| Error::invalid(format!("{shown:?}: {why}")))?;
            return Ok(Self::Pyroscope(endpoint));
        }
        if PLANNED.iter().any(|planned| text.starts_with(planned)) {
            let message = format!("{shown:?} is not supported yet; allowed: {ALLOWED}");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        if text.starts_with("http://") || text.starts_with("https://") {
            let message =
                format!("{shown:?} does not say what the server is: write pyroscope+{shown}");
            return Err(Error::invalid(message));
        }
        Err(Error::invalid(format!("{shown:?} is no target; allowed: {ALLOWED}")))
    }
}

fn file(dir: &str) -> Result<Target, &'static str> {
    if dir.starts_with("//") {
        return Err("write file:DIR, for example file:./profiles or file:/var/lib/profiles");
    }
    match dir {
        "" => Err("names no directory"),
        _ if dir.contains('\0') => Err("a path has no NUL character"),
        _ => Ok(Target::File(PathBuf::from(dir))),
    }
}

fn endpoint(url: &str) -> Result<Endpoint, &'static str> {
    let (tls, rest) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
        (Some(rest), _) => (false, rest),
        (_, Some(rest)) => (true, rest),
        _ => return Err("the URL must begin with http:// or https://"),
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
    Ok(Endpoint { tls, host: host.to_owned(), port, prefix })
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

/// The text without userinfo, query and fragment, cut to a length that fits on a line.
fn redacted(text: &str) -> String {
    let mut shown = text.to_owned();
    if let Some(start) = shown.find("://").map(|at| at + 3) {
        // A raw password may itself hold '/', '?' or '#': everything before the last '@' goes.
        if let Some(at) = shown.rfind('@').filter(|&at| at >= start) {
            shown.replace_range(start..at, "***");
        }
        if let Some(query) = shown[start..].find(['?', '#']) {
            shown.truncate(start + query + 1);
            shown.push_str("***");
        }
    }
    match shown.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_survives_being_written_and_read() {
        for text in [
            "file:./sondage-profiles",
            "file:/var/lib/a b",
            "pyroscope+http://localhost:4040",
            "pyroscope+https://profiles.example.com/tenants/a",
            "pyroscope+http://[::1]:4040",
            "pyroscope+http://10.0.0.1",
        ] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        let slash: Target = "pyroscope+http://a/".parse().unwrap();
        assert_eq!(slash.to_string(), "pyroscope+http://a");
    }

    #[test]
    fn a_wrong_target_is_refused_with_what_to_write_instead() {
        for (text, part) in [
            ("", "allowed: file:DIR"),
            ("ftp://x", "allowed: file:DIR"),
            ("file:", "no directory"),
            ("file:///tmp/x", "file:DIR"),
            ("http://localhost:4040", "write pyroscope+http://localhost:4040"),
            ("pyroscope+ftp://x", "http:// or https://"),
            ("pyroscope+http://", "no host"),
            ("pyroscope+http://a:0", "1 to 65535"),
            ("pyroscope+http://a:99999", "1 to 65535"),
            ("pyroscope+http://a:", "1 to 65535"),
            ("pyroscope+http://[::1", "IPv6"),
            ("pyroscope+http://[nonsense]:1", "IPv6"),
            ("pyroscope+http://a b", "letters, digits"),
            ("pyroscope+http://a/x y", "percent-encoded"),
            ("pyroscope+http://a/x?y=1", "no ? or #"),
        ] {
            let error = text.parse::<Target>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_planned_target_is_named_as_not_supported_yet() {
        for text in [
            "otlp+http://localhost:4318",
            "otlp+https://localhost:4318",
            "otlp+grpc://localhost:4317",
            "parca+https://parca",
            "datadog+https://intake.profile.datadoghq.com",
            "pull+http://127.0.0.1:6060",
        ] {
            let error = text.parse::<Target>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{text}");
            assert!(error.to_string().contains("not supported yet"), "{error}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_refused_and_never_shown() {
        for text in [
            "pyroscope+https://user:canary@host",
            "pyroscope+https://user:canary/@host/x",
            "pyroscope+https://user:can?canary@host/x",
            "https://canary@host",
            "otlp+https://u:canary@host",
            "pyroscope+https://host/?key=canary",
            "nonsense://canary@host",
        ] {
            let error = text.parse::<Target>().unwrap_err();
            assert!(!error.to_string().contains("canary"), "{error}");
        }
        let error = "pyroscope+https://u:p@host".parse::<Target>().unwrap_err();
        assert!(error.to_string().contains("SONDAGE_BASIC_AUTH_FILE"), "{error}");
    }
}

//! Where profiles go, as one line of text.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use super::endpoint::{Endpoint, Schemes};
use crate::error::Error;

/// What is understood, for error messages.
const ALLOWED: &str = "file:DIR, otlp+http://HOST:PORT, otlp+grpc://…, pyroscope+http://…, \
                       pyroscope-ingest+http://…, parca+http://…, datadog+http://…, \
                       datadog-intake+https://…, \
                       pull+http://ADDRESS:PORT, with https: and grpcs: for TLS and \
                       KIND+unix:/PATH for a socket";

/// A place that profiles are sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// `file:DIR`: pprof files in a directory, which is made when it is missing.
    File(PathBuf),
    /// `pyroscope+http://HOST[:PORT][/PREFIX]`, `pyroscope+https://…` or `pyroscope+unix:/PATH`:
    /// a Pyroscope server of version 1.0 or later.
    Pyroscope(Endpoint),
    /// `pyroscope-ingest+http://…`: the older `/ingest` of Pyroscope, which every version and its
    /// relatives have.
    PyroscopeIngest(Endpoint),
    /// `otlp+http://HOST[:PORT][/PREFIX]`, `otlp+https://…` or `otlp+unix:/PATH`: OpenTelemetry
    /// profiles over HTTP. The environment may say only `otlp`, which is the endpoint of
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`.
    OtlpHttp(Endpoint),
    /// `otlp+grpc://HOST[:PORT]` or `otlp+grpcs://…`: OpenTelemetry profiles over gRPC.
    OtlpGrpc(Endpoint),
    /// `parca+http://HOST[:PORT]` or `parca+https://…`: Parca's gRPC interface.
    Parca(Endpoint),
    /// `datadog+http://HOST[:PORT]` or `datadog+unix:/PATH`: a Datadog agent.
    Datadog(Endpoint),
    /// `datadog-intake+https://intake.profile.SITE`: Datadog without an agent.
    DatadogIntake(Endpoint),
    /// `pull+http://127.0.0.1:PORT`: a server in the agent from which profiles are fetched. One
    /// process can have the port; others, such as its forked children, profile without it and say
    /// so in [`Stats::warnings`](crate::Stats).
    Pull(SocketAddr),
}

/// How a kind of target is written, and the URLs it takes.
struct Kind {
    prefix: &'static str,
    schemes: Schemes,
    target: fn(Endpoint) -> Target,
}

const KINDS: [Kind; 7] = [
    Kind { prefix: "pyroscope+", schemes: Schemes::HTTP, target: Target::Pyroscope },
    Kind { prefix: "pyroscope-ingest+", schemes: Schemes::HTTP, target: Target::PyroscopeIngest },
    // Before OTLP over HTTP, which has the same beginning.
    Kind { prefix: "otlp+grpc", schemes: Schemes::GRPC, target: Target::OtlpGrpc },
    Kind { prefix: "otlp+", schemes: Schemes::HTTP, target: Target::OtlpHttp },
    Kind { prefix: "parca+", schemes: Schemes::PARCA, target: Target::Parca },
    Kind { prefix: "datadog+", schemes: Schemes::HTTP, target: Target::Datadog },
    Kind { prefix: "datadog-intake+", schemes: Schemes::HTTP, target: Target::DatadogIntake },
];

impl Target {
    /// The server, for targets that are one.
    pub fn endpoint(&self) -> Option<&Endpoint> {
        match self {
            Self::File(_) | Self::Pull(_) => None,
            Self::Pyroscope(endpoint)
            | Self::PyroscopeIngest(endpoint)
            | Self::OtlpHttp(endpoint)
            | Self::OtlpGrpc(endpoint)
            | Self::Parca(endpoint)
            | Self::Datadog(endpoint)
            | Self::DatadogIntake(endpoint) => Some(endpoint),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(dir) => write!(f, "file:{}", dir.display()),
            Self::Pyroscope(endpoint) => write!(f, "pyroscope+{endpoint}"),
            Self::PyroscopeIngest(endpoint) => write!(f, "pyroscope-ingest+{endpoint}"),
            Self::OtlpHttp(endpoint) => write!(f, "otlp+{endpoint}"),
            Self::OtlpGrpc(endpoint) => write!(f, "otlp+grpc{}", endpoint.after_scheme_name()),
            Self::Parca(endpoint) => write!(f, "parca+{endpoint}"),
            Self::Datadog(endpoint) => write!(f, "datadog+{endpoint}"),
            Self::DatadogIntake(endpoint) => write!(f, "datadog-intake+{endpoint}"),
            Self::Pull(address) => write!(f, "pull+http://{address}"),
        }
    }
}

impl FromStr for Target {
    type Err = Error;

    /// Parses one target. An error shows the text without what may be secret in it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput).
    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let shown = redacted(text);
        let refused = |why: &str| Error::invalid(format!("{shown:?}: {why}"));
        if let Some(dir) = text.strip_prefix("file:") {
            return file(dir).map_err(refused);
        }
        if let Some(address) = text.strip_prefix("pull+http://") {
            return listen(address).map_err(refused);
        }
        for kind in &KINDS {
            if let Some(url) = text.strip_prefix(kind.prefix) {
                let endpoint = Endpoint::parse(url, &kind.schemes).map_err(refused)?;
                return Ok((kind.target)(endpoint));
            }
        }
        if text.starts_with("http://") || text.starts_with("https://") {
            let message = format!(
                "{shown:?} does not say what the server is: write pyroscope+{shown}, \
                 otlp+{shown} or the like"
            );
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

/// Where to listen. Port 0 stands for one that is free.
fn listen(address: &str) -> Result<Target, &'static str> {
    let address = address.trim_end_matches('/');
    let address = match address.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => address.to_owned(),
    };
    let address = address.parse().map_err(|_| "write an address and a port, as 127.0.0.1:6060")?;
    Ok(Target::Pull(address))
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
    use crate::error::ErrorKind;

    #[test]
    fn a_target_survives_being_written_and_read() {
        for text in [
            "file:./sondage-profiles",
            "file:/var/lib/a b",
            "pyroscope+http://localhost:4040",
            "pyroscope+https://profiles.example.com/tenants/a",
            "pyroscope+http://[::1]:4040",
            "pyroscope+http://10.0.0.1",
            "pyroscope+unix:/run/pyroscope.sock",
            "pyroscope-ingest+http://localhost:4040",
            "otlp+http://localhost:4318",
            "otlp+https://otlp.example.com/otlp",
            "otlp+unix:/run/collector.sock",
            "otlp+grpc://localhost:4317",
            "otlp+grpcs://[::1]:4317",
            "parca+http://localhost:7070",
            "parca+https://grpc.polarsignals.com",
            "datadog+http://localhost:8126",
            "datadog+unix:/var/run/datadog/apm.socket",
            "datadog-intake+https://intake.profile.datadoghq.eu",
            "pull+http://127.0.0.1:6060",
            "pull+http://[::1]:6060",
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
            ("pyroscope+ftp://x", "http://, https://"),
            ("otlp+grpc+http://x", "grpc:// or grpcs://"),
            ("otlp+grpc://x/path", "no path"),
            ("parca+http://x/path", "no path"),
            ("datadog+unix:run/x", "absolute path"),
            ("datadog+unix://run/x", "absolute path"),
            ("pyroscope+http://", "no host"),
            ("pyroscope+http://a:0", "1 to 65535"),
            ("pyroscope+http://a:99999", "1 to 65535"),
            ("pyroscope+http://a:", "1 to 65535"),
            ("pyroscope+http://[::1", "IPv6"),
            ("pyroscope+http://[nonsense]:1", "IPv6"),
            ("pyroscope+http://a b", "letters, digits"),
            ("pyroscope+http://a/x y", "percent-encoded"),
            ("pyroscope+http://a/x?y=1", "no ? or #"),
            ("pull+http://127.0.0.1", "127.0.0.1:6060"),
            ("pull+http://host:6060", "127.0.0.1:6060"),
            ("pull+https://127.0.0.1:6060", "allowed: file:DIR"),
        ] {
            let error = text.parse::<Target>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
            assert!(error.to_string().contains(part), "{text}: {error}");
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
            "otlp+grpcs://u:canary@host",
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

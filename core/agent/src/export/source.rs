//! Profiles of other processes, fetched over HTTP.

use std::fmt;
use std::time::{Duration, Instant};

use super::net::{Client, Credentials};
use crate::config::{Endpoint, Http};
use crate::error::{Error, ErrorKind};
use crate::profile::limits::MAX_INPUT_BYTES;
use crate::profile::{Profile, pprof};

/// What is asked for where the URL has no path.
const PATH: &str = "/debug/pprof/profile";

/// Seconds of a profile where a URL with a path says nothing: Go's are that long.
const UNSAID_SECONDS: u64 = 30;

/// The longest profile that is waited for.
const MAX_SECONDS: u64 = 3600;

/// What a server may take to connect and to answer, besides the profile's time.
const SLACK: Duration = Duration::from_secs(15);

/// Where a profile of a running process is fetched from: an agent with a `pull+http` target, a
/// program of Go with `net/http/pprof`, or anything that answers in pprof.
#[derive(Debug)]
pub struct Source {
    client: Client,
    shown: String,
    query: String,
    seconds: u64,
}

impl fmt::Display for Source {
    /// The URL without what follows a `?`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Source {
    /// Whether a text is the URL of a source, and not a file's name.
    pub fn is_url(text: &str) -> bool {
        let text = text.strip_prefix("pull+").unwrap_or(text);
        text.starts_with("http://") || text.starts_with("https://")
    }

    /// Takes `http://HOST:PORT`, `https://…`, or the `pull+http://…` of the agent's own setting, of
    /// which a profile of `seconds` seconds is asked for; a URL with a path is taken as it is.
    /// Credentials, certificates and proxies are those of `http`. Nobody is contacted yet.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for what is no such URL, [`ErrorKind::Unsupported`] in a build
    /// without the feature `push`.
    pub fn new(url: &str, seconds: u64, http: &Http) -> Result<Self, Error> {
        let plain = url.strip_prefix("pull+").unwrap_or(url);
        let (place, query) = plain.split_once('?').unwrap_or((plain, ""));
        let shown = place.rsplit_once('@').map_or(place, |(_, host)| host).to_owned();
        let refused = |why: &str| Error::invalid(format!("{shown}: {why}"));
        let endpoint = Endpoint::of_server(place).map_err(refused)?;
        if !query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return Err(refused("what follows the ? must be percent-encoded"));
        }
        let said = query.split('&').find_map(|part| part.strip_prefix("seconds=")?.parse().ok());
        let (query, seconds) = match endpoint.has_path() || !query.is_empty() {
            true if query.is_empty() => (String::new(), UNSAID_SECONDS),
            true => (format!("?{query}"), said.unwrap_or(UNSAID_SECONDS)),
            false => (format!("{PATH}?seconds={seconds}"), seconds),
        };
        if seconds > MAX_SECONDS {
            return Err(refused("a profile of more than an hour"));
        }
        let client = Client::new(&endpoint, http, Credentials::Standard)?;
        Ok(Self { client, shown, query, seconds })
    }

    /// The longest that [`fetch`](Self::fetch) takes.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.seconds).saturating_add(SLACK)
    }

    /// Asks for a profile and waits for it, which takes as long as the profile is.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when there is no answer in time or it is no success,
    /// [`ErrorKind::TooLarge`] beyond [`MAX_INPUT_BYTES`], [`ErrorKind::Malformed`] for an answer
    /// that is no profile.
    pub fn fetch(&self) -> Result<Profile, Error> {
        let named = |kind, why: &str| Error::new(kind, format!("{}: {why}", self.shown));
        let deadline = Instant::now() + self.patience();
        let answer = self.client.get(&self.query, MAX_INPUT_BYTES, deadline);
        let answer = answer.map_err(|why| named(ErrorKind::Io, &why))?;
        if answer.status != 200 {
            let hint = match answer.status {
                401 | 403 => "; the token is taken from the file that SONDAGE_TOKEN_FILE names",
                _ => "",
            };
            let text: String = answer.text().chars().take(200).collect();
            let text = text.trim().escape_debug().to_string();
            let why = format!("status {}: {text}{hint}", answer.status);
            return Err(named(ErrorKind::Io, &why));
        }
        if answer.body.len() > MAX_INPUT_BYTES {
            return Err(named(ErrorKind::TooLarge, "an answer of more than 64 MiB"));
        }
        let profile = pprof::decode(&answer.body);
        profile.map_err(|error| named(error.kind(), &format!("not a readable profile: {error}")))
    }
}

#[cfg(all(test, feature = "push"))]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_a_path_is_asked_for_a_profile_of_the_time_and_another_as_it_is() {
        for (url, query, seconds) in [
            ("http://127.0.0.1:6060", "/debug/pprof/profile?seconds=7", 7),
            ("pull+http://127.0.0.1:6060", "/debug/pprof/profile?seconds=7", 7),
            ("https://[::1]:6060/", "/debug/pprof/profile?seconds=7", 7),
            ("http://h/debug/pprof/heap", "", UNSAID_SECONDS),
            ("http://h/debug/pprof/profile?seconds=3", "?seconds=3", 3),
        ] {
            let source = Source::new(url, 7, &Http::default()).unwrap();
            assert_eq!((source.query.as_str(), source.seconds), (query, seconds), "{url}");
        }
        let long = "http://h/x?seconds=18446744073709551615";
        for url in ["ftp://h", "http://", "http://u:canary@h", "http://h/?a b", "http://h:0", long]
        {
            let error = Source::new(url, 7, &Http::default()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{url}");
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    }
}

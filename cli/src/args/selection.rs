//! Which profiles are read.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;

use super::values::label;

/// What of directories is read, and how of running processes.
#[derive(Clone, Debug, Args)]
pub(crate) struct Selection {
    /// Only profiles that began after this: so long ago (7d, 12h, 30m)
    #[arg(long, value_name = "AGO", value_parser = ago)]
    pub(crate) since: Option<Duration>,

    /// Only profiles that began before this: so long ago
    #[arg(long, value_name = "AGO", value_parser = ago)]
    pub(crate) until: Option<Duration>,

    /// Only profiles of this service
    #[arg(long, value_name = "NAME")]
    pub(crate) service: Option<String>,

    /// Only samples with this label; may be given several times
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub(crate) labels: Vec<(String, String)>,

    /// Time that a profile of a running process is of
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=300))]
    pub(crate) seconds: u64,
}

/// A period in seconds since the Unix epoch; the end does not belong to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Period {
    from: Option<u64>,
    to: Option<u64>,
}

impl Period {
    pub(crate) fn is_all(self) -> bool {
        self.from.is_none() && self.to.is_none()
    }

    pub(crate) fn contains(self, seconds: u64) -> bool {
        self.from.is_none_or(|from| seconds >= from) && self.to.is_none_or(|to| seconds < to)
    }
}

impl Selection {
    /// The period as of now.
    pub(crate) fn period(&self) -> Period {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let before = |ago: Duration| now.saturating_sub(ago).as_secs();
        Period { from: self.since.map(before), to: self.until.map(before) }
    }
}

/// A profile: a file, a directory of files, or the URL of a running process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Path(PathBuf),
    Url(String),
}

impl From<std::ffi::OsString> for Place {
    fn from(text: std::ffi::OsString) -> Self {
        match text.to_str() {
            Some(url) if sondage::export::Source::is_url(url) => Self::Url(url.to_owned()),
            _ => Self::Path(text.into()),
        }
    }
}

pub(super) fn ago(text: &str) -> Result<Duration, String> {
    sondage::config::duration(text).map_err(|allowed| format!("allowed: {allowed}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_ends_before_its_end() {
        let period = Period { from: Some(10), to: Some(20) };
        assert_eq!([9, 10, 19, 20].map(|at| period.contains(at)), [false, true, true, false]);
        assert!(Period { from: None, to: None }.is_all() && !period.is_all());
    }

    #[test]
    fn a_url_is_told_from_a_file() {
        let place = |text: &str| Place::from(std::ffi::OsString::from(text));
        for url in ["http://127.0.0.1:6060", "pull+http://h:1", "https://h/x?seconds=3"] {
            assert_eq!(place(url), Place::Url(url.to_owned()));
        }
        assert_eq!(place("http"), Place::Path("http".into()));
    }
}

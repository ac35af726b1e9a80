//! What `sondage record` and the processes it runs agree on: a private directory.
//!
//! `SONDAGE_RECORD_DIR` names it. In it, `settings` holds lines of a name and a number; each
//! process writes its profile so far to `PID-START-PART.pb.gz`, or a line that says why it cannot
//! record to `PID-START.failed`; `PID-START.open` is there while more is to come.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sondage::Config;

const VARIABLE: &str = "SONDAGE_RECORD_DIR";
const SETTINGS: &str = "settings";

/// A settings file is far smaller.
const MAX_SETTINGS: u64 = 4096;

/// The directory of the recording that this process belongs to.
pub(crate) fn directory() -> Option<PathBuf> {
    let directory = PathBuf::from(std::env::var_os(VARIABLE)?);
    directory.is_absolute().then_some(directory)
}

/// How to record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Samples a second of CPU time.
    pub(crate) hz: u32,
    /// Whether waiting time is recorded too.
    pub(crate) wall: bool,
    /// When recording ends although the program goes on.
    pub(crate) until: Option<SystemTime>,
}

impl Settings {
    /// Reads the settings of a recording; `None` when it is over, or not one.
    pub(crate) fn read(directory: &Path) -> Option<Self> {
        use std::io::Read;
        let file = std::fs::File::open(directory.join(SETTINGS)).ok()?;
        let mut text = String::new();
        file.take(MAX_SETTINGS).read_to_string(&mut text).ok()?;
        Some(Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let mut settings = Self { hz: 100, wall: false, until: None };
        for (name, value) in text.lines().filter_map(|line| line.split_once(' ')) {
            let Ok(value) = value.parse::<u64>() else { continue };
            match name {
                "hz" => settings.hz = value.clamp(1, Config::MAX_HZ.into()) as u32,
                "wall" => settings.wall = value != 0,
                "until_unix_ms" => {
                    settings.until = UNIX_EPOCH.checked_add(Duration::from_millis(value));
                }
                _ => (),
            }
        }
        settings
    }

    /// The time left to record; `None` for all the time there is.
    pub(crate) fn left(&self) -> Option<Duration> {
        let until = self.until?;
        Some(until.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO))
    }
}

/// The configuration of a process under `sondage record`: the recorder flushes by itself, and
/// labels are given when its file is written. Nobody changes it from outside: the file would not
/// hold what the recorder says.
pub(crate) fn configuration(settings: &Settings) -> Config {
    Config {
        hz: settings.hz,
        wall: settings.wall,
        interval: Duration::from_secs(3600),
        targets: Vec::new(),
        control: false,
        // The recorder has a way of its own to see the end of the process, `_exit` included.
        exit_timeout: Duration::ZERO,
        ..Config::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_lines_of_a_name_and_a_number_and_others_do_not_matter() {
        let settings = Settings::parse("hz 250\nwall 1\nuntil_unix_ms 1000\nfuture 3\nnoise\n");
        let until = Some(UNIX_EPOCH + Duration::from_secs(1));
        assert_eq!(settings, Settings { hz: 250, wall: true, until });
        assert_eq!(settings.left(), Some(Duration::ZERO));
        let fallback = Settings { hz: 100, wall: false, until: None };
        assert_eq!(Settings::parse("hz many"), fallback);
    }
}

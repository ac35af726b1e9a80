//! What single arguments may be.

use std::time::Duration;

use sondage::config::Target;

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let valid = seconds.filter(|seconds| !seconds.is_zero() && seconds.as_secs() <= MAX_SECONDS);
    valid.ok_or_else(|| format!("allowed: seconds, up to {MAX_SECONDS}"))
}

/// As `clap` wants it.
pub(super) const MAX_HZ: i64 = sondage::Config::MAX_HZ as i64;

/// A year.
const MAX_SECONDS: u64 = 365 * 24 * 3600;

pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("allowed: on or off".to_owned()),
    }
}

/// A target as it was written: what it prints as hides what may be secret.
pub(super) fn target(text: &str) -> Result<String, String> {
    text.parse::<Target>().map_err(|error| error.to_string())?;
    no_comma(text)
}

/// A value that lists keep whole.
pub(super) fn no_comma(text: &str) -> Result<String, String> {
    match text.contains(',') || text.chars().any(char::is_control) {
        true => Err("allowed: no commas and no control characters".to_owned()),
        false => Ok(text.to_owned()),
    }
}

pub(super) fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("allowed: NAME=VALUE")?;
    let plain = |byte: u8| byte == b'_' || byte.is_ascii_lowercase();
    if name.is_empty() || !name.bytes().all(plain) || value.chars().any(char::is_control) {
        return Err("allowed: NAME=VALUE, with a name of a-z and _".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}

pub(super) fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("allowed: KEY=VALUE")?;
    if key.is_empty() || text.chars().any(char::is_control) {
        return Err("allowed: KEY=VALUE without control characters".to_owned());
    }
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_labels_that_make_no_sense_are_refused() {
        assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1500)));
        for wrong in ["0", "-1", "nan", "1e99", "soon", ""] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
        assert_eq!(label("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(label("a").is_err());
        assert!(label("=b").is_err());
    }
}

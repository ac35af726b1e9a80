//! Pyroscope: `push.v1` and `/ingest`, and the rules that both share. The limits and texts are
//! those of version 1.21 with its defaults.

pub(crate) mod ingest;
pub(crate) mod push;

use std::collections::{BTreeMap, HashSet};

use crate::pprof::File;
use crate::record::Sample;
use crate::request::now_nanos;

const MAX_RAW_BYTES: usize = 4 << 20;
const MAX_SAMPLES: usize = 16_000;
const MAX_SAMPLE_LABELS: usize = 100;
const MAX_LABELS: usize = 30;
const MAX_NAME_BYTES: usize = 1024;
const MAX_VALUE_BYTES: usize = 2048;

/// What the server adds to each series: `__profile_type__`, `__type__`, `__unit__`,
/// `__period_type__`, `__period_unit__`, `__service_name__`.
const SERVER_LABELS: usize = 6;

const MINUTE_NANOS: i64 = 60_000_000_000;

/// Labels of a series as the server stores them: by name, dots as underscores.
fn check_labels(labels: &[(String, String)]) -> Result<BTreeMap<String, String>, String> {
    let all = in_braces(labels.iter().map(|(name, value)| (name, value)));
    if labels.is_empty() {
        return Err("error at least one label pair is required per profile".into());
    }
    if labels.iter().all(|(name, value)| name != "__name__" || value.is_empty()) {
        return Err(format!("invalid labels '{all}' with error: no metric name provided"));
    }
    let mut seen = HashSet::new();
    let mut stored = BTreeMap::new();
    for (name, value) in labels {
        if name.len() > MAX_NAME_BYTES {
            return Err(format!("profile with labels '{all}' has label name too long: '{name}'"));
        }
        if value.len() > MAX_VALUE_BYTES {
            return Err(format!("profile with labels '{all}' has label value too long: '{value}'"));
        }
        if !seen.insert(name) {
            return Err(format!("profile with labels '{all}' has duplicate label name: '{name}'"));
        }
        let sanitised = sanitise(name).ok_or_else(|| {
            format!("invalid labels '{all}' with error: invalid label name '{name}'")
        })?;
        if stored.insert(sanitised, value.clone()).is_some_and(|other| other != *value) {
            return Err(format!(
                "invalid labels '{all}' with error: '{name}' is another label's name without dots"
            ));
        }
    }
    Ok(stored)
}

/// The name with underscores for dots. `None` if the server refuses it.
fn sanitise(name: &str) -> Option<String> {
    let valid = |char: char| char.is_ascii_alphanumeric() || char == '_' || char == '.';
    let digit_first = name.starts_with(|char: char| char.is_ascii_digit());
    (!name.is_empty() && !digit_first && name.chars().all(valid)).then(|| name.replace('.', "_"))
}

/// What the server checks of a profile within its series.
fn check_profile(labels: &BTreeMap<String, String>, file: &File) -> Result<(), String> {
    check_size(labels, file)?;
    for sample in &file.samples {
        check_sample_labels(labels, sample)?;
    }
    let age = now_nanos().saturating_sub(file.time_nanos);
    if !(-10 * MINUTE_NANOS..=60 * MINUTE_NANOS).contains(&age) {
        return Err(format!(
            "profile with labels '{}' is outside of ingestion window (profile timestamp: {}, \
             the ingestion window is 1 hour ago to 10 minutes ahead)",
            in_braces(labels),
            file.time_nanos
        ));
    }
    match file.sample_types.iter().find(|it| it.kind.contains('-')) {
        Some(bad) => Err(format!("malformed_profile: sample type '{}' contains '-'", bad.kind)),
        None => Ok(()),
    }
}

fn check_size(labels: &BTreeMap<String, String>, file: &File) -> Result<(), String> {
    let all = in_braces(labels);
    if file.raw_bytes > MAX_RAW_BYTES {
        return Err(format!(
            "the profile with labels '{all}' exceeds the size limit (max_profile_size_byte, \
             actual: {}, limit: {MAX_RAW_BYTES})",
            file.raw_bytes
        ));
    }
    if file.samples.len() > MAX_SAMPLES {
        return Err(format!(
            "the profile with labels '{all}' exceeds the samples count limit \
             (max_profile_stacktrace_samples, actual: {}, limit: {MAX_SAMPLES})",
            file.samples.len()
        ));
    }
    Ok(())
}

/// Each set of text labels becomes a series of its own; spans do not.
fn check_sample_labels(labels: &BTreeMap<String, String>, sample: &Sample) -> Result<(), String> {
    let count = sample.labels.len() + sample.numbers.len();
    if count > MAX_SAMPLE_LABELS {
        return Err(format!(
            "the profile with labels '{}' exceeds the sample labels limit \
             (max_profile_stacktrace_sample_labels, actual: {count}, limit: {MAX_SAMPLE_LABELS})",
            in_braces(labels)
        ));
    }
    let mut names: HashSet<_> = labels.keys().cloned().collect();
    names.insert("service_name".into());
    for name in sample.labels.keys().filter(|it| *it != "span_id" && *it != "profile_id") {
        names.insert(sanitise(name).ok_or_else(|| {
            format!(
                "invalid labels '{}' with error: invalid label name '{name}'",
                in_braces(labels)
            )
        })?);
    }
    let count = names.len() + SERVER_LABELS;
    if count > MAX_LABELS {
        let all = in_braces(labels);
        return Err(format!("profile series '{all}' has {count} label names; limit {MAX_LABELS}"));
    }
    Ok(())
}

/// Labels in the form of the server's messages.
fn in_braces<'a>(labels: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    let pairs = labels.into_iter().map(|(name, value)| format!("{name}=\"{value}\""));
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
}

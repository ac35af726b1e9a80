//! The labels of Pyroscope's series and samples.

use std::collections::HashSet;

use super::super::label_name::label_name;
use super::super::line::prefix;
use super::message::Label;
use crate::profile::{Profile, Rename};

/// Labels of a series that the server takes, with those of the samples and its own.
const MAX_LABELS: usize = 30;

/// Of these, what it or we add: `__name__`, `__profile_type__`, `__type__`, `__unit__`,
/// `__period_type__`, `__period_unit__`, `__service_name__`, `__delta__`, `pyroscope_spy`.
const RESERVED_LABELS: usize = 9;

/// Bytes of a label's name and value that the server takes.
const MAX_NAME_BYTES: usize = 1024;
const MAX_VALUE_BYTES: usize = 2048;

/// Settings that a server that refuses the sender asks for.
pub(super) const CREDENTIALS: &str =
    "SONDAGE_TOKEN_FILE, SONDAGE_BASIC_AUTH_FILE or SONDAGE_TENANT";

/// The texts of Pyroscope's validation for its limits on bytes and samples.
pub(super) fn is_size(text: &str) -> bool {
    text.contains("exceeds the size limit") || text.contains("exceeds the samples count limit")
}

/// How the labels of samples are named. Trace ids are left out unless they are wanted: Pyroscope
/// 1.x makes a series of each. `span_id` stays, which it stores per sample.
pub(super) fn sample_labels(trace_ids: bool) -> Rename {
    match trace_ids {
        true => |name| Some(label_name(name)),
        false => |name| (name != "trace_id").then(|| label_name(name)),
    }
}

/// The labels of the series, and what had to be left out because the server takes only so many.
pub(super) fn labels(profile: &Profile, name: &str) -> (Vec<Label>, Option<String>) {
    let mut labels = vec![label("__name__", name)];
    let mut known = HashSet::from(["__name__".to_owned()]);
    let mut left_out = Vec::new();
    let room = MAX_LABELS.saturating_sub(RESERVED_LABELS + most_sample_labels(profile)).max(1);
    let service = profile.meta.labels.iter().rev().find(|(key, _)| key == "service_name");
    // The service's name comes first, so that it is never the one left out.
    let others = profile.meta.labels.iter().filter(|(key, _)| key != "service_name");
    for (key, value) in service.into_iter().chain(others) {
        let mut name = label_name(key).into_owned();
        name.truncate(MAX_NAME_BYTES);
        // A label of ours may not pass for one of the server's.
        if name.starts_with("__") || !known.insert(name.clone()) {
            continue;
        }
        if labels.len() > room {
            left_out.push(key.as_str());
            continue;
        }
        labels.push(label(&name, prefix(value, MAX_VALUE_BYTES)));
    }
    let note = (!left_out.is_empty()).then(|| {
        format!("a series has at most {MAX_LABELS} labels; left out: {}", left_out.join(", "))
    });
    (labels, note)
}

fn label(name: &str, value: &str) -> Label {
    Label { name: name.to_owned(), value: value.to_owned() }
}

fn most_sample_labels(profile: &Profile) -> usize {
    let sets: HashSet<_> = profile.samples().iter().map(|sample| sample.labels).collect();
    let count = |id| profile.labels(id).filter(|(name, _)| *name != "span_id").count();
    sets.into_iter().map(count).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::ValueType;

    #[test]
    fn trace_ids_are_no_labels_unless_they_are_wanted() {
        assert_eq!(sample_labels(false)("span_id").as_deref(), Some("span_id"));
        assert_eq!(sample_labels(false)("trace_id"), None);
        assert_eq!(sample_labels(true)("trace_id").as_deref(), Some("trace_id"));
    }

    #[test]
    fn labels_beyond_the_servers_limit_are_left_out_and_named() {
        let mut profile = Profile::new(vec![ValueType::new("cpu", "nanoseconds")]);
        profile.meta.labels = (0..40).map(|n| (format!("label.{n}"), n.to_string())).collect();
        profile.meta.labels.push(("label-1".into(), "second of its name".into()));
        profile.meta.labels.push(("__profile_type__".into(), "forged".into()));
        profile.meta.labels.push(("service_name".into(), "shop".into()));
        let location = profile.named_location("f");
        let stack = profile.stack(&[location]);
        let set = profile.label_set([("route", "/"), ("span_id", "00000000000000ff")]);
        profile.add(stack, set, &[1]);
        let (labels, note) = labels(&profile, "process_cpu");
        assert_eq!(labels.len() - 1 + RESERVED_LABELS + 1, MAX_LABELS);
        assert_eq!((labels[0].name.as_str(), labels[1].value.as_str()), ("__name__", "shop"));
        assert!(labels.iter().all(|label| label.value != "forged"));
        assert_eq!(labels.iter().filter(|label| label.name == "label_1").count(), 1);
        assert!(note.unwrap().contains("label.39"));
    }
}

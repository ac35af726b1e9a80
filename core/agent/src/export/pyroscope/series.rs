//! How Pyroscope names things: profile types, and labels in the form that every version stores
//! alike (1.x turns dots into underscores, 2.x keeps them).

use std::borrow::Cow;
use std::collections::HashSet;

use super::super::line::prefix;
use super::message::Label;
use crate::profile::{Profile, ValueType};

/// Labels of a series that the server takes, with those of the samples and its own.
const MAX_LABELS: usize = 30;

/// Of these, what it or we add: `__name__`, `__profile_type__`, `__type__`, `__unit__`,
/// `__period_type__`, `__period_unit__`, `__service_name__`, `__delta__`, `pyroscope_spy`.
const RESERVED_LABELS: usize = 9;

/// Bytes of a label's name and value that the server takes.
const MAX_NAME_BYTES: usize = 1024;
const MAX_VALUE_BYTES: usize = 2048;

/// Columns that belong under one `__name__`.
pub(super) struct Group {
    /// The profile's `__name__`.
    pub(super) name: String,
    /// Positions of the columns.
    pub(super) columns: Vec<usize>,
}

/// Sorts a profile's columns by the `__name__` that Pyroscope's pages expect them under.
pub(super) fn groups(types: &[ValueType]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (column, value_type) in types.iter().enumerate() {
        let name = name_of(&value_type.kind);
        match groups.iter_mut().find(|group| group.name == name) {
            Some(group) => group.columns.push(column),
            None => groups.push(Group { name, columns: vec![column] }),
        }
    }
    groups
}

fn name_of(kind: &str) -> String {
    let name = match kind {
        "cpu" | "samples" => "process_cpu",
        _ if kind.starts_with("alloc_") || kind.starts_with("inuse_") => "memory",
        _ => kind,
    };
    label_name(name).into_owned()
}

/// A name of letters, digits and underscores that does not begin with a digit.
fn label_name(name: &str) -> Cow<'_, str> {
    let valid = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let digit_first = name.starts_with(|char: char| char.is_ascii_digit());
    if !name.is_empty() && !digit_first && name.chars().all(valid) {
        return Cow::Borrowed(name);
    }
    let kept = name.chars().map(|char| if valid(char) { char } else { '_' });
    let prefix = if digit_first || name.is_empty() { "_" } else { "" };
    prefix.chars().chain(kept).collect::<String>().into()
}

/// The name of a sample label. Trace ids are left out: Pyroscope 1.x makes a series of each.
/// `span_id` stays, which it stores per sample.
pub(super) fn sample_label(name: &str) -> Option<Cow<'_, str>> {
    (name != "trace_id").then(|| label_name(name))
}

/// Whether a sample label changes on its way to Pyroscope.
pub(super) fn has_foreign_labels(profile: &Profile) -> bool {
    let mut seen = HashSet::new();
    profile.samples().iter().filter(|sample| seen.insert(sample.labels)).any(|sample| {
        profile.labels(sample.labels).any(|(name, _)| sample_label(name).as_deref() != Some(name))
    })
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

    #[test]
    fn columns_stand_under_the_names_the_pages_know() {
        let types = [("cpu", "nanoseconds"), ("samples", "count"), ("wall", "nanoseconds")];
        let types = types.map(|(kind, unit)| ValueType::new(kind, unit));
        let groups: Vec<_> =
            groups(&types).into_iter().map(|group| (group.name, group.columns)).collect();
        assert_eq!(groups, [("process_cpu".to_owned(), vec![0, 1]), ("wall".to_owned(), vec![2])]);
        assert_eq!(name_of("alloc_space"), "memory");
        assert_eq!(name_of("off-cpu"), "off_cpu");
    }

    #[test]
    fn label_names_are_the_same_for_every_version() {
        for (name, sent) in [
            ("k8s.pod.name", "k8s_pod_name"),
            ("a-b", "a_b"),
            ("1st", "_1st"),
            ("é", "_"),
            ("", "_"),
        ] {
            assert_eq!(label_name(name), sent);
        }
        assert_eq!(sample_label("span_id").as_deref(), Some("span_id"));
        assert_eq!(sample_label("trace_id"), None);
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

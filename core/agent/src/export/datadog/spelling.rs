//! Types and labels by Datadog's names.

use crate::profile::{LabelSetId, Profile, Selection, StackId, ValueType};

/// Labels that are numbers there.
const SPAN: &str = "span id";
const LOCAL_ROOT: &str = "local root span id";

/// The profile with Datadog's names.
pub(super) fn spelled(profile: &Profile) -> Profile {
    let columns = (0..profile.sample_types().len()).collect();
    let samples = (0..profile.samples().len()).collect();
    let rename = |name: &str| match name {
        "thread" => Some("thread name".into()),
        "route" => Some("trace endpoint".into()),
        "span_id" => Some(LOCAL_ROOT.into()),
        // What has no name has no place there.
        "trace_id" | "" => None,
        name => Some(name.to_owned().into()),
    };
    let mut spelled = profile.part(&Selection { columns, samples, rename, losses: true });
    add_span(&mut spelled);
    spelled.rename_columns(value_type);
    spelled.meta.period = spelled.meta.period.take().filter(|(_, each)| *each > 0);
    if let Some((of, _)) = &mut spelled.meta.period {
        *of = value_type(of);
    }
    spelled
}

/// The span of a sample is its request's: the local root stands for itself too.
fn add_span(profile: &mut Profile) {
    for sample in profile.take_samples() {
        let labels: Vec<(String, String)> = owned(profile, sample.labels);
        let root = labels.iter().find(|(key, _)| key == LOCAL_ROOT).map(|(_, value)| value.clone());
        let span = root.map(|root| (SPAN.to_owned(), root));
        let pairs: Vec<_> = labels.into_iter().chain(span).collect();
        add(profile, sample.stack, &pairs, &sample.values);
    }
}

fn owned(profile: &Profile, labels: LabelSetId) -> Vec<(String, String)> {
    profile.labels(labels).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn add(profile: &mut Profile, stack: StackId, pairs: &[(String, String)], values: &[i64]) {
    let labels = profile.label_set(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    profile.add(stack, labels, values);
}

fn value_type(of: &ValueType) -> ValueType {
    let kind = match of.kind.as_str() {
        "cpu" => "cpu-time".to_owned(),
        "samples" => "cpu-samples".to_owned(),
        "wall" => "wall-time".to_owned(),
        "alloc_objects" => "alloc-samples".to_owned(),
        "inuse_space" => "heap-space".to_owned(),
        "inuse_objects" => "heap-samples".to_owned(),
        kind => kind.replace('_', "-"),
    };
    ValueType { kind, unit: of.unit.clone() }
}

/// Span ids are numbers of 64 bits, given to us in hexadecimal digits.
pub(super) fn number(key: &str, value: &str) -> Option<i64> {
    let is_span = key == SPAN || key == LOCAL_ROOT;
    is_span.then(|| u64::from_str_radix(value, 16).ok()).flatten().map(u64::cast_signed)
}

/// Gives span ids that were read as decimal numbers their digits back.
pub(super) fn restore_numbers(profile: &mut Profile) {
    for sample in profile.take_samples() {
        let mut labels = owned(profile, sample.labels);
        for (key, value) in &mut labels {
            if [SPAN, LOCAL_ROOT].contains(&key.as_str())
                && let Ok(number) = value.parse::<i64>()
            {
                *value = format!("{:016x}", number.cast_unsigned());
            }
        }
        add(profile, sample.stack, &labels, &sample.values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::pprof;

    #[test]
    fn span_ids_survive_as_numbers() {
        let mut profile = Profile::new(vec![ValueType::new("cpu", "nanoseconds")]);
        let location = profile.named_location("f");
        let stack = profile.stack(&[location]);
        let labels = [("thread", "main"), ("span_id", "f0f067aa0ba902b7"), ("trace_id", "t")];
        let set = profile.label_set(labels);
        profile.add(stack, set, &[7]);
        let spelled = spelled(&profile);
        assert_eq!(spelled.sample_types(), [ValueType::new("cpu-time", "nanoseconds")]);
        let number = u64::from_str_radix("f0f067aa0ba902b7", 16).unwrap().cast_signed();
        let read = pprof::decode(&pprof::encode_with(&spelled, number_of)).unwrap();
        let text = number.to_string();
        let expected = [(LOCAL_ROOT, text.as_str()), (SPAN, &text), ("thread name", "main")];
        assert_eq!(read.labels(read.samples()[0].labels).collect::<Vec<_>>(), expected);
        let mut restored = read;
        restore_numbers(&mut restored);
        let labels: Vec<_> = restored.labels(restored.samples()[0].labels).collect();
        assert_eq!(labels[0], (LOCAL_ROOT, "f0f067aa0ba902b7"));
        assert_eq!(restored.total(0), 7);
    }

    fn number_of(key: &str, value: &str) -> Option<i64> {
        number(key, value)
    }
}

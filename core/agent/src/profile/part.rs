//! A piece of a profile: some of its columns and samples, and the tables that those need.

use std::borrow::Cow;
use std::collections::HashMap;

use super::Function;
use super::FunctionId;
use super::LabelSetId;
use super::Line;
use super::Location;
use super::LocationId;
use super::Mapping;
use super::MappingId;
use super::Profile;
use super::StackId;
use super::StringId;

/// Leaves names as they are.
pub(crate) fn unchanged(name: &str) -> Option<Cow<'_, str>> {
    Some(name.into())
}

/// The new name of a sample label, `None` to leave the label out.
pub(crate) type Rename = fn(&str) -> Option<Cow<'_, str>>;

/// Tells the compiler that a closure's answer may borrow what it is asked for.
fn renaming<F: Fn(&str) -> Option<Cow<'_, str>>>(rename: F) -> F {
    rename
}

/// What belongs to a piece.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    /// Positions of columns, in the order they shall have.
    pub(crate) columns: Vec<usize>,
    /// Positions of samples. Those that are 0 in every selected column are left out.
    pub(crate) samples: Vec<usize>,
    /// Names of sample labels.
    pub(crate) rename: Rename,
    /// Whether the losses go with this piece. They are those of the whole profile, so that only
    /// one piece may have them.
    pub(crate) losses: bool,
}

impl Profile {
    /// Copies a piece. Everything else about the profile is the same in each piece.
    pub(crate) fn part(&self, selection: &Selection) -> Profile {
        let types = selection.columns.iter().filter_map(|&column| self.sample_types().get(column));
        let mut part = Profile::new(types.cloned().collect());
        part.meta = self.meta.clone();
        if selection.losses {
            for loss in self.losses() {
                part.add_loss(loss.cause, loss.value);
            }
        }
        let rename = &selection.rename;
        let mut copy = Copy { from: self, to: part, rename, seen: Seen::default() };
        copy.samples(&selection.samples, &selection.columns);
        copy.to
    }

    /// The samples that have each of these labels, of their own or of the whole profile. Losses stay:
    /// nobody knows which labels they would have had.
    pub fn labelled(&self, labels: &[(String, String)]) -> Profile {
        let mut known: HashMap<LabelSetId, bool> = HashMap::new();
        let mut has_all = |set| {
            *known.entry(set).or_insert_with(|| {
                let mut labels = labels.iter();
                labels.all(|(key, value)| self.label_value(set, key) == Some(value.as_str()))
            })
        };
        let samples = self.samples().iter().enumerate();
        let samples = samples.filter(|(_, sample)| has_all(sample.labels)).map(|(index, _)| index);
        let samples = samples.collect();
        let columns = (0..self.sample_types().len()).collect();
        self.part(&Selection { columns, samples, rename: unchanged, losses: true })
    }

    /// One profile for each set of values that samples have for some labels: those whose key
    /// `is_whole` says to be of whole profiles. They become labels of their profile and are no longer
    /// labels of its samples. The losses go with the first.
    pub fn split_by(&self, is_whole: impl Fn(&str) -> bool) -> Vec<Profile> {
        let mut parts: Vec<Vec<usize>> = Vec::new();
        let mut numbers: HashMap<Vec<(&str, &str)>, usize> = HashMap::new();
        let mut of_set: HashMap<LabelSetId, usize> = HashMap::new();
        for (index, sample) in self.samples().iter().enumerate() {
            let number = *of_set.entry(sample.labels).or_insert_with(|| {
                let labels = self.labels(sample.labels).filter(|(key, _)| is_whole(key));
                let next = numbers.len();
                *numbers.entry(labels.collect()).or_insert(next)
            });
            if number == parts.len() {
                parts.push(Vec::new());
            }
            parts[number].push(index);
        }
        let mut labels: Vec<_> = numbers.into_iter().collect();
        labels.sort_unstable_by_key(|(_, number)| *number);
        let columns: Vec<usize> = (0..self.sample_types().len()).collect();
        let split = parts.into_iter().zip(labels).map(|(samples, (labels, number))| {
            let rename = renaming(|key| (!is_whole(key)).then(|| key.into()));
            let mut part = Profile::new(self.sample_types().to_vec());
            part.meta = self.meta.clone();
            let owned = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            part.meta.labels.extend(owned);
            if number == 0 {
                self.losses().iter().for_each(|loss| part.add_loss(loss.cause, loss.value));
            }
            let mut copy = Copy { from: self, to: part, rename: &rename, seen: Seen::default() };
            copy.samples(&samples, &columns);
            copy.to
        });
        split.collect()
    }
}

/// Ids of the whole profile, and what they are in the piece.
#[derive(Default)]
struct Seen {
    mappings: HashMap<MappingId, MappingId>,
    functions: HashMap<FunctionId, FunctionId>,
    locations: HashMap<LocationId, LocationId>,
    stacks: HashMap<StackId, StackId>,
    label_sets: HashMap<LabelSetId, LabelSetId>,
}

struct Copy<'a> {
    from: &'a Profile,
    to: Profile,
    rename: &'a dyn Fn(&str) -> Option<Cow<'_, str>>,
    seen: Seen,
}

impl Copy<'_> {
    /// Copies samples, those that are 0 in every column left out.
    fn samples(&mut self, samples: &[usize], columns: &[usize]) {
        let from = self.from;
        let mut values = Vec::with_capacity(columns.len());
        for sample in samples.iter().filter_map(|&index| from.samples().get(index)) {
            values.clear();
            let value = |&column: &usize| sample.values.get(column).copied();
            values.extend(columns.iter().filter_map(value));
            if values.iter().any(|&value| value != 0) {
                let (stack, labels) = (self.stack(sample.stack), self.label_set(sample.labels));
                self.to.add(stack, labels, &values);
            }
        }
    }

    fn string(&mut self, id: StringId) -> StringId {
        self.to.string(self.from.text(id))
    }

    fn mapping(&mut self, id: MappingId) -> MappingId {
        if let Some(&known) = self.seen.mappings.get(&id) {
            return known;
        }
        let mapping = self.from.mappings().get(id.index()).copied().unwrap_or_default();
        let (file, build_id) = (self.string(mapping.file), self.string(mapping.build_id));
        let copied = self.to.mapping(Mapping { file, build_id, ..mapping });
        self.seen.mappings.insert(id, copied);
        copied
    }

    fn function(&mut self, id: FunctionId) -> FunctionId {
        if let Some(&known) = self.seen.functions.get(&id) {
            return known;
        }
        let function = self.from.functions().get(id.index()).copied().unwrap_or_default();
        let (name, system_name) = (self.string(function.name), self.string(function.system_name));
        let file = self.string(function.file);
        let copied = self.to.function(Function { name, system_name, file, ..function });
        self.seen.functions.insert(id, copied);
        copied
    }

    fn location(&mut self, id: LocationId) -> LocationId {
        if let Some(&known) = self.seen.locations.get(&id) {
            return known;
        }
        let empty = Location::default();
        let location = self.from.locations().get(id.index()).unwrap_or(&empty);
        let mapping = self.mapping(location.mapping);
        let lines = location.lines.iter();
        let lines = lines.map(|line| Line { function: self.function(line.function), ..*line });
        let lines = lines.collect();
        let copied = self.to.location(Location { mapping, lines, address: location.address });
        self.seen.locations.insert(id, copied);
        copied
    }

    fn stack(&mut self, id: StackId) -> StackId {
        if let Some(&known) = self.seen.stacks.get(&id) {
            return known;
        }
        let frames = self.from.frames(id).iter();
        let frames: Vec<_> = frames.map(|&location| self.location(location)).collect();
        let copied = self.to.stack(&frames);
        self.seen.stacks.insert(id, copied);
        copied
    }

    fn label_set(&mut self, id: LabelSetId) -> LabelSetId {
        if let Some(&known) = self.seen.label_sets.get(&id) {
            return known;
        }
        let labels = self.from.labels(id);
        let renamed: Vec<_> =
            labels.filter_map(|(key, value)| Some(((self.rename)(key)?, value))).collect();
        let pairs = renamed.iter().map(|(key, value)| (key.as_ref(), *value));
        let copied = self.to.label_set(pairs);
        self.seen.label_sets.insert(id, copied);
        copied
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{LossCause, ValueType};
    use std::ops::Range;

    fn two_columns() -> Profile {
        let mut profile = Profile::new(vec![
            ValueType::new("cpu", "nanoseconds"),
            ValueType::new("wall", "nanoseconds"),
        ]);
        profile.meta.start_unix_nanos = Some(7);
        profile.add_loss(LossCause::Dropped, 3);
        for (index, name) in ["a", "b", "c"].into_iter().enumerate() {
            let location = profile.named_location(name);
            let stack = profile.stack(&[location]);
            let labels = profile.label_set([("http.route", "/x"), ("trace_id", "t")]);
            profile.add(stack, labels, &[index as i64, 10]);
        }
        profile
    }

    fn dots(name: &str) -> Option<Cow<'_, str>> {
        (name != "trace_id").then(|| name.replace('.', "_").into())
    }

    #[test]
    fn pieces_add_up_to_the_whole_and_hold_only_what_they_use() {
        let whole = two_columns();
        let part = |samples: Range<usize>, losses| {
            let samples = samples.collect();
            whole.part(&Selection { columns: vec![0, 1], samples, rename: dots, losses })
        };
        let (first, rest) = (part(0..1, true), part(1..3, false));
        assert_eq!(first.total(0) + rest.total(0), whole.total(0));
        assert_eq!(first.total(1) + rest.total(1), whole.total(1));
        assert_eq!((first.functions().len(), rest.functions().len()), (1, 2));
        assert_eq!((first.losses().len(), rest.losses().len()), (1, 0));
        assert_eq!(first.meta, whole.meta);
        let labels: Vec<_> = first.labels(first.samples()[0].labels).collect();
        assert_eq!(labels, [("http_route", "/x")]);
    }

    #[test]
    fn a_profile_is_split_by_labels_that_become_those_of_the_parts() {
        let mut whole = Profile::new(vec![ValueType::new("cpu", "nanoseconds")]);
        whole.add_loss(LossCause::Dropped, 3);
        whole.meta.labels = vec![("host".to_owned(), "h".to_owned())];
        let location = whole.named_location("f");
        let stack = whole.stack(&[location]);
        for (service, thread, value) in [("a", "x", 1), ("b", "x", 2), ("a", "y", 4)] {
            let labels = whole.label_set([("service_name", service), ("thread", thread)]);
            whole.add(stack, labels, &[value]);
        }
        let none: [(&str, &str); 0] = [];
        let labels = whole.label_set(none);
        whole.add(stack, labels, &[8]);
        let parts = whole.split_by(|key| key == "service_name");
        let seen: Vec<_> = parts
            .iter()
            .map(|part| {
                let labels = part.labels(part.samples()[0].labels);
                let labels: Vec<_> = labels.map(|(key, value)| format!("{key}={value}")).collect();
                (part.meta.labels.last().unwrap().1.as_str(), part.total(0), labels.concat())
            })
            .collect();
        let text = |thread: &str| thread.to_owned();
        assert_eq!(
            seen,
            [("a", 5, text("thread=x")), ("b", 2, text("thread=x")), ("h", 8, text(""))]
        );
        let losses: Vec<_> = parts.iter().map(|part| part.losses().len()).collect();
        assert_eq!(losses, [1, 0, 0]);
    }

    #[test]
    fn a_column_taken_out_leaves_the_samples_it_does_not_count() {
        let whole = two_columns();
        let samples = vec![0, 1, 2];
        let cpu = whole.part(&Selection { columns: vec![0], samples, rename: dots, losses: true });
        assert_eq!(cpu.sample_types(), [ValueType::new("cpu", "nanoseconds")]);
        assert_eq!(cpu.samples().len(), 2, "the first has no CPU time");
        assert_eq!(cpu.total(0), 3);
        let none = Selection { columns: vec![9], samples: vec![5, 6], rename: dots, losses: true };
        assert!(whole.part(&none).samples().is_empty());
    }
}

//! Adding one profile to another.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use super::Function;
use super::FunctionId;
use super::LabelSetId;
use super::Line;
use super::Location;
use super::LocationId;
use super::Mapping;
use super::MappingId;
use super::Meta;
use super::Profile;
use super::StackId;
use super::StringId;
use super::covered::Covered;

impl Profile {
    /// Adds everything in `other`.
    ///
    /// - Columns are matched by [`ValueType`](super::ValueType). A column that only one side has
    ///   stays, with 0 in the other side's samples.
    /// - The start is the earlier one. The duration is the time covered by either: overlapping
    ///   periods count once, a gap between them does not count. Where a start is unknown the
    ///   durations add up.
    /// - Process-wide labels that both sides have with the same value stay in
    ///   [`Meta::labels`](super::Meta::labels). The others move to the samples of their side, where a
    ///   sample's own label of that name wins. A side without samples does not take part: the
    ///   other side's labels stay as they are.
    /// - Losses and costs add up, sources and comments are united. Where the cost of a part is not known,
    ///   that of the sum is not. The period is `self`'s where it has one.
    pub fn merge(&mut self, other: &Profile) {
        let columns = self.match_columns(other);
        let moved = self.merge_labels(other);
        self.merge_meta(other);
        for loss in other.losses() {
            self.add_loss(loss.cause, loss.value);
        }
        let mut translation = Translation::new(self, other, &moved);
        let mut values = vec![0; self.sample_types().len()];
        for sample in other.samples() {
            let stack = translation.stack(self, sample.stack);
            let labels = translation.label_set(self, sample.labels);
            values.fill(0);
            for (&column, &value) in columns.iter().zip(&sample.values) {
                values[column] = value;
            }
            self.add(stack, labels, &values);
        }
    }

    /// For each column of `other`, its position in `self`, which gains those it lacks.
    fn match_columns(&mut self, other: &Profile) -> Vec<usize> {
        let mut columns = Vec::with_capacity(other.sample_types().len());
        for sample_type in other.sample_types() {
            let mut candidates = self.sample_types().iter().enumerate();
            // A type listed twice is matched twice, to different columns.
            let same = candidates.find(|(i, t)| *t == sample_type && !columns.contains(i));
            let found = same.map(|(index, _)| index);
            columns.push(found.unwrap_or_else(|| self.add_column(sample_type.clone())));
        }
        columns
    }

    /// Leaves in `self.meta` the labels both sides share, moves the others of `self` to its
    /// samples, and returns those that belong on the samples of `other`.
    fn merge_labels(&mut self, other: &Profile) -> Vec<(String, String)> {
        if other.samples().is_empty() && !self.samples().is_empty() {
            return Vec::new();
        }
        if self.samples().is_empty() {
            if !other.samples().is_empty() || self.meta.labels.is_empty() {
                self.meta.labels.clone_from(&other.meta.labels);
            }
            return Vec::new();
        }
        let (ours, theirs) = (by_key(&self.meta.labels), by_key(&other.meta.labels));
        let (from_us, from_them) = (difference(&ours, &theirs), difference(&theirs, &ours));
        let from_us: BTreeMap<String, String> = from_us.into_iter().collect();
        self.meta.labels.retain(|(key, _)| !from_us.contains_key(key));
        self.label_samples(&from_us);
        from_them
    }

    /// Puts `labels` on every sample that does not have them.
    fn label_samples(&mut self, labels: &BTreeMap<String, String>) {
        if labels.is_empty() {
            return;
        }
        let moved: Vec<_> = labels.iter().map(|(k, v)| (self.string(k), self.string(v))).collect();
        let mut relabelled = HashMap::new();
        for sample in self.take_samples() {
            let set = *relabelled.entry(sample.labels).or_insert_with(|| {
                let set = moved.iter().chain(self.label_ids(sample.labels)).copied().collect();
                self.label_set_of(set)
            });
            self.add(sample.stack, set, &sample.values);
        }
    }

    pub(super) fn merge_meta(&mut self, other: &Profile) {
        let is_first = self.meta.duration.is_zero();
        self.merge_time(other);
        let (meta, other) = (&mut self.meta, &other.meta);
        meta.start_unix_nanos = match (meta.start_unix_nanos, other.start_unix_nanos) {
            (Some(ours), Some(theirs)) => Some(ours.min(theirs)),
            (ours, theirs) => ours.or(theirs),
        };
        meta.cost = match (meta.cost, other.cost) {
            (Some(ours), Some(theirs)) => Some(ours.saturating_add(theirs)),
            (None, theirs) if is_first => theirs,
            _ => None,
        };
        if meta.period.is_none() {
            meta.period.clone_from(&other.period);
        }
        unite(&mut meta.sources, &other.sources);
        unite(&mut meta.comments, &other.comments);
    }
}

impl Profile {
    fn merge_time(&mut self, other: &Profile) {
        let sum = self.meta.duration.saturating_add(other.meta.duration);
        let known = std::mem::take(&mut self.covered);
        let ours = covered(&self.meta, Cow::Owned(known));
        let theirs = covered(&other.meta, Cow::Borrowed(&other.covered));
        let both = ours.zip(theirs).map(|(ours, theirs)| {
            let mut both = ours.into_owned();
            both.add(&theirs);
            both
        });
        self.meta.duration = both.as_ref().map_or(sum, Covered::duration);
        self.covered = both.unwrap_or_default();
    }
}

/// The time that a profile covers, of which `known` was written down; `None` without a start.
fn covered<'c>(meta: &Meta, known: Cow<'c, Covered>) -> Option<Cow<'c, Covered>> {
    let start = meta.start_unix_nanos?;
    let is_valid = known.start() == Some(start) && known.duration() == meta.duration;
    // Whoever wrote into `meta` has the last word.
    Some(if is_valid { known } else { Cow::Owned(Covered::new(start, meta.duration)) })
}

fn by_key(labels: &[(String, String)]) -> BTreeMap<&str, &str> {
    labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

fn difference(of: &BTreeMap<&str, &str>, to: &BTreeMap<&str, &str>) -> Vec<(String, String)> {
    let only = of.iter().filter(|(key, value)| to.get(*key) != Some(value));
    only.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn unite(into: &mut Vec<String>, from: &[String]) {
    let known: HashSet<String> = into.iter().cloned().collect();
    into.extend(from.iter().filter(|item| !known.contains(*item)).cloned());
}

/// Ids of one profile as ids of another.
struct Translation<'a> {
    from: &'a Profile,
    strings: Vec<StringId>,
    /// What every sample is labelled with, unless it has its own.
    moved: Vec<(StringId, StringId)>,
    locations: Vec<LocationId>,
    stacks: HashMap<StackId, StackId>,
    label_sets: HashMap<LabelSetId, LabelSetId>,
}

impl<'a> Translation<'a> {
    fn new(to: &mut Profile, from: &'a Profile, moved: &[(String, String)]) -> Self {
        let moved = moved.iter().map(|(key, value)| (to.string(key), to.string(value))).collect();
        let strings: Vec<StringId> = from.strings().iter().map(|text| to.string(text)).collect();
        let string = |id: StringId| strings.get(id.index()).copied().unwrap_or_default();
        let mappings = from.mappings().iter().map(|mapping| {
            let (file, build_id) = (string(mapping.file), string(mapping.build_id));
            to.mapping(Mapping { file, build_id, ..*mapping })
        });
        let mappings: Vec<MappingId> = mappings.collect();
        let functions = from.functions().iter().map(|function| {
            let (name, system_name) = (string(function.name), string(function.system_name));
            let file = string(function.file);
            to.function(Function { name, system_name, file, ..*function })
        });
        let functions: Vec<FunctionId> = functions.collect();
        let locations = from.locations().iter().map(|location| {
            let lines = location.lines.iter().filter_map(|line| {
                let function = *functions.get(line.function.index())?;
                Some(Line { function, ..*line })
            });
            let lines = lines.collect();
            let mapping = mappings.get(location.mapping.index()).copied().unwrap_or_default();
            to.location(Location { mapping, lines, ..*location })
        });
        let locations = locations.collect();
        let (stacks, label_sets) = (HashMap::new(), HashMap::new());
        Self { from, strings, moved, locations, stacks, label_sets }
    }

    fn label_set(&mut self, to: &mut Profile, set: LabelSetId) -> LabelSetId {
        *self.label_sets.entry(set).or_insert_with(|| {
            let string = |id: StringId| self.strings.get(id.index()).copied().unwrap_or_default();
            let own = self.from.label_ids(set).iter();
            let own = own.map(|&(key, value)| (string(key), string(value)));
            to.label_set_of(self.moved.iter().copied().chain(own).collect())
        })
    }

    fn stack(&mut self, to: &mut Profile, stack: StackId) -> StackId {
        *self.stacks.entry(stack).or_insert_with(|| {
            let frames = self.from.frames(stack).iter();
            let known = frames.filter_map(|id| self.locations.get(id.index()).copied());
            to.stack(&known.collect::<Vec<_>>())
        })
    }
}

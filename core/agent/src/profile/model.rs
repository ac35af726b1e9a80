//! One profile in memory: what every encoder reads and every decoder writes.
//!
//! A [`Profile`] owns interned tables. An id is an index into the table of the profile that made
//! it and means nothing in another one; [`Profile::merge`] translates.

use std::collections::HashMap;
use std::time::Duration;

use super::covered::Covered;
use super::id::FunctionId;
use super::id::LabelSetId;
use super::id::LocationId;
use super::id::MappingId;
use super::id::StackId;
use super::id::StringId;
use super::loss::Loss;
use super::loss::LossCause;
use super::table::Table;

/// What a column of sample values counts, and in which unit: `cpu` in `nanoseconds`, `samples` in
/// `count`, `wall` in `nanoseconds`. Names follow pprof's; a sink that spells them otherwise
/// translates.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ValueType {
    /// The quantity, for example `cpu`.
    pub kind: String,
    /// Its unit, for example `nanoseconds`.
    pub unit: String,
}

impl ValueType {
    /// Makes a value type from its two names.
    pub fn new(kind: &str, unit: &str) -> Self {
        Self { kind: kind.to_owned(), unit: unit.to_owned() }
    }
}

/// Facts about the whole profile.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meta {
    /// Start of the covered period, in nanoseconds since the Unix epoch; `None` when unknown.
    pub start_unix_nanos: Option<u64>,
    /// Length of the covered period on the monotonic clock.
    pub duration: Duration,
    /// What one sample stands for, with its size in the unit of the type (`cpu`, `nanoseconds`,
    /// 10,000,000 at 100 Hz).
    pub period: Option<(ValueType, u64)>,
    /// Process-wide labels: `service_name`, `pid`, `host`, and what the user configured.
    pub labels: Vec<(String, String)>,
    /// Which engines took the samples: `timer`, `ebpf`.
    pub sources: Vec<String>,
    /// Free text lines that travel with the profile.
    pub comments: Vec<String>,
    /// CPU time that profiling itself took meanwhile, in its own threads and, at most, in signal
    /// handlers; `None` where that is not known.
    pub cost: Option<Duration>,
}

/// A file mapped into the process when a sample was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mapping {
    /// First address of the mapping in the process.
    pub start: u64,
    /// One past its last address.
    pub end: u64,
    /// Offset in the file of `start`.
    pub file_offset: u64,
    /// Path as the process saw it.
    pub file: StringId,
    /// GNU build id in lower-case hex, or the empty string.
    pub build_id: StringId,
}

/// A function, as a reader sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Function {
    /// Demangled name.
    pub name: StringId,
    /// Name as the linker knows it; equals `name` where there is no mangling.
    pub system_name: StringId,
    /// Source file, or the empty string.
    pub file: StringId,
    /// First line of the function, 0 when unknown (as in pprof).
    pub start_line: u32,
}

/// One source position inside a location.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Line {
    /// The function.
    pub function: FunctionId,
    /// The line in its source file, 0 when unknown.
    pub line: u32,
}

/// One frame of a stack: an address, with the inlined functions found there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Location {
    /// The mapping the address lies in; id 0 for none.
    pub mapping: MappingId,
    /// Address in the process; 0 for frames that have none (`[unsampled]`, interpreted code).
    pub address: u64,
    /// Innermost inlined function first, the function that was really called last. Empty when
    /// nothing is known but the address.
    pub lines: Vec<Line>,
}

/// Values of one stack under one label set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The stack.
    pub stack: StackId,
    /// The label set.
    pub labels: LabelSetId,
    /// One value for each of [`Profile::sample_types`].
    pub values: Vec<i64>,
}

/// A profile: samples over interned stacks, label sets, functions and mappings.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Facts about the whole.
    pub meta: Meta,
    sample_types: Vec<ValueType>,
    strings: Table<String>,
    mappings: Table<Mapping>,
    functions: Table<Function>,
    locations: Table<Location>,
    stacks: Table<Vec<LocationId>>,
    label_sets: Table<Vec<(StringId, StringId)>>,
    samples: Vec<Sample>,
    sample_ids: HashMap<(StackId, LabelSetId), usize>,
    losses: HashMap<LossCause, u64>,
    /// What [`Meta`] says of the time, with its gaps; of a sum.
    pub(super) covered: Covered,
}

impl Profile {
    /// An empty profile whose samples carry one value for each of `sample_types`.
    pub fn new(sample_types: Vec<ValueType>) -> Self {
        let mut profile = Self {
            meta: Meta::default(),
            sample_types,
            strings: Table::new(),
            mappings: Table::new(),
            functions: Table::new(),
            locations: Table::new(),
            stacks: Table::new(),
            label_sets: Table::new(),
            samples: Vec::new(),
            sample_ids: HashMap::new(),
            losses: HashMap::new(),
            covered: Covered::default(),
        };
        profile.string("");
        profile.mapping(Mapping::default());
        profile.label_sets.intern(Vec::new());
        profile
    }

    /// Interns a string.
    pub fn string(&mut self, text: &str) -> StringId {
        let known = self.strings.find(text);
        StringId::from_index(known.unwrap_or_else(|| self.strings.intern(text.to_owned())))
    }

    /// Interns a mapping.
    pub fn mapping(&mut self, mapping: Mapping) -> MappingId {
        MappingId::from_index(self.mappings.intern(mapping))
    }

    /// Interns a function.
    pub fn function(&mut self, function: Function) -> FunctionId {
        FunctionId::from_index(self.functions.intern(function))
    }

    /// Interns a location.
    pub fn location(&mut self, location: Location) -> LocationId {
        LocationId::from_index(self.locations.intern(location))
    }

    /// Interns a location that is only a name, such as `[unsampled]`.
    pub fn named_location(&mut self, name: &str) -> LocationId {
        let name = self.string(name);
        let function = self.function(Function { name, system_name: name, ..Function::default() });
        let lines = vec![Line { function, line: 0 }];
        self.location(Location { lines, ..Location::default() })
    }

    /// Interns a stack, leaf first.
    pub fn stack(&mut self, leaf_first: &[LocationId]) -> StackId {
        let known = self.stacks.find(leaf_first);
        StackId::from_index(known.unwrap_or_else(|| self.stacks.intern(leaf_first.to_vec())))
    }

    /// Interns a label set. Order does not matter; of two equal keys the later wins.
    pub fn label_set<'a>(
        &mut self,
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> LabelSetId {
        let labels = labels.into_iter().map(|(key, value)| (self.string(key), self.string(value)));
        let labels = labels.collect();
        self.label_set_of(labels)
    }

    /// [`label_set`](Self::label_set) of strings that are interned already.
    pub(super) fn label_set_of(&mut self, mut labels: Vec<(StringId, StringId)>) -> LabelSetId {
        // Later labels first, so that the stable sort puts the one that wins before its rivals.
        labels.reverse();
        labels.sort_by(|a, b| self.text(a.0).cmp(self.text(b.0)));
        labels.dedup_by_key(|label| label.0);
        LabelSetId::from_index(self.label_sets.intern(labels))
    }

    /// Adds `values` (one for each sample type) to a stack under a label set. Missing values
    /// count as 0, values beyond the sample types are ignored.
    pub fn add(&mut self, stack: StackId, labels: LabelSetId, values: &[i64]) {
        let columns = self.sample_types.len();
        let samples = &mut self.samples;
        let index = *self.sample_ids.entry((stack, labels)).or_insert_with(|| {
            samples.push(Sample { stack, labels, values: vec![0; columns] });
            samples.len() - 1
        });
        for (total, value) in samples[index].values.iter_mut().zip(values) {
            *total = total.saturating_add(*value);
        }
    }

    /// Records weight lost to a cause, in the unit of the period.
    pub fn add_loss(&mut self, cause: LossCause, value: u64) {
        if value > 0 {
            let total = self.losses.entry(cause).or_default();
            *total = total.saturating_add(value);
        }
    }

    /// The losses that are not zero, in the order of [`LossCause::ALL`].
    pub fn losses(&self) -> Vec<Loss> {
        LossCause::ALL
            .into_iter()
            .filter_map(|cause| self.losses.get(&cause).map(|&value| Loss { cause, value }))
            .collect()
    }

    /// The unit of [`losses`](Self::losses): that of the period, `nanoseconds` without one.
    pub fn loss_unit(&self) -> &str {
        self.meta.period.as_ref().map_or("nanoseconds", |(period_type, _)| &period_type.unit)
    }

    /// The columns of every sample's values.
    pub fn sample_types(&self) -> &[ValueType] {
        &self.sample_types
    }

    /// The samples, in order of first sight.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Every string, in id order.
    pub fn strings(&self) -> &[String] {
        self.strings.items()
    }

    /// Every mapping, in id order; the first is "no mapping".
    pub fn mappings(&self) -> &[Mapping] {
        self.mappings.items()
    }

    /// Every function, in id order.
    pub fn functions(&self) -> &[Function] {
        self.functions.items()
    }

    /// Every location, in id order.
    pub fn locations(&self) -> &[Location] {
        self.locations.items()
    }

    /// The text of a string; the empty string for an id of another profile.
    pub fn text(&self, id: StringId) -> &str {
        self.strings.items().get(id.index()).map_or("", String::as_str)
    }

    /// The locations of a stack, leaf first.
    pub fn frames(&self, id: StackId) -> &[LocationId] {
        self.stacks.items().get(id.index()).map_or(&[], Vec::as_slice)
    }

    /// The labels of a set, sorted by key.
    pub fn labels(&self, id: LabelSetId) -> impl Iterator<Item = (&str, &str)> {
        self.label_ids(id).iter().map(|&(key, value)| (self.text(key), self.text(value)))
    }

    /// What a sample with this set has for a label: its own value before that of the whole profile.
    pub(super) fn label_value(&self, set: LabelSetId, key: &str) -> Option<&str> {
        let own = self.labels(set).find(|(name, _)| *name == key).map(|(_, value)| value);
        let process_wide = self.meta.labels.iter().rev().find(|(name, _)| name == key);
        own.or(process_wide.map(|(_, value)| value.as_str()))
    }

    /// The labels of a set as strings of this profile, sorted by the text of the key.
    pub(super) fn label_ids(&self, id: LabelSetId) -> &[(StringId, StringId)] {
        self.label_sets.items().get(id.index()).map_or(&[], Vec::as_slice)
    }

    /// The sum of column `column` over all samples; at the ends of the range it stays there.
    pub fn total(&self, column: usize) -> i64 {
        let values = self.samples.iter().filter_map(|sample| sample.values.get(column));
        values.fold(0, |total, &value| total.saturating_add(value))
    }

    /// About the bytes of memory that it holds.
    pub fn heap_bytes(&self) -> usize {
        let values = self.sample_types.len() * size_of::<i64>();
        // A sample, its values, and its place among the ids.
        let sample = size_of::<Sample>() + values + 48;
        self.strings.heap_bytes(String::len)
            + self.mappings.heap_bytes(|_| 0)
            + self.functions.heap_bytes(|_| 0)
            + self.locations.heap_bytes(|location| size_of_val(location.lines.as_slice()))
            + self.stacks.heap_bytes(|frames| size_of_val(frames.as_slice()))
            + self.label_sets.heap_bytes(|labels| size_of_val(labels.as_slice()))
            + self.samples.len() * sample
    }

    /// What to call the profile: its `service_name`, or `profile`.
    pub fn title(&self) -> &str {
        let name = self.meta.labels.iter().rev().find(|(key, _)| key == "service_name");
        name.map_or("profile", |(_, value)| value)
    }

    /// The position of the column whose quantity is `kind`, for example `cpu`.
    pub fn column(&self, kind: &str) -> Option<usize> {
        self.sample_types.iter().position(|sample_type| sample_type.kind == kind)
    }

    /// The column a reader shows first: the one the period measures, otherwise the last one (as
    /// pprof does). 0 for a profile without columns.
    pub fn default_column(&self) -> usize {
        let period = self.meta.period.as_ref().map(|(period_type, _)| period_type);
        let measured = self.sample_types.iter().position(|column| Some(column) == period);
        measured.unwrap_or(self.sample_types.len().saturating_sub(1))
    }

    /// Appends a column, 0 in every sample so far, and returns its position.
    pub(super) fn add_column(&mut self, sample_type: ValueType) -> usize {
        self.sample_types.push(sample_type);
        let columns = self.sample_types.len();
        for sample in &mut self.samples {
            sample.values.resize(columns, 0);
        }
        columns - 1
    }

    /// Gives every column the name that `rename` has for it.
    pub(crate) fn rename_columns(&mut self, rename: impl Fn(&ValueType) -> ValueType) {
        for column in &mut self.sample_types {
            *column = rename(column);
        }
    }

    /// The samples, to change their values.
    pub(super) fn samples_mut(&mut self) -> &mut [Sample] {
        &mut self.samples
    }

    /// The losses, to change their amounts.
    pub(super) fn losses_mut(&mut self) -> impl Iterator<Item = &mut u64> {
        self.losses.values_mut()
    }

    /// Takes every sample out, to be added again under other labels.
    pub(crate) fn take_samples(&mut self) -> Vec<Sample> {
        self.sample_ids.clear();
        std::mem::take(&mut self.samples)
    }
}

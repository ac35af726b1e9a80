//! One profile in memory: what every encoder reads and every decoder writes.
//!
//! A [`Profile`] owns interned tables. An id is an index into the table of the profile that made
//! it and means nothing in another one; [`Profile::merge`] translates.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u32);
        impl $name {
            fn from_index(index: usize) -> Self {
                Self(u32::try_from(index).unwrap_or(u32::MAX))
            }
            /// The position in the table that this id names.
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

id!(
    /// Names a string of one profile. Id 0 is always the empty string.
    StringId
);
id!(
    /// Names a [`Mapping`] of one profile. Id 0 is always "no mapping".
    MappingId
);
id!(
    /// Names a [`Function`] of one profile.
    FunctionId
);
id!(
    /// Names a [`Location`] of one profile.
    LocationId
);
id!(
    /// Names a stack (a list of locations, leaf first) of one profile.
    StackId
);
id!(
    /// Names a label set of one profile. Id 0 is always the empty set.
    LabelSetId
);

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

/// Why weight is missing from the stacks, or stands under a placeholder instead of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LossCause {
    /// CPU time that no sample covers: short threads, blocked signals, time before a thread was
    /// seen. Shown under the frame `[unsampled]`.
    Unsampled,
    /// Expirations beyond the cap on one sample's weight. Shown under `[missed]`.
    Missed,
    /// Samples dropped because a ring was full. Shown under `[dropped]`.
    Dropped,
    /// Samples whose stack fell in the overflow bucket because the table of stacks was full.
    /// Shown under `[overflow]`.
    StackOverflow,
    /// Samples whose label set was replaced by `__overflow__`. Their stacks are kept.
    LabelOverflow,
    /// Samples whose stack could not be walked to the thread's root. Their stacks are kept.
    Truncated,
}

impl LossCause {
    /// Every cause, in the order used for output.
    pub const ALL: [Self; 6] = [
        Self::Unsampled,
        Self::Missed,
        Self::Dropped,
        Self::StackOverflow,
        Self::LabelOverflow,
        Self::Truncated,
    ];

    /// The name used in files, metrics and the page.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unsampled => "unsampled",
            Self::Missed => "missed",
            Self::Dropped => "dropped",
            Self::StackOverflow => "stack_overflow",
            Self::LabelOverflow => "label_overflow",
            Self::Truncated => "truncated",
        }
    }

    /// The cause with this [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.name() == name)
    }
}

/// An amount lost to one cause, in the unit of the profile's period (nanoseconds of CPU time).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Why.
    pub cause: LossCause,
    /// How much.
    pub value: u64,
}

/// Interning table: equal values get equal ids, ids are dense and in order of first sight.
#[derive(Clone, Debug)]
struct Table<T> {
    items: Vec<T>,
    ids: HashMap<T, u32>,
}

impl<T: Clone + Eq + Hash> Table<T> {
    fn new() -> Self {
        Self { items: Vec::new(), ids: HashMap::new() }
    }

    fn intern(&mut self, item: T) -> usize {
        let next = self.items.len();
        let id = *self.ids.entry(item.clone()).or_insert_with(|| {
            self.items.push(item);
            u32::try_from(next).unwrap_or(u32::MAX)
        });
        id as usize
    }
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
        };
        profile.string("");
        profile.mapping(Mapping::default());
        profile.label_sets.intern(Vec::new());
        profile
    }

    /// Interns a string.
    pub fn string(&mut self, text: &str) -> StringId {
        if let Some(&id) = self.strings.ids.get(text) {
            return StringId(id);
        }
        StringId::from_index(self.strings.intern(text.to_owned()))
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
        if let Some(&id) = self.stacks.ids.get(leaf_first) {
            return StackId(id);
        }
        StackId::from_index(self.stacks.intern(leaf_first.to_vec()))
    }

    /// Interns a label set. Order does not matter; of two equal keys the later wins.
    pub fn label_set<'a>(
        &mut self,
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> LabelSetId {
        let mut set: Vec<(StringId, StringId)> = Vec::new();
        for (key, value) in labels {
            let (key, value) = (self.string(key), self.string(value));
            match set.iter_mut().find(|(k, _)| *k == key) {
                Some(slot) => slot.1 = value,
                None => set.push((key, value)),
            }
        }
        set.sort_by(|a, b| self.strings.items[a.0.index()].cmp(&self.strings.items[b.0.index()]));
        LabelSetId::from_index(self.label_sets.intern(set))
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
            *self.losses.entry(cause).or_default() += value;
        }
    }

    /// The losses that are not zero, in the order of [`LossCause::ALL`].
    pub fn losses(&self) -> Vec<Loss> {
        LossCause::ALL
            .into_iter()
            .filter_map(|cause| self.losses.get(&cause).map(|&value| Loss { cause, value }))
            .collect()
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
        &self.strings.items
    }

    /// Every mapping, in id order; the first is "no mapping".
    pub fn mappings(&self) -> &[Mapping] {
        &self.mappings.items
    }

    /// Every function, in id order.
    pub fn functions(&self) -> &[Function] {
        &self.functions.items
    }

    /// Every location, in id order.
    pub fn locations(&self) -> &[Location] {
        &self.locations.items
    }

    /// The text of a string; the empty string for an id of another profile.
    pub fn text(&self, id: StringId) -> &str {
        self.strings.items.get(id.index()).map_or("", String::as_str)
    }

    /// The locations of a stack, leaf first.
    pub fn frames(&self, id: StackId) -> &[LocationId] {
        self.stacks.items.get(id.index()).map_or(&[], Vec::as_slice)
    }

    /// The labels of a set, sorted by key.
    pub fn labels(&self, id: LabelSetId) -> impl Iterator<Item = (&str, &str)> {
        let set = self.label_sets.items.get(id.index()).map_or(&[][..], Vec::as_slice);
        set.iter().map(|&(key, value)| (self.text(key), self.text(value)))
    }

    /// The sum of column `column` over all samples.
    pub fn total(&self, column: usize) -> i64 {
        self.samples.iter().filter_map(|sample| sample.values.get(column)).sum()
    }
}

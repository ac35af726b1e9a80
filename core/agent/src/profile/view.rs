//! The data of the HTML page: compact JSON that is safe inside a `<script>` element.
//!
//! The format (version 2) is documented by the types of this file, in order of its keys. Strings
//! are written once and named by position; stacks are a prefix tree in which a parent comes before
//! its children. A location with n inlined functions is n frames, the function that was really
//! called nearest to the root.
//!
//! A page shows the sum of some profiles, which stay apart as its parts, so that a period of them
//! can be chosen; those of a second side, the base, are what the first is compared with.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use serde::Serialize;

use super::LabelSetId;
use super::Profile;
use super::StringId;
use super::ValueType;
use super::frame::Detail;
use super::frame::Frame;
use super::frame::FrameTable;

#[derive(Serialize)]
struct View<'a> {
    v: u32,
    title: &'a str,
    types: Vec<Type<'a>>,
    /// Of the shown side, like what follows it.
    start_ms: Option<u64>,
    duration_ns: u64,
    labels: BTreeMap<&'a str, &'a str>,
    sources: &'a [String],
    strings: Vec<&'a str>,
    /// Name, file and module by position in `strings`, line, 1 if inlined.
    frames: Vec<(u32, u32, u32, u32, u8)>,
    /// Parent by position in `nodes` or -1, frame by position in `frames`.
    nodes: Vec<(i64, u32)>,
    #[serde(rename = "labelSets")]
    label_sets: Vec<Vec<(&'a str, &'a str)>>,
    /// Node, label set, then one value for each type; ordered by part.
    samples: Vec<Vec<i64>>,
    /// Start in milliseconds, duration in nanoseconds, and the rows of `samples` of each profile:
    /// first those of the base, each side by time.
    parts: Vec<(Option<u64>, u64, usize)>,
    /// What the shown side is compared with.
    base: Option<Base<'a>>,
    lost: Vec<(&'static str, u64)>,
    /// CPU time of profiling itself.
    cost_ns: Option<u64>,
    period: Option<Period<'a>>,
}

#[derive(Serialize)]
struct Base<'a> {
    /// How many of the first parts belong to it.
    parts: usize,
    title: &'a str,
    start_ms: Option<u64>,
    duration_ns: u64,
    labels: BTreeMap<&'a str, &'a str>,
    lost: Vec<(&'static str, u64)>,
}

#[derive(Serialize)]
struct Type<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    unit: &'a str,
}

#[derive(Serialize)]
struct Period<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    unit: &'a str,
    value: u64,
}

/// Writes a profile as the page's JSON. `<`, `>`, `&`, U+2028 and U+2029 appear only as `\u`
/// escapes, so that the text can stand in an HTML page as it is.
pub fn encode(profile: &Profile) -> String {
    encode_all(&[profile], &[])
}

/// Writes the sum of some profiles as [`encode`] writes one, compared with the sum of `base` if
/// there is any. Columns are matched by [`ValueType`]; labels that are not the same throughout a
/// side are those of samples.
pub fn encode_all(shown: &[&Profile], base: &[&Profile]) -> String {
    let (shown, base) = (Side::new(shown), Side::new(base));
    let profiles = base.profiles.iter().map(|profile| (*profile, &base));
    let profiles = profiles.chain(shown.profiles.iter().map(|profile| (*profile, &shown)));
    let profiles: Vec<_> = profiles.collect();
    let tables: Vec<_> =
        profiles.iter().map(|(profile, _)| FrameTable::new(profile, Detail::Line)).collect();
    let mut writer = Writer::default();
    writer.texts.position("");
    for ((profile, side), table) in profiles.iter().zip(&tables) {
        writer.add(profile, side, table);
    }
    let meta = &shown.sum.meta;
    let view = View {
        v: 2,
        title: shown.sum.title(),
        types: writer.types.items.iter().map(|t| Type { kind: &t.kind, unit: &t.unit }).collect(),
        start_ms: start_ms(&shown.sum),
        duration_ns: duration_ns(&shown.sum),
        labels: shown.labels(),
        sources: &meta.sources,
        strings: writer.texts.items,
        frames: writer.frames.items,
        nodes: writer.nodes.items,
        label_sets: writer.label_sets.items,
        samples: writer.samples,
        parts: writer.parts,
        base: (!base.profiles.is_empty()).then(|| Base {
            parts: base.profiles.len(),
            title: base.sum.title(),
            start_ms: start_ms(&base.sum),
            duration_ns: duration_ns(&base.sum),
            labels: base.labels(),
            lost: base.lost(),
        }),
        lost: shown.lost(),
        cost_ns: meta.cost.map(|cost| u64::try_from(cost.as_nanos()).unwrap_or(u64::MAX)),
        period: meta.period.as_ref().map(|(period_type, value)| Period {
            kind: &period_type.kind,
            unit: &period_type.unit,
            value: *value,
        }),
    };
    // Strings, numbers and string keys only: this cannot fail.
    let json = serde_json::to_string(&view).unwrap_or_default();
    escape_for_html(&json)
}

/// The profiles of one side in order of time, and what they have in common.
struct Side<'a> {
    profiles: Vec<&'a Profile>,
    /// A profile without samples, with the facts, the common labels and the losses of all.
    sum: Profile,
}

impl<'a> Side<'a> {
    fn new(profiles: &[&'a Profile]) -> Self {
        let mut profiles = profiles.to_vec();
        profiles.sort_by_key(|profile| profile.meta.start_unix_nanos);
        let mut sum = Profile::new(Vec::new());
        for profile in &profiles {
            sum.merge_meta(profile);
            for loss in profile.losses() {
                sum.add_loss(loss.cause, loss.value);
            }
        }
        let common = profiles.first().map_or(&[][..], |profile| &profile.meta.labels).iter();
        let common =
            common.filter(|label| profiles.iter().all(|it| it.meta.labels.contains(label)));
        sum.meta.labels = common.cloned().collect();
        Self { profiles, sum }
    }

    fn labels(&self) -> BTreeMap<&str, &str> {
        self.sum.meta.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect()
    }

    fn lost(&self) -> Vec<(&'static str, u64)> {
        self.sum.losses().iter().map(|loss| (loss.cause.name(), loss.value)).collect()
    }
}

fn start_ms(profile: &Profile) -> Option<u64> {
    profile.meta.start_unix_nanos.map(|nanos| nanos / 1_000_000)
}

fn duration_ns(profile: &Profile) -> u64 {
    u64::try_from(profile.meta.duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The tables of the page while profiles are added.
#[derive(Default)]
struct Writer<'a> {
    types: Interner<&'a ValueType>,
    texts: Interner<&'a str>,
    frames: Interner<(u32, u32, u32, u32, u8)>,
    nodes: Interner<(i64, u32)>,
    label_sets: Interner<Vec<(&'a str, &'a str)>>,
    samples: Vec<Vec<i64>>,
    parts: Vec<(Option<u64>, u64, usize)>,
}

impl<'a> Writer<'a> {
    fn add(&mut self, profile: &'a Profile, side: &Side<'_>, table: &'a FrameTable) {
        let columns = self.columns(profile);
        let frames: Vec<u32> =
            table.frames().iter().map(|frame| self.frame(profile, frame)).collect();
        let mut label_sets = HashMap::new();
        let mut stack = Vec::new();
        let before = self.samples.len();
        for sample in profile.samples() {
            table.stack(profile, sample.stack, &mut stack);
            let known = stack.iter().filter_map(|&frame| frames.get(frame as usize));
            let leaf = known.fold(-1, |parent, &frame| self.nodes.position((parent, frame)).into());
            let labels = *label_sets
                .entry(sample.labels)
                .or_insert_with(|| self.label_set(profile, side, sample.labels));
            let mut row = vec![0; 2 + self.types.items.len()];
            (row[0], row[1]) = (leaf, i64::from(labels));
            for (&column, &value) in columns.iter().zip(&sample.values) {
                row[2 + column] = value;
            }
            self.samples.push(row);
        }
        let rows = self.samples.len() - before;
        self.parts.push((start_ms(profile), duration_ns(profile), rows));
    }

    /// The columns of a profile as positions among all types. Rows so far get those that are new.
    fn columns(&mut self, profile: &'a Profile) -> Vec<usize> {
        let known = self.types.items.len();
        let mut columns = Vec::with_capacity(profile.sample_types().len());
        for column in profile.sample_types() {
            // A type listed twice is matched twice, to different columns.
            let mut same = self.types.items.iter().enumerate();
            let found = same.find(|(n, it)| **it == column && !columns.contains(n)).map(|(n, _)| n);
            columns.push(found.unwrap_or_else(|| {
                self.types.items.push(column);
                self.types.items.len() - 1
            }));
        }
        if self.types.items.len() > known {
            self.samples.iter_mut().for_each(|row| row.resize(2 + self.types.items.len(), 0));
        }
        columns
    }

    fn frame(&mut self, profile: &'a Profile, frame: &'a Frame) -> u32 {
        // Interpreted code is in no module: its file is what its frames have in common.
        let module = if frame.module == StringId::default() { frame.file } else { frame.module };
        let name = self.texts.position(frame.name(profile));
        let file = self.texts.position(profile.text(frame.file));
        let module = self.texts.position(profile.text(module));
        self.frames.position((name, file, module, frame.line, u8::from(frame.inlined)))
    }

    /// The labels of a sample, and those of its profile that not all of its side have.
    fn label_set(&mut self, profile: &'a Profile, side: &Side<'_>, set: LabelSetId) -> u32 {
        let moved = profile.meta.labels.iter().filter(|it| !side.sum.meta.labels.contains(it));
        let moved = moved.map(|(key, value)| (key.as_str(), value.as_str()));
        let labels: BTreeMap<_, _> = moved.chain(profile.labels(set)).collect();
        self.label_sets.position(labels.into_iter().collect())
    }
}

/// Equal items once, each by its position.
struct Interner<T> {
    items: Vec<T>,
    positions: HashMap<T, u32>,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self { items: Vec::new(), positions: HashMap::new() }
    }
}

impl<T: Clone + Eq + Hash> Interner<T> {
    fn position(&mut self, item: T) -> u32 {
        if let Some(&known) = self.positions.get(&item) {
            return known;
        }
        let next = u32::try_from(self.items.len()).unwrap_or(u32::MAX);
        self.items.push(item.clone());
        self.positions.insert(item, next);
        next
    }
}

fn escape_for_html(json: &str) -> String {
    let mut out = String::with_capacity(json.len() + json.len() / 32);
    for c in json.chars() {
        match c {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            c => out.push(c),
        }
    }
    out
}

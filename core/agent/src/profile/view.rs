//! The data of the HTML page: compact JSON that is safe inside a `<script>` element.
//!
//! The format (version 1) is documented by the types of this file, in order of its keys. Strings
//! are written once and named by position; stacks are a prefix tree in which a parent comes before
//! its children. A location with n inlined functions is n frames, the function that was really
//! called nearest to the root.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::LabelSetId;
use super::Profile;
use super::StringId;
use super::frame::Detail;
use super::frame::Frame;
use super::frame::FrameTable;

#[derive(Serialize)]
struct View<'a> {
    v: u32,
    title: &'a str,
    types: Vec<Type<'a>>,
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
    /// Node, label set, then one value for each type.
    samples: Vec<Vec<i64>>,
    lost: Vec<(&'static str, u64)>,
    period: Option<Period<'a>>,
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
    let table = FrameTable::new(profile, Detail::Line);
    let mut strings = Strings::new(profile);
    let frames = table.frames().iter().map(|frame| {
        let name = strings.name(frame);
        // Interpreted code is in no module: its file is what its frames have in common.
        let module = if frame.module == StringId::default() { frame.file } else { frame.module };
        let (file, module) = (strings.id(frame.file), strings.id(module));
        (name, file, module, frame.line, u8::from(frame.inlined))
    });
    let frames = frames.collect();
    let mut tree = Tree::default();
    let mut label_sets = LabelSets::default();
    let samples = samples(profile, &table, &mut tree, &mut label_sets);
    let meta = &profile.meta;
    let types = profile.sample_types().iter();
    let period = meta.period.as_ref().map(|(period_type, value)| Period {
        kind: &period_type.kind,
        unit: &period_type.unit,
        value: *value,
    });
    let view = View {
        v: 1,
        title: profile.title(),
        types: types.map(|t| Type { kind: &t.kind, unit: &t.unit }).collect(),
        start_ms: meta.start_unix_nanos.map(|nanos| nanos / 1_000_000),
        duration_ns: u64::try_from(meta.duration.as_nanos()).unwrap_or(u64::MAX),
        labels: meta.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect(),
        sources: &meta.sources,
        strings: strings.texts,
        frames,
        nodes: tree.nodes,
        label_sets: label_sets.ids.iter().map(|&id| profile.labels(id).collect()).collect(),
        samples,
        lost: profile.losses().iter().map(|loss| (loss.cause.name(), loss.value)).collect(),
        period,
    };
    // Strings, numbers and string keys only: this cannot fail.
    let json = serde_json::to_string(&view).unwrap_or_default();
    escape_for_html(&json)
}

fn samples(
    profile: &Profile,
    table: &FrameTable,
    tree: &mut Tree,
    label_sets: &mut LabelSets,
) -> Vec<Vec<i64>> {
    let mut stack = Vec::new();
    let mut rows = Vec::with_capacity(profile.samples().len());
    for sample in profile.samples() {
        table.stack(profile, sample.stack, &mut stack);
        let mut row = Vec::with_capacity(2 + sample.values.len());
        row.push(tree.leaf(&stack));
        row.push(label_sets.position(sample.labels));
        row.extend_from_slice(&sample.values);
        rows.push(row);
    }
    rows
}

/// Strings in order of first sight; the first is empty.
struct Strings<'a> {
    profile: &'a Profile,
    texts: Vec<&'a str>,
    ids: HashMap<StringId, u32>,
    made_up: HashMap<&'a str, u32>,
}

impl<'a> Strings<'a> {
    fn new(profile: &'a Profile) -> Self {
        let ids = HashMap::from([(StringId::default(), 0)]);
        Self { profile, texts: vec![""], ids, made_up: HashMap::new() }
    }

    fn id(&mut self, id: StringId) -> u32 {
        let next = self.texts.len();
        *self.ids.entry(id).or_insert_with(|| {
            self.texts.push(self.profile.text(id));
            u32::try_from(next).unwrap_or(u32::MAX)
        })
    }

    fn name(&mut self, frame: &'a Frame) -> u32 {
        if let Some(id) = frame.name_id() {
            return self.id(id);
        }
        let (next, text) = (self.texts.len(), frame.name(self.profile));
        *self.made_up.entry(text).or_insert_with(|| {
            self.texts.push(text);
            u32::try_from(next).unwrap_or(u32::MAX)
        })
    }
}

/// The label sets in use, in order of first sight.
#[derive(Default)]
struct LabelSets {
    ids: Vec<LabelSetId>,
    positions: HashMap<LabelSetId, i64>,
}

impl LabelSets {
    fn position(&mut self, id: LabelSetId) -> i64 {
        let next = self.ids.len();
        *self.positions.entry(id).or_insert_with(|| {
            self.ids.push(id);
            next as i64
        })
    }
}

/// A prefix tree of stacks.
#[derive(Default)]
struct Tree {
    nodes: Vec<(i64, u32)>,
    children: HashMap<(i64, u32), i64>,
}

impl Tree {
    /// The node of the last frame of a stack.
    fn leaf(&mut self, root_first: &[u32]) -> i64 {
        let mut parent = -1;
        for &frame in root_first {
            let next = self.nodes.len() as i64;
            parent = *self.children.entry((parent, frame)).or_insert_with_key(|&node| {
                self.nodes.push(node);
                next
            });
        }
        parent
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

//! Tables for terminals, scripts and pull requests: functions by self and total, label values,
//! losses.
//!
//! A function is a name and a source file; functions that the compiler inlined count like the
//! others. `self` is the weight of the stacks that end in a function, `total` that of the stacks it
//! is on, each stack once however often the function recurs.

mod json;
pub(super) mod markdown;
mod peek;
pub(super) mod quantity;
mod tally;
pub(super) mod terminal;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::LabelSetId;
use super::Profile;
use super::ValueType;
use super::frame::Detail;
use super::frame::FrameTable;
use crate::Error;
use crate::ErrorKind;
use peek::Edges;
use tally::Tally;
use tally::Visit;

/// What to report.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The column to weigh by; the profile's
    /// [`default_column`](super::Profile::default_column) if `None`.
    pub column: Option<usize>,
    /// Lists the functions of each value of this label.
    pub by_label: Option<String>,
    /// Lists callers and callees of the functions whose name matches this regular expression.
    pub peek: Option<String>,
}

/// A function and its weight, in the unit of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionWeight {
    /// The function's name.
    pub name: String,
    /// Its source file, or the empty string.
    pub file: String,
    /// Weight of the stacks that end in it.
    pub self_value: i64,
    /// Weight of the stacks it is on.
    pub total: i64,
}

/// The part of a profile that has one value of a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelPart {
    /// The label's value; `None` for the stacks without the label.
    pub value: Option<String>,
    /// Weight of the part.
    pub total: i64,
    /// Its functions, heaviest self first.
    pub functions: Vec<FunctionWeight>,
}

/// Who calls a function and whom it calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peek {
    /// The function.
    pub function: FunctionWeight,
    /// Callers by name, with the weight of the stacks that have the call, heaviest first.
    pub callers: Vec<(String, i64)>,
    /// Callees by name, likewise.
    pub callees: Vec<(String, i64)>,
}

/// One column of a profile as tables.
#[derive(Clone, Debug)]
pub struct Report {
    /// Quantity and unit of every value here.
    pub column: ValueType,
    /// Sum of the column.
    pub total: i64,
    /// Number of samples: the sum of the column `samples` in `count`, or where there is none the
    /// number of distinct stacks with their labels.
    pub samples: i64,
    /// Time covered.
    pub duration: Duration,
    /// Engines that took the samples.
    pub sources: Vec<String>,
    /// Weight lost by cause, in [`lost_unit`](Self::lost_unit).
    pub lost: Vec<(&'static str, u64)>,
    /// Unit of the losses, that of the profile's period.
    pub lost_unit: String,
    /// CPU time of profiling itself, if the profile tells it.
    pub cost: Option<Duration>,
    /// Every function, heaviest self first.
    pub functions: Vec<FunctionWeight>,
    /// Weight of each value of each label. Process-wide labels count for every sample that does
    /// not override them.
    pub labels: BTreeMap<String, BTreeMap<String, i64>>,
    /// The parts by [`Options::by_label`], heaviest first; empty if not asked for.
    pub by_label: Vec<LabelPart>,
    /// The functions that match [`Options::peek`], heaviest total first; empty if not asked for.
    pub peek: Vec<Peek>,
}

impl Report {
    /// Tabulates one column of a profile.
    ///
    /// # Errors
    /// `InvalidInput` if the column is not there or the expression is not a regular expression.
    pub fn new(profile: &Profile, options: &Options) -> Result<Self, Error> {
        let column = options.column.unwrap_or_else(|| profile.default_column());
        let Some(sample_type) = profile.sample_types().get(column) else {
            let message = format!("the profile has no column {column}");
            return Err(Error::new(ErrorKind::InvalidInput, message));
        };
        let table = FrameTable::new(profile, Detail::Function);
        let mut counts = Counts::default();
        if let Some(pattern) = &options.peek {
            counts.edges = Some(Edges::new(profile, &table, pattern)?);
        }
        counts.count(profile, &table, column, options.by_label.as_deref());
        let Counts { tally, by_set, parts, edges } = counts;
        Ok(Self {
            column: sample_type.clone(),
            total: profile.total(column),
            samples: sample_count(profile),
            duration: profile.meta.duration,
            sources: profile.meta.sources.clone(),
            lost: profile.losses().iter().map(|loss| (loss.cause.name(), loss.value)).collect(),
            lost_unit: profile.loss_unit().to_owned(),
            cost: profile.meta.cost,
            functions: tally.functions(profile, &table),
            labels: label_weights(profile, &by_set),
            by_label: label_parts(profile, &table, parts),
            peek: edges.map_or_else(Vec::new, |edges| edges.finish(profile, &table, &tally)),
        })
    }
}

/// Everything that is added up in one walk over the samples.
#[derive(Default)]
struct Counts<'a> {
    tally: Tally,
    by_set: HashMap<LabelSetId, i64>,
    parts: HashMap<Option<&'a str>, Tally>,
    edges: Option<Edges>,
}

impl<'a> Counts<'a> {
    fn count(
        &mut self,
        profile: &'a Profile,
        table: &FrameTable,
        column: usize,
        by_label: Option<&str>,
    ) {
        let mut stack = Vec::new();
        for sample in profile.samples() {
            let (weight, set) = (sample.values[column], sample.labels);
            let of_set = self.by_set.entry(set).or_default();
            *of_set = of_set.saturating_add(weight);
            table.stack(profile, sample.stack, &mut stack);
            let visit = Visit::new(&stack, weight);
            self.tally.add(&visit);
            if let Some(edges) = &mut self.edges {
                edges.add(&stack, weight);
            }
            if let Some(key) = by_label {
                self.parts.entry(profile.label_value(set, key)).or_default().add(&visit);
            }
        }
    }
}

fn sample_count(profile: &Profile) -> i64 {
    let counts = ValueType::new("samples", "count");
    match profile.sample_types().iter().position(|column| *column == counts) {
        Some(column) => profile.total(column),
        None => i64::try_from(profile.samples().len()).unwrap_or(i64::MAX),
    }
}

fn label_weights(
    profile: &Profile,
    by_set: &HashMap<LabelSetId, i64>,
) -> BTreeMap<String, BTreeMap<String, i64>> {
    let mut weights: HashMap<(&str, &str), i64> = HashMap::new();
    for (&set, &weight) in by_set {
        let process_wide = profile.meta.labels.iter().map(|(k, v)| (k.as_str(), v.as_str()));
        let labels: HashMap<&str, &str> = process_wide.chain(profile.labels(set)).collect();
        for label in labels {
            let total = weights.entry(label).or_default();
            *total = total.saturating_add(weight);
        }
    }
    let mut labels: BTreeMap<String, BTreeMap<String, i64>> = BTreeMap::new();
    for ((key, value), weight) in weights {
        labels.entry(key.to_owned()).or_default().insert(value.to_owned(), weight);
    }
    labels
}

fn label_parts(
    profile: &Profile,
    table: &FrameTable,
    parts: HashMap<Option<&str>, Tally>,
) -> Vec<LabelPart> {
    let parts = parts.into_iter().map(|(value, tally)| LabelPart {
        value: value.map(str::to_owned),
        total: tally.total(),
        functions: tally.functions(profile, table),
    });
    let mut parts: Vec<_> = parts.collect();
    parts.sort_by(|a, b| b.total.cmp(&a.total).then_with(|| a.value.cmp(&b.value)));
    parts
}

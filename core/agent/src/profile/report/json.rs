//! The report for scripts.

use std::collections::BTreeMap;

use serde::Serialize;

use super::FunctionWeight;
use super::LabelPart;
use super::Peek;
use super::Report;

#[derive(Serialize)]
struct Json<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    unit: &'a str,
    total: i64,
    samples: i64,
    lost: BTreeMap<&'a str, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_ns: Option<u64>,
    functions: Vec<JsonFunction<'a>>,
    labels: &'a BTreeMap<String, BTreeMap<String, i64>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    by: Vec<JsonPart<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    peek: Vec<JsonPeek<'a>>,
}

#[derive(Serialize)]
struct JsonFunction<'a> {
    name: &'a str,
    file: &'a str,
    #[serde(rename = "self")]
    self_value: i64,
    total: i64,
}

#[derive(Serialize)]
struct JsonPart<'a> {
    value: Option<&'a str>,
    total: i64,
    functions: Vec<JsonFunction<'a>>,
}

#[derive(Serialize)]
struct JsonPeek<'a> {
    #[serde(flatten)]
    function: JsonFunction<'a>,
    callers: Vec<JsonEdge<'a>>,
    callees: Vec<JsonEdge<'a>>,
}

#[derive(Serialize)]
struct JsonEdge<'a> {
    name: &'a str,
    value: i64,
}

impl Report {
    /// The whole report as one JSON object: `type`, `unit`, `total`, `samples`, `lost` (amount by
    /// cause), `cost_ns` (CPU time of profiling itself, if it is known), `functions` (`name`, `file`, `self`, `total`; heaviest self first) and `labels`
    /// (weight by value, by label). `by` (`value`, `total`, `functions`) and `peek` (a function
    /// with `callers` and `callees`) are there only if they were asked for and found something.
    pub fn to_json(&self) -> String {
        let json = Json {
            kind: &self.column.kind,
            unit: &self.column.unit,
            total: self.total,
            samples: self.samples,
            lost: self.lost.iter().copied().collect(),
            cost_ns: self.cost.and_then(|cost| u64::try_from(cost.as_nanos()).ok()),
            functions: functions(&self.functions),
            labels: &self.labels,
            by: self.by_label.iter().map(part).collect(),
            peek: self.peek.iter().map(peek).collect(),
        };
        // Strings, numbers and string keys only: this cannot fail.
        serde_json::to_string(&json).unwrap_or_default()
    }
}

fn functions(functions: &[FunctionWeight]) -> Vec<JsonFunction<'_>> {
    functions.iter().map(function).collect()
}

fn function(function: &FunctionWeight) -> JsonFunction<'_> {
    let FunctionWeight { name, file, self_value, total } = function;
    JsonFunction { name, file, self_value: *self_value, total: *total }
}

fn part(part: &LabelPart) -> JsonPart<'_> {
    let functions = functions(&part.functions);
    JsonPart { value: part.value.as_deref(), total: part.total, functions }
}

fn peek(peek: &Peek) -> JsonPeek<'_> {
    let (callers, callees) = (edges(&peek.callers), edges(&peek.callees));
    JsonPeek { function: function(&peek.function), callers, callees }
}

fn edges(edges: &[(String, i64)]) -> Vec<JsonEdge<'_>> {
    edges.iter().map(|(name, value)| JsonEdge { name, value: *value }).collect()
}

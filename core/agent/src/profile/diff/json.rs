//! The difference for scripts.

use serde::Serialize;

use super::Change;
use super::Diff;
use super::FunctionChange;
use super::Pair;
use super::Violation;

#[derive(Serialize)]
struct Json<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    unit: &'a str,
    before: i64,
    after: i64,
    with_stack: (i64, i64),
    significant: bool,
    samples: Option<(i64, i64)>,
    seconds: (f64, f64),
    functions: Vec<JsonFunction<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    by: Vec<JsonPart<'a>>,
    violations: Vec<JsonViolation<'a>>,
}

#[derive(Serialize)]
struct JsonFunction<'a> {
    name: &'a str,
    file: &'a str,
    #[serde(rename = "self")]
    own: JsonChange,
    total: JsonChange,
}

#[derive(Serialize)]
struct JsonChange {
    before: i64,
    after: i64,
    share_change: f64,
    significant: bool,
}

#[derive(Serialize)]
struct JsonPart<'a> {
    value: Option<&'a str>,
    total: JsonChange,
    functions: Vec<JsonFunction<'a>>,
}

#[derive(Serialize)]
struct JsonViolation<'a> {
    condition: &'a str,
    what: &'a str,
    percent: f64,
}

impl Diff {
    /// The whole difference as one JSON object: `type`, `unit`, `before`, `after`, `with_stack` (of that,
    /// before and after), `significant`, `samples` and `seconds` (before and after), `functions`
    /// (`name`, `file`, and for `self` and `total` the weights `before` and `after`, `share_change` of 1,
    /// and `significant`), `by` (the same for each value of a label) and `violations` (`condition`,
    /// `what`, `percent`).
    pub fn to_json(&self, violations: &[Violation]) -> String {
        let json = Json {
            kind: &self.column.kind,
            unit: &self.column.unit,
            before: self.total.before,
            after: self.total.after,
            with_stack: (self.with_stack.before, self.with_stack.after),
            significant: self.whole_is_significant((1.0, 1.0)),
            samples: self.samples.map(|samples| (samples.before, samples.after)),
            seconds: (self.durations.0.as_secs_f64(), self.durations.1.as_secs_f64()),
            functions: self.functions.iter().map(function).collect(),
            by: self
                .by_label
                .iter()
                .map(|part| JsonPart {
                    value: part.value.as_deref(),
                    total: change(part.total),
                    functions: part.functions.iter().map(function).collect(),
                })
                .collect(),
            violations: violations
                .iter()
                .map(|it| JsonViolation {
                    condition: &it.condition,
                    what: &it.what,
                    percent: it.per_mille as f64 / 10.0,
                })
                .collect(),
        };
        // Strings, numbers and string keys only: this cannot fail.
        serde_json::to_string(&json).unwrap_or_default()
    }
}

fn function(function: &FunctionChange) -> JsonFunction<'_> {
    JsonFunction {
        name: &function.name,
        file: &function.file,
        own: change(function.self_value),
        total: change(function.total),
    }
}

fn change(change: Change) -> JsonChange {
    let Change { weight: Pair { before, after }, share, is_significant } = change;
    JsonChange { before, after, share_change: share, significant: is_significant }
}

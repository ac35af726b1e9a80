//! The difference for a terminal, and what both texts share.

use super::Change;
use super::Diff;
use super::FunctionChange;
use super::Pair;
use super::PartChange;
use super::Violation;
use crate::profile::report::quantity::{amount, share};
use crate::profile::report::terminal::{MAX_VALUES, NO_LABEL, visible};

/// What stands in place of a change that may be chance.
const CHANCE: &str = "~";

impl Diff {
    /// The difference as lines for a terminal: the `top` largest changes that are more than chance, or
    /// with `all` the `top` largest of any, of the whole and of each part. Names cannot act on the
    /// terminal, as in [`Report::to_text`](crate::profile::report::Report::to_text).
    pub fn to_text(&self, top: usize, all: bool, violations: &[Violation]) -> String {
        let mut out = self.headlines().join("\n") + "\n";
        table(&mut out, &self.functions, self.with_stack, (top, all));
        values(&mut out, &self.by_label, self.with_stack);
        for part in &self.by_label {
            if all || part.functions.iter().any(FunctionChange::is_significant) {
                let value = part.value.as_deref().map_or(NO_LABEL.to_owned(), visible);
                out += &format!("\n{value}: {}\n", self.weights(part.total.weight));
                table(&mut out, &part.functions, part.total.weight, (top, all));
            }
        }
        for violation in violations {
            out += &format!("\n{}", violation.line());
        }
        if violations.is_empty() { out } else { out + "\n" }
    }

    /// What was compared, and how much of it changed.
    pub(super) fn headlines(&self) -> Vec<String> {
        let kind = visible(&self.column.kind);
        let mut first = format!("{kind}: {}", self.weights(self.total));
        if let Some(samples) = self.samples {
            first += &format!(", {}", pair(samples, "count") + " samples");
        }
        let (before, after) = self.durations;
        if !before.is_zero() && !after.is_zero() {
            let nanos = |it: std::time::Duration| i64::try_from(it.as_nanos()).unwrap_or(i64::MAX);
            let durations = Pair { before: nanos(before), after: nanos(after) };
            first += &format!(", over {}", pair(durations, "nanoseconds"));
        }
        let (changed, functions) = (self.changed().count(), self.functions.len());
        let second = match self.samples {
            Some(_) => format!("{changed} of {functions} functions changed by more than chance"),
            None => "the profiles do not tell their samples: any change may be chance".to_owned(),
        };
        [Some(first), self.without_stack(), Some(second)].into_iter().flatten().collect()
    }

    /// What is in no function's share, unless it rounds to nothing.
    fn without_stack(&self) -> Option<String> {
        let Pair { before, after } = self.with_stack;
        let lost = Pair {
            before: self.total.before.saturating_sub(before),
            after: self.total.after.saturating_sub(after),
        };
        let (before, after) = lost.shares(self.total);
        (before >= 0.0005 || after >= 0.0005).then(|| {
            let (before, after) = (before * 100.0, after * 100.0);
            format!("without a stack, and in no share below: {before:.1}% → {after:.1}%")
        })
    }

    fn weights(&self, weight: Pair) -> String {
        let growth = match weight.before {
            0 => "new".to_owned(),
            before => format!("{:+.1}%", weight.change() as f64 / before as f64 * 100.0),
        };
        format!("{} ({growth})", pair(weight, &self.column.unit))
    }
}

impl Violation {
    /// `shop::slow: +9.8%, not allowed: self>2%`
    pub(super) fn line(&self) -> String {
        let percent = self.per_mille as f64 / 10.0;
        let (what, condition) = (visible(&self.what), visible(&self.condition));
        format!("{what}: {percent:+.1}%, not allowed: {condition}")
    }
}

fn pair(weight: Pair, unit: &str) -> String {
    visible(&format!("{} → {}", amount(weight.before, unit), amount(weight.after, unit)))
}

fn table(out: &mut String, functions: &[FunctionChange], whole: Pair, (top, all): (usize, bool)) {
    let mut rows = rows(functions, all).peekable();
    if rows.peek().is_none() {
        return;
    }
    *out += "\n   self  before   after    total  before   after  function\n";
    for function in rows.by_ref().take(top) {
        let [own, total] = cells(function, whole)
            .map(|[change, before, after]| format!("{change:>7} {before:>7} {after:>7}"));
        *out += &format!("{own}  {total}  {}\n", visible(&function.name));
    }
    let left = rows.count();
    if left > 0 {
        *out += &format!("{:>49}… and {left} more\n", "");
    }
}

/// What each value of the label is of the whole, heaviest first.
fn values(out: &mut String, parts: &[PartChange], whole: Pair) {
    if !parts.is_empty() {
        *out += "\n  share  before   after  value\n";
    }
    for part in parts.iter().take(MAX_VALUES) {
        let [change, before, after] = shares(part.total, whole);
        let value = part.value.as_deref().map_or(NO_LABEL.to_owned(), visible);
        *out += &format!("{change:>7} {before:>7} {after:>7}  {value}\n");
    }
}

/// The functions to show.
pub(super) fn rows(
    functions: &[FunctionChange],
    all: bool,
) -> impl Iterator<Item = &FunctionChange> {
    functions.iter().filter(move |function| all || function.is_significant())
}

/// Change, before and after of a function's own share and of its total share.
pub(super) fn cells(function: &FunctionChange, whole: Pair) -> [[String; 3]; 2] {
    [function.self_value, function.total].map(|change| shares(change, whole))
}

/// Change, before and after as shares of the whole.
pub(super) fn shares(change: Change, whole: Pair) -> [String; 3] {
    let Pair { before, after } = change.weight;
    [points(change), share(before, whole.before), share(after, whole.after)]
}

fn points(change: Change) -> String {
    match change.is_significant {
        true => format!("{:+.1}%", change.share * 100.0),
        false => CHANCE.to_owned(),
    }
}

//! What changed from one profile to another, with chance left out.
//!
//! Functions are matched by name and source file. What is compared are their shares of what has a
//! stack: two profiles need not cover the same time, and one that lost more (`[unsampled]`) has not
//! changed thereby. The amounts stay as they are, so that the difference of two is what `go tool pprof
//! -diff_base` prints.

mod gate;
mod json;
mod markdown;
mod significance;
mod terminal;

use std::collections::HashMap;
use std::time::Duration;

use super::LossCause;
use super::Profile;
use super::ValueType;
use super::report;
use super::report::Report;
use super::report::{FunctionWeight, LabelPart};
use crate::Error;
pub use gate::{Gate, Violation};
use significance::Evidence;
pub use significance::MIN_CHANGE;

/// What to compare.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The quantity, such as `cpu`; the [`default_column`](Profile::default_column) of the later
    /// profile if `None`.
    pub kind: Option<String>,
    /// Compares the functions of each value of this label too.
    pub by_label: Option<String>,
}

/// A weight before and after, in the unit of the comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pair {
    /// In the earlier profile.
    pub before: i64,
    /// In the later one.
    pub after: i64,
}

impl Pair {
    /// What was added; negative for what went away.
    pub fn change(self) -> i64 {
        self.after.saturating_sub(self.before)
    }

    /// Both as parts of a whole, 1 being all of it; 0 of a whole that is nothing.
    pub fn shares(self, whole: Pair) -> (f64, f64) {
        let share =
            |part: i64, whole: i64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        (share(self.before, whole.before), share(self.after, whole.after))
    }
}

/// One weight of a function, and whether it changed by more than chance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// The weights.
    pub weight: Pair,
    /// Change of the share of what has a stack: 0.02 is two points more.
    pub share: f64,
    /// Whether that is more than chance, and at least [`MIN_CHANGE`].
    pub is_significant: bool,
}

/// A function on either side.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionChange {
    /// The function's name.
    pub name: String,
    /// Its source file, or the empty string.
    pub file: String,
    /// Weight of the stacks that end in it.
    pub self_value: Change,
    /// Weight of the stacks it is on.
    pub total: Change,
}

impl FunctionChange {
    /// Whether anything about it changed by more than chance.
    pub fn is_significant(&self) -> bool {
        self.self_value.is_significant || self.total.is_significant
    }
}

/// The functions of one value of a label.
#[derive(Clone, Debug, PartialEq)]
pub struct PartChange {
    /// The label's value; `None` for the stacks without the label.
    pub value: Option<String>,
    /// Weight of what has a stack in the part, with its change as part of all such weight.
    pub total: Change,
    /// Its functions. Their shares are of the part.
    pub functions: Vec<FunctionChange>,
}

/// The difference of two profiles.
#[derive(Clone, Debug)]
pub struct Diff {
    /// Quantity and unit of every weight here.
    pub column: ValueType,
    /// Weight of everything.
    pub total: Pair,
    /// Weight of what has a stack: the whole of which functions and values have shares.
    pub with_stack: Pair,
    /// Samples behind it, `None` where the profiles do not tell; then nothing is significant.
    pub samples: Option<Pair>,
    /// Time covered, before and after.
    pub durations: (Duration, Duration),
    /// Every function, largest change of its own share first.
    pub functions: Vec<FunctionChange>,
    /// The parts by [`Options::by_label`], heaviest first.
    pub by_label: Vec<PartChange>,
    evidence: Option<Evidence>,
}

impl Diff {
    /// Compares one column of two profiles.
    ///
    /// # Errors
    /// `InvalidInput` if a profile does not have the column.
    pub fn new(before: &Profile, after: &Profile, options: &Options) -> Result<Self, Error> {
        let column = column(after, options.kind.as_deref())?;
        let wanted = &after.sample_types()[column];
        let earlier = before.sample_types().iter().position(|column| column == wanted);
        let earlier = earlier.ok_or_else(|| {
            Error::invalid(format!("only one profile has {} in {}", wanted.kind, wanted.unit))
        })?;
        let report = |profile, column| {
            let by_label = options.by_label.clone();
            Report::new(profile, &report::Options { column: Some(column), by_label, peek: None })
        };
        let (first, second) = (report(before, earlier)?, report(after, column)?);
        let with_stack = |report: &Report| with_stack(report.total, &report.functions);
        let with_stack = Pair { before: with_stack(&first), after: with_stack(&second) };
        let counts = (
            sample_count(before, earlier, with_stack.before),
            sample_count(after, column, with_stack.after),
        );
        Ok(compare(&first, &second, with_stack, counts))
    }

    /// Whether the whole changed by more than chance, each side divided by what it covers.
    fn whole_is_significant(&self, covered: (f64, f64)) -> bool {
        // As if what has no stack had been sampled, too: its weight is known.
        let (before, after) = self.total.shares(self.with_stack);
        self.evidence.is_some_and(|evidence| evidence.scaled(before, after).wholes_differ(covered))
    }

    /// The functions that changed by more than chance.
    pub fn changed(&self) -> impl Iterator<Item = &FunctionChange> {
        self.functions.iter().filter(|function| function.is_significant())
    }
}

fn column(profile: &Profile, kind: Option<&str>) -> Result<usize, Error> {
    let default = profile.default_column();
    let found = kind.map_or(Some(default), |kind| profile.column(kind));
    found.filter(|&column| column < profile.sample_types().len()).ok_or_else(|| {
        Error::invalid(format!("the later profile has no {}", kind.unwrap_or("column")))
    })
}

/// How many samples a weight of a column comes from that is everything with a stack.
fn sample_count(profile: &Profile, column: usize, with_stack: i64) -> Option<f64> {
    let counts = ValueType::new("samples", "count");
    let of_column = &profile.sample_types()[column];
    if let Some(column) = profile.sample_types().iter().position(|it| *it == counts) {
        return Some(profile.total(column) as f64);
    }
    match &profile.meta.period {
        Some((kind, period)) if kind == of_column && *period > 0 => {
            Some(with_stack as f64 / *period as f64)
        }
        // Counts of objects and of waits are scaled up from what was sampled.
        _ => None,
    }
}

fn compare(
    before: &Report,
    after: &Report,
    with_stack: Pair,
    counts: (Option<f64>, Option<f64>),
) -> Diff {
    let total = Pair { before: before.total, after: after.total };
    let evidence = match counts {
        (Some(before), Some(after)) => Some(Evidence { before, after }),
        _ => None,
    };
    let joined = join(&before.functions, &after.functions);
    let test = Test { whole: with_stack, evidence, tests: tests_of(&joined) };
    let functions = test.functions(joined);
    Diff {
        column: after.column.clone(),
        total,
        with_stack,
        samples: evidence.map(|it| Pair { before: it.before as i64, after: it.after as i64 }),
        durations: (before.duration, after.duration),
        functions,
        by_label: by_label(before, after, with_stack, evidence),
        evidence,
    }
}

/// The parts of both sides that have the same value of the label.
fn by_label<'a>(
    before: &'a Report,
    after: &'a Report,
    whole: Pair,
    evidence: Option<Evidence>,
) -> Vec<PartChange> {
    let mut values: Vec<_> =
        before.by_label.iter().chain(&after.by_label).map(|part| &part.value).collect();
    values.sort();
    values.dedup();
    let by_value = |report: &'a Report| -> HashMap<_, &'a LabelPart> {
        report.by_label.iter().map(|part| (&part.value, part)).collect()
    };
    let (earlier, later) = (by_value(before), by_value(after));
    let of = |part: Option<&&'a LabelPart>| -> (i64, &'a [FunctionWeight]) {
        part.map_or((0, &[]), |part| (with_stack(part.total, &part.functions), &part.functions))
    };
    let parts = values.into_iter().map(|value| {
        let ((before, functions), (after, others)) = (of(earlier.get(value)), of(later.get(value)));
        (value, Pair { before, after }, join(functions, others))
    });
    let parts: Vec<_> = parts.filter(|(_, total, _)| *total != Pair::default()).collect();
    let tests = parts.iter().map(|(_, _, functions)| tests_of(functions)).sum();
    let values = Test { whole, evidence, tests: parts.len() };
    let parts = parts.into_iter().map(|(value, total, functions)| {
        let (before, after) = total.shares(whole);
        let evidence = evidence.map(|all| all.scaled(before, after));
        let test = Test { whole: total, evidence, tests };
        let functions = test.functions(functions);
        PartChange { value: value.clone(), total: values.change(total), functions }
    });
    let mut parts: Vec<_> = parts.collect();
    parts.sort_by_key(|part| std::cmp::Reverse(part.total.weight.after));
    parts
}

/// The part of a weight that has a stack.
fn with_stack(weight: i64, functions: &[FunctionWeight]) -> i64 {
    let lost = functions.iter().filter(|function| is_placeholder(function));
    lost.fold(weight, |left, function| left.saturating_sub(function.self_value))
}

/// Whether it stands for stacks that there are none of.
fn is_placeholder(function: &FunctionWeight) -> bool {
    let stands_for = |cause: LossCause| cause.placeholder() == Some(function.name.as_str());
    function.file.is_empty() && LossCause::ALL.into_iter().any(stands_for)
}

/// How many weights are tested: each function's own and its total.
fn tests_of(functions: &[Joined]) -> usize {
    functions.len().saturating_mul(2)
}

/// A function's own and total weights on both sides.
type Joined = (String, String, Pair, Pair);

/// The functions of both sides.
fn join(before: &[FunctionWeight], after: &[FunctionWeight]) -> Vec<Joined> {
    let mut joined: HashMap<(&str, &str), (Pair, Pair)> = HashMap::new();
    for function in before.iter().filter(|it| !is_placeholder(it)) {
        let (own, total) = joined.entry((&function.name, &function.file)).or_default();
        own.before = own.before.saturating_add(function.self_value);
        total.before = total.before.saturating_add(function.total);
    }
    for function in after.iter().filter(|it| !is_placeholder(it)) {
        let (own, total) = joined.entry((&function.name, &function.file)).or_default();
        own.after = own.after.saturating_add(function.self_value);
        total.after = total.after.saturating_add(function.total);
    }
    let joined = joined.into_iter();
    joined.map(|((name, file), (own, total))| (name.into(), file.into(), own, total)).collect()
}

/// What decides about weights that are parts of one whole.
#[derive(Clone, Copy)]
struct Test {
    whole: Pair,
    evidence: Option<Evidence>,
    tests: usize,
}

impl Test {
    fn change(self, weight: Pair) -> Change {
        let (before, after) = weight.shares(self.whole);
        let told = |evidence: Evidence| evidence.tells_apart(before, after, self.tests);
        let is_significant = self.evidence.is_some_and(told);
        Change { weight, share: after - before, is_significant }
    }

    /// Functions with their changes, largest first.
    fn functions(self, joined: Vec<Joined>) -> Vec<FunctionChange> {
        let functions = joined.into_iter().map(|(name, file, own, total)| FunctionChange {
            name,
            file,
            self_value: self.change(own),
            total: self.change(total),
        });
        let mut functions: Vec<_> = functions.collect();
        functions.sort_by(|a, b| {
            let size = |it: &FunctionChange| (it.self_value.share.abs(), it.total.share.abs());
            let ((a_self, a_total), (b_self, b_total)) = (size(a), size(b));
            let by_size = b_self.total_cmp(&a_self).then(b_total.total_cmp(&a_total));
            by_size.then_with(|| (&a.name, &a.file).cmp(&(&b.name, &b.file)))
        });
        functions
    }
}

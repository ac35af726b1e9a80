//! The report for a terminal, and what both texts share.

use std::fmt::Write;
use std::time::Duration;

use super::FunctionWeight;
use super::Peek;
use super::Report;
use super::quantity::amount;
use super::quantity::share;

/// Characters of a name that are shown.
const MAX_NAME: usize = 300;
/// Values of one label that are shown.
pub(in crate::profile) const MAX_VALUES: usize = 20;
/// What stands for the value of a label that a stack does not have.
pub(in crate::profile) const NO_LABEL: &str = "(without it)";

impl Report {
    /// The report as lines for a terminal, with the `top` heaviest functions of each list. Control
    /// characters in names, escape sequences with them, and characters that turn the writing
    /// direction are shown as `\u{1b}`.
    pub fn to_text(&self, top: usize) -> String {
        let mut out = String::new();
        for line in self.headlines() {
            line_to(&mut out, &line);
        }
        line_to(&mut out, "");
        self.table(&mut out, &self.functions, top);
        for peek in self.peek.iter().take(top) {
            self.peek_lines(&mut out, peek, top);
        }
        for part in self.by_label.iter().take(MAX_VALUES) {
            let value = part.value.as_deref().map_or(NO_LABEL.to_owned(), visible);
            let (weight, share) = (self.amount(part.total), share(part.total, self.total));
            line_to(&mut out, &format!("\n{value}: {weight} ({share})\n"));
            self.table(&mut out, &part.functions, top);
        }
        for (key, values) in self.varying_labels() {
            line_to(&mut out, &format!("\n{}", visible(key)));
            for (value, weight) in values {
                let (weight, share) = (self.amount(weight), share(weight, self.total));
                line_to(&mut out, &format!("{share:>7} {weight:>10}  {}", visible(value)));
            }
        }
        out
    }

    /// What was measured, where, and what is missing.
    pub(super) fn headlines(&self) -> Vec<String> {
        let samples = amount(self.samples, "count");
        let kind = visible(&self.column.kind);
        let mut first = format!("{kind}: {} in {samples} samples", self.amount(self.total));
        if !self.duration.is_zero() {
            let nanos = i64::try_from(self.duration.as_nanos()).unwrap_or(i64::MAX);
            let _ = write!(first, " over {}", amount(nanos, "nanoseconds"));
        }
        if !self.sources.is_empty() {
            let _ = write!(first, " ({})", visible(&self.sources.join(", ")));
        }
        let mut lines = vec![first];
        let constant = self.labels.iter().filter_map(|(key, values)| match values.iter().next() {
            Some((value, &weight)) if values.len() == 1 && weight == self.total => {
                Some(format!("{}={}", visible(key), visible(value)))
            }
            _ => None,
        });
        let constant: Vec<String> = constant.collect();
        if !constant.is_empty() {
            lines.push(constant.join(" "));
        }
        if !self.lost.is_empty() {
            let lost = self.lost.iter().map(|(cause, value)| self.loss(cause, *value));
            lines.push(format!("lost: {}", lost.collect::<Vec<_>>().join(", ")));
        }
        if let Some(cost) = self.cost {
            lines.push(format!("profiling itself: {}", self.cost(cost)));
        }
        lines
    }

    /// What profiling took, with its share where CPU time is reported.
    fn cost(&self, cost: Duration) -> String {
        let nanos = i64::try_from(cost.as_nanos()).unwrap_or(i64::MAX);
        let mut text = amount(nanos, "nanoseconds");
        if self.column.kind == "cpu" && self.column.unit == "nanoseconds" && self.total > 0 {
            let _ = write!(text, " ({})", share(nanos, self.total));
        }
        text
    }

    /// A loss, with its share where it is in the unit of the column.
    fn loss(&self, cause: &str, value: u64) -> String {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        let mut text = format!("{cause} {}", visible(&amount(value, &self.lost_unit)));
        if self.lost_unit == self.column.unit && self.total != 0 {
            let _ = write!(text, " ({})", share(value, self.total));
        }
        text
    }

    /// The labels that tell some samples from others, with their heaviest values.
    pub(super) fn varying_labels(&self) -> Vec<(&str, Vec<(&str, i64)>)> {
        let varying = self.labels.iter().filter(|(_, values)| {
            values.len() > 1 || values.values().any(|&weight| weight != self.total)
        });
        let sorted = varying.map(|(key, values)| {
            let mut values: Vec<_> = values.iter().map(|(v, &w)| (v.as_str(), w)).collect();
            values.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
            values.truncate(MAX_VALUES);
            (key.as_str(), values)
        });
        sorted.collect()
    }

    /// An amount in the unit of the column.
    pub(super) fn amount(&self, value: i64) -> String {
        visible(&amount(value, &self.column.unit))
    }

    fn table(&self, out: &mut String, functions: &[FunctionWeight], top: usize) {
        line_to(out, "  self%       self   total%      total  function");
        for function in functions.iter().take(top) {
            let (own, total) = (function.self_value, function.total);
            let (own_share, total_share) = (share(own, self.total), share(total, self.total));
            let (own, total, name) =
                (self.amount(own), self.amount(total), visible(&function.name));
            line_to(
                out,
                &format!("{own_share:>7} {own:>10}  {total_share:>7} {total:>10}  {name}"),
            );
        }
        if functions.len() > top {
            line_to(out, &format!("{:>39}… and {} more", "", functions.len() - top));
        }
    }

    fn peek_lines(&self, out: &mut String, peek: &Peek, top: usize) {
        let function = &peek.function;
        let (own, total) = (self.amount(function.self_value), self.amount(function.total));
        line_to(out, &format!("\n{}: self {own}, total {total}", visible(&function.name)));
        for (title, edges) in [("called by", &peek.callers), ("calls", &peek.callees)] {
            for (name, weight) in edges.iter().take(top) {
                let (share, weight) = (share(*weight, function.total), self.amount(*weight));
                let name = visible(name);
                line_to(out, &format!("  {title:<9} {share:>7} {weight:>10}  {name}"));
            }
        }
    }
}

fn line_to(out: &mut String, line: &str) {
    out.push_str(line);
    out.push('\n');
}

/// Text that cannot act on the terminal: control characters and those that turn the writing
/// direction are spelt out, and very long names end in `…`.
pub(in crate::profile) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(MAX_NAME));
    for (index, c) in text.chars().enumerate() {
        if index == MAX_NAME {
            out.push('…');
            break;
        }
        if c.is_control() || turns_direction(c) || matches!(c, '\u{2028}' | '\u{2029}') {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

fn turns_direction(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::{MAX_NAME, visible};

    #[test]
    fn escape_sequences_and_direction_marks_are_spelt_out() {
        assert_eq!(visible("\u{1b}[31mred\u{7}"), "\\u{1b}[31mred\\u{7}");
        assert_eq!(visible("a\nb\u{9b}2J"), "a\\u{a}b\\u{9b}2J");
        assert_eq!(visible("x\u{202e}y"), "x\\u{202e}y");
        assert_eq!(visible("Vec<T>::push — größe"), "Vec<T>::push — größe");
    }

    #[test]
    fn a_very_long_name_is_cut() {
        assert_eq!(visible(&"é".repeat(MAX_NAME)).chars().count(), MAX_NAME);
        assert!(visible(&"é".repeat(MAX_NAME + 1)).ends_with("é…"));
    }
}

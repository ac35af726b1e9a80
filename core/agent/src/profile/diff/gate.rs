//! Conditions under which a build fails.

use std::str::FromStr;

use regex_lite::Regex;

use super::Diff;
use super::FunctionChange;
use crate::Error;

/// A condition on a difference: what may not grow, and by how much.
///
/// | condition | holds if |
/// |---|---|
/// | `total>5%` | the whole weighs over 5 % more |
/// | `rate>5%` | the whole weighs over 5 % more for each second covered |
/// | `self>2%` | the own share of a function grew by over 2 points of the whole |
/// | `self(REGEX)>2%` | that of a function whose name matches did |
/// | `total(REGEX)>2%` | the share of a function that matches, with what it calls, did |
///
/// Growth that may be chance never counts. Shares are of what has a stack, and `[unsampled]` and its like
/// are no functions. With a label to compare by, conditions on functions hold for those of its values
/// too, as shares of what the value has.
#[derive(Clone, Debug)]
pub struct Gate {
    text: String,
    subject: Subject,
    /// 0.05 is 5 %.
    limit: f64,
}

/// A condition that holds, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The condition as it was written.
    pub condition: String,
    /// What grew: a function's name, or `total` or `rate`; with the label's value before it, if that is
    /// where.
    pub what: String,
    /// By how much, in thousandths of the whole (points) or of what it was before.
    pub per_mille: i64,
}

#[derive(Clone, Debug)]
enum Subject {
    Total,
    Rate,
    Own(Option<Regex>),
    OnStack(Regex),
}

impl FromStr for Gate {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |why: &str| Error::invalid(format!("{text}: {why}"));
        let (subject, limit) =
            text.rsplit_once('>').ok_or_else(|| wrong("allowed: SUBJECT>NUMBER%"))?;
        let limit = limit.trim().strip_suffix('%').and_then(|number| number.trim().parse().ok());
        let limit = limit.filter(|limit: &f64| limit.is_finite() && *limit >= 0.0);
        let limit =
            limit.ok_or_else(|| wrong("the limit is not a number of percent, such as 5%"))?;
        let (name, pattern) = match subject.trim().split_once('(') {
            Some((name, rest)) => {
                let pattern = rest.strip_suffix(')').ok_or_else(|| wrong("a ) is missing"))?;
                let pattern = Regex::new(pattern);
                (name, Some(pattern.map_err(|error| wrong(&error.to_string()))?))
            }
            None => (subject.trim(), None),
        };
        let subject = match (name.trim(), pattern) {
            ("total", None) => Subject::Total,
            ("rate", None) => Subject::Rate,
            ("self", pattern) => Subject::Own(pattern),
            ("total", Some(pattern)) => Subject::OnStack(pattern),
            _ => return Err(wrong("allowed: total, rate, self, self(REGEX), total(REGEX)")),
        };
        Ok(Self { text: text.trim().to_owned(), subject, limit: limit / 100.0 })
    }
}

impl Gate {
    /// Every reason for which the condition holds; none if it does not.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) if the profiles do not tell what it
    /// takes to judge: how many samples they have, or for `rate` the time that they cover.
    pub fn check(&self, diff: &Diff) -> Result<Vec<Violation>, Error> {
        let unknown =
            |what| Err(Error::invalid(format!("{}: the profiles do not tell {what}", self.text)));
        if diff.samples.is_none() {
            return unknown("how many samples they have");
        }
        Ok(match &self.subject {
            Subject::Total => self.whole(diff, "total", (1.0, 1.0)),
            Subject::Rate => {
                let seconds = (diff.durations.0.as_secs_f64(), diff.durations.1.as_secs_f64());
                if seconds.0 == 0.0 || seconds.1 == 0.0 {
                    return unknown("the time that they cover");
                }
                self.whole(diff, "rate", seconds)
            }
            Subject::Own(_) | Subject::OnStack(_) => self.functions(diff),
        })
    }

    /// Growth of the whole, each side divided by what it covers: seconds, or 1.
    fn whole(&self, diff: &Diff, name: &str, covered: (f64, f64)) -> Vec<Violation> {
        let (before, after) = (diff.total.before as f64, diff.total.after as f64);
        let growth = (after / covered.1) / (before / covered.0) - 1.0;
        let is_significant = diff.whole_is_significant(covered);
        // From nothing there is no growth to speak of.
        let holds = growth.is_finite() && growth > self.limit && is_significant;
        if holds { vec![self.violation(name.to_owned(), growth)] } else { Vec::new() }
    }

    fn functions(&self, diff: &Diff) -> Vec<Violation> {
        let parts = diff.by_label.iter().map(|part| {
            let value = part.value.as_deref().unwrap_or("(without it)");
            (format!("{value}: "), &part.functions)
        });
        let lists = std::iter::once((String::new(), &diff.functions)).chain(parts);
        let found = lists.flat_map(|(place, functions)| {
            let grown = functions.iter().filter_map(|function| self.growth(function));
            let named =
                grown.map(|(name, growth)| self.violation(format!("{place}{name}"), growth));
            named.collect::<Vec<_>>()
        });
        found.collect()
    }

    fn growth<'a>(&self, function: &'a FunctionChange) -> Option<(&'a str, f64)> {
        let (change, pattern) = match &self.subject {
            Subject::Own(pattern) => (&function.self_value, pattern.as_ref()),
            Subject::OnStack(pattern) => (&function.total, Some(pattern)),
            Subject::Total | Subject::Rate => return None,
        };
        let matches = pattern.is_none_or(|pattern| pattern.is_match(&function.name));
        let grew = change.is_significant && change.share > self.limit;
        (matches && grew).then_some((&function.name, change.share))
    }

    fn violation(&self, what: String, growth: f64) -> Violation {
        Violation {
            condition: self.text.clone(),
            what,
            per_mille: (growth * 1000.0).round() as i64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_says_nothing_is_refused_with_what_is_allowed() {
        for text in ["total>5%", " self > 2.5 %", "self(a(b|c)>)>1%", "total(^x$)>0%", "rate>10%"] {
            assert!(text.parse::<Gate>().is_ok(), "{text}");
        }
        for (text, part) in [
            ("", "SUBJECT>NUMBER%"),
            ("total", "SUBJECT>NUMBER%"),
            ("total>5", "5%"),
            ("total>-1%", "5%"),
            ("total>nan%", "5%"),
            ("cpu>5%", "allowed: total, rate"),
            ("rate(x)>5%", "allowed: total, rate"),
            ("self(x>5%", ") is missing"),
            ("self([)>5%", "self([)>5%"),
        ] {
            let error = text.parse::<Gate>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}

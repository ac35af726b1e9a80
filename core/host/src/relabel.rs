//! Labels from labels, by the rules of Prometheus.
//!
//! As in Prometheus 3: patterns match the whole text, and a dot matches a line feed too. What
//! differs is said where it is: label names are the old ones (`[a-zA-Z_][a-zA-Z0-9_]*`), which every
//! backend takes; patterns have no Unicode classes (`\p{L}` is refused), nor `(?i)` with letters beyond
//! ASCII; and everything is bounded.

use std::collections::BTreeMap;

use md5::{Digest, Md5};
use regex_lite::{Regex, RegexBuilder};

use crate::template::Template;
use crate::text::{MAX_VALUE, is_label_name};

/// Rules of one configuration.
pub const MAX_RULES: usize = 256;

/// Labels of one process, while rules are applied.
const MAX_LABELS: usize = 256;

/// Bytes of a label's name.
const MAX_NAME: usize = 128;

/// Bytes of a value while rules are applied: a command line has so many.
pub(crate) const MAX_WORKING_VALUE: usize = 4096;

/// Labels that leave the rules. Pyroscope takes 30, some of them its own.
const MAX_FINAL_LABELS: usize = 24;

/// The label that is kept whatever else is too much.
const SERVICE: &str = "service_name";

/// Labels of one process. A label without a value is one that is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    values: BTreeMap<String, String>,
    /// Labels that found no room, or whose value was cut.
    lost: u32,
}

impl Labels {
    /// The value, empty where there is none.
    pub fn get(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    /// Sets a label, or removes it where the value is empty. A value is cut at 4,096 bytes.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let (name, mut value) = (name.into(), value.into());
        if value.is_empty() {
            self.values.remove(&name);
            return;
        }
        let full = self.values.len() >= MAX_LABELS && !self.values.contains_key(&name);
        if full || name.len() > MAX_NAME {
            self.lost = self.lost.saturating_add(1);
            return;
        }
        if truncate(&mut value, MAX_WORKING_VALUE) {
            self.lost = self.lost.saturating_add(1);
        }
        self.values.insert(name, value);
    }

    /// Every label, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Labels that found no room, and values that were cut.
    pub fn lost(&self) -> u32 {
        self.lost
    }

    /// What profiles carry: without the names that begin with `__`, values of at most 1,024 bytes,
    /// at most 24 labels, of which `service_name` is the last to go.
    #[must_use]
    pub fn into_final(mut self) -> Self {
        self.values.retain(|name, _| !name.starts_with("__"));
        for value in self.values.values_mut() {
            if truncate(value, MAX_VALUE) {
                self.lost = self.lost.saturating_add(1);
            }
        }
        while self.values.len() > MAX_FINAL_LABELS {
            let last = self.values.keys().rfind(|name| *name != SERVICE).cloned();
            self.values.remove(&last.unwrap_or_default());
            self.lost = self.lost.saturating_add(1);
        }
        self
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut labels = Self::default();
        pairs.into_iter().for_each(|(name, value)| labels.set(name, value));
        labels
    }
}

fn truncate(text: &mut String, max: usize) -> bool {
    let long = text.len() > max;
    if long {
        let end = (0..=max).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
    long
}

/// A rule as it is written: what is missing has Prometheus' default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleText {
    /// `replace` where it is missing.
    pub action: Option<String>,
    /// Labels whose values are joined.
    pub source_labels: Option<Vec<String>>,
    /// What they are joined with: `;`.
    pub separator: Option<String>,
    /// What the joined values, or names of labels, must match from end to end: `(.*)`.
    pub regex: Option<String>,
    /// Of `hashmod`.
    pub modulus: Option<u64>,
    /// The label that is set.
    pub target_label: Option<String>,
    /// What it is set to: `$1`.
    pub replacement: Option<String>,
}

/// What a rule does, with what only it needs.
#[derive(Clone, Debug)]
enum Action {
    Replace { target: Template, replacement: Template },
    Keep,
    Drop,
    KeepEqual { target: String },
    DropEqual { target: String },
    HashMod { target: String, modulus: u64 },
    LabelMap { replacement: Template },
    LabelDrop,
    LabelKeep,
    Lowercase { target: String },
    Uppercase { target: String },
}

/// One rule, ready to be applied.
#[derive(Clone, Debug)]
struct Rule {
    source_labels: Vec<String>,
    separator: String,
    regex: Regex,
    action: Action,
}

/// Rules, applied one after another.
#[derive(Clone, Debug, Default)]
pub struct Rules(Vec<Rule>);

impl Rules {
    /// Checks and compiles rules.
    ///
    /// # Errors
    /// The place of the first wrong rule, from 0, and what is wrong with it, for people.
    pub fn compile(texts: &[RuleText]) -> Result<Self, (usize, String)> {
        if texts.len() > MAX_RULES {
            return Err((MAX_RULES, format!("allowed: at most {MAX_RULES} rules")));
        }
        let rules = texts.iter().enumerate();
        rules
            .map(|(at, text)| Rule::compile(text).map_err(|error| (at, error)))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Changes the labels; `false` when a rule drops their process.
    pub fn apply(&self, labels: &mut Labels) -> bool {
        self.0.iter().all(|rule| rule.apply(labels))
    }
}

impl Rule {
    fn compile(text: &RuleText) -> Result<Self, String> {
        let name = text.action.as_deref().unwrap_or("replace").to_ascii_lowercase();
        let target = || text.target_label.clone().unwrap_or_default();
        let plain_target = || match target() {
            target if target.is_empty() => Err(format!("{name} needs target_label")),
            target if is_label_name(&target) => Ok(target),
            target => Err(format!("target_label {target:?} is not a label name")),
        };
        let action = match name.as_str() {
            "replace" => {
                let target = match target() {
                    target if target.contains('$') => {
                        Template::of_name(&target).ok_or_else(|| {
                            format!("target_label {target:?} is not a label name with references")
                        })?
                    }
                    _ => Template::parse(&plain_target()?),
                };
                Action::Replace { target, replacement: text.replacement_template() }
            }
            "keep" => Action::Keep,
            "drop" => Action::Drop,
            "keepequal" => Action::KeepEqual { target: plain_target()? },
            "dropequal" => Action::DropEqual { target: plain_target()? },
            "hashmod" => match text.modulus {
                None | Some(0) => return Err("hashmod needs a modulus above 0".to_owned()),
                Some(modulus) => Action::HashMod { target: plain_target()?, modulus },
            },
            "labelmap" => {
                let written = text.replacement.as_deref().unwrap_or("$1");
                let replacement = Template::of_name(written).ok_or_else(|| {
                    format!("replacement {written:?} is not a label name with references")
                })?;
                Action::LabelMap { replacement }
            }
            "labeldrop" => Action::LabelDrop,
            "labelkeep" => Action::LabelKeep,
            "lowercase" => Action::Lowercase { target: plain_target()? },
            "uppercase" => Action::Uppercase { target: plain_target()? },
            _ => return Err(unknown_action(&name)),
        };
        text.refuse_what_is_not_used(&name)?;
        let regex = text.regex.as_deref().unwrap_or("(.*)");
        Ok(Self {
            source_labels: text.checked_sources()?,
            separator: text.separator.clone().unwrap_or_else(|| ";".to_owned()),
            regex: anchored(regex)?,
            action,
        })
    }

    fn apply(&self, labels: &mut Labels) -> bool {
        let values: Vec<&str> = self.source_labels.iter().map(|name| labels.get(name)).collect();
        let value = values.join(&self.separator);
        match &self.action {
            Action::Keep => return self.regex.is_match(&value),
            Action::Drop => return !self.regex.is_match(&value),
            Action::KeepEqual { target } => return labels.get(target) == value,
            Action::DropEqual { target } => return labels.get(target) != value,
            Action::Replace { target, replacement } => {
                if let Some(found) = self.regex.captures(&value) {
                    let name = target.expand(&found);
                    if is_label_name(&name) {
                        labels.set(name, replacement.expand(&found));
                    }
                }
            }
            Action::HashMod { target, modulus } => labels.set(target, hash(&value, *modulus)),
            Action::LabelMap { replacement } => self.map_names(labels, replacement),
            Action::LabelDrop => labels.values.retain(|name, _| !self.regex.is_match(name)),
            Action::LabelKeep => labels.values.retain(|name, _| self.regex.is_match(name)),
            Action::Lowercase { target } => labels.set(target, lowercase(&value)),
            Action::Uppercase { target } => labels.set(target, uppercase(&value)),
        }
        true
    }

    /// Every label is looked at once, as it was before; where two get one name, the last by its old
    /// name counts, which Prometheus leaves open. Prometheus would also set names that are
    /// none and refuse the whole target later: they are left out here.
    fn map_names(&self, labels: &mut Labels, replacement: &Template) {
        let mapped: Vec<(String, String)> = labels
            .iter()
            .filter_map(|(name, value)| {
                let found = self.regex.captures(name)?;
                Some((replacement.expand(&found), value.to_owned()))
            })
            .filter(|(name, _)| is_label_name(name))
            .collect();
        mapped.into_iter().for_each(|(name, value)| labels.set(name, value));
    }
}

impl RuleText {
    fn replacement_template(&self) -> Template {
        Template::parse(self.replacement.as_deref().unwrap_or("$1"))
    }

    fn checked_sources(&self) -> Result<Vec<String>, String> {
        let sources = self.source_labels.clone().unwrap_or_default();
        match sources.iter().find(|name| !is_label_name(name)) {
            Some(name) => Err(format!("source_labels: {name:?} is not a label name")),
            None => Ok(sources),
        }
    }

    /// Prometheus refuses fields that an action does not look at where they would mislead.
    fn refuse_what_is_not_used(&self, action: &str) -> Result<(), String> {
        let set = [
            ("source_labels", self.source_labels.is_some()),
            ("target_label", self.target_label.as_deref().is_some_and(|text| !text.is_empty())),
            ("regex", self.regex.as_deref().is_some_and(|text| text != "(.*)")),
            ("modulus", self.modulus.is_some_and(|modulus| modulus != 0)),
            ("separator", self.separator.as_deref().is_some_and(|text| text != ";")),
            ("replacement", self.replacement.as_deref().is_some_and(|text| text != "$1")),
        ];
        let refused: &[&str] = match action {
            "lowercase" | "uppercase" => &["replacement"],
            "keepequal" | "dropequal" => &["regex", "modulus", "separator", "replacement"],
            "labeldrop" | "labelkeep" => {
                &["source_labels", "target_label", "modulus", "separator", "replacement"]
            }
            _ => &[],
        };
        match set.iter().find(|(name, set)| *set && refused.contains(name)) {
            Some((name, _)) => Err(format!("{action} takes no {name}")),
            None => Ok(()),
        }
    }
}

const ACTIONS: [&str; 11] = [
    "replace",
    "keep",
    "drop",
    "keepequal",
    "dropequal",
    "hashmod",
    "labelmap",
    "labeldrop",
    "labelkeep",
    "lowercase",
    "uppercase",
];

fn unknown_action(name: &str) -> String {
    let shown: String = name.chars().take(100).collect();
    match sondage::config::nearest(name, ACTIONS.iter().copied()) {
        Some(known) => format!("action {shown:?} is unknown; did you mean {known}?"),
        None => format!("action {shown:?} is unknown; allowed: {}", ACTIONS.join(", ")),
    }
}

/// A pattern that must match from end to end.
pub(crate) fn anchored(pattern: &str) -> Result<Regex, String> {
    // Known to this engine for ASCII only: better refused than read in another way.
    if (!pattern.is_ascii() || pattern.contains("\\x")) && ignores_case(pattern) {
        return Err(format!("regex {pattern:?}: (?i) and letters beyond ASCII do not go together"));
    }
    // Alone first: `a)|(b` would be a pattern between our parentheses.
    Regex::new(pattern).map_err(|error| format!("regex {pattern:?}: {error}"))?;
    RegexBuilder::new(&format!("^(?s:{pattern})$"))
        .size_limit(1 << 20)
        .build()
        .map_err(|error| format!("regex {pattern:?}: {error}"))
}

/// Whether flags in it, such as `(?i)` or `(?s-i:`, name the case.
fn ignores_case(pattern: &str) -> bool {
    pattern.split("(?").skip(1).any(|rest| {
        rest.chars()
            .take_while(|char| char.is_ascii_alphabetic() || *char == '-')
            .any(|char| char == 'i')
    })
}

/// Letter by letter, as Go does it: a final sigma is no other one.
fn lowercase(text: &str) -> String {
    text.chars().filter_map(|char| char.to_lowercase().next()).collect()
}

/// Letter by letter, as Go does it: what would become two letters stays, as `ß`.
fn uppercase(text: &str) -> String {
    let one = |char: char| {
        let mut upper = char.to_uppercase();
        upper.next().filter(|_| upper.next().is_none()).unwrap_or(char)
    };
    text.chars().map(one).collect()
}

/// The last eight bytes of the text's MD5, as Prometheus takes them.
fn hash(text: &str, modulus: u64) -> String {
    let digest = Md5::digest(text.as_bytes());
    let last = digest.last_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    (last % modulus).to_string()
}

#[cfg(test)]
#[path = "relabel_tests.rs"]
mod tests;

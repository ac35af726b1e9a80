//! Callers and callees of chosen functions.

use std::collections::{HashMap, HashSet};

use regex_lite::Regex;

use super::Peek;
use super::tally::Tally;
use crate::Error;
use crate::ErrorKind;
use crate::profile::Profile;
use crate::profile::frame::FrameTable;

/// Weight of the calls from and to the functions that match an expression.
pub(super) struct Edges {
    chosen: HashSet<u32>,
    /// By caller and callee.
    weights: HashMap<(u32, u32), i64>,
}

impl Edges {
    pub(super) fn new(profile: &Profile, table: &FrameTable, pattern: &str) -> Result<Self, Error> {
        let pattern = Regex::new(pattern).map_err(|error| {
            let message = format!("`{pattern}` is not a regular expression: {error}");
            Error::new(ErrorKind::InvalidInput, message)
        })?;
        let numbered = (0u32..).zip(table.frames());
        let chosen = numbered.filter(|(_, frame)| pattern.is_match(frame.name(profile)));
        Ok(Self { chosen: chosen.map(|(number, _)| number).collect(), weights: HashMap::new() })
    }

    /// Counts the calls of one stack, each pair of functions once.
    pub(super) fn add(&mut self, root_first: &[u32], weight: i64) {
        let calls = root_first.windows(2).map(|pair| (pair[0], pair[1]));
        let chosen = &self.chosen;
        let calls = calls.filter(|(from, to)| chosen.contains(from) || chosen.contains(to));
        for call in calls.collect::<HashSet<_>>() {
            let total = self.weights.entry(call).or_default();
            *total = total.saturating_add(weight);
        }
    }

    pub(super) fn finish(self, profile: &Profile, table: &FrameTable, tally: &Tally) -> Vec<Peek> {
        let name = |n: u32| {
            let frame = table.frames().get(n as usize);
            frame.map_or("", |frame| frame.name(profile)).to_owned()
        };
        let mut callers: HashMap<u32, Vec<(String, i64)>> = HashMap::new();
        let mut callees: HashMap<u32, Vec<(String, i64)>> = HashMap::new();
        for (&(from, to), &weight) in &self.weights {
            if self.chosen.contains(&to) {
                callers.entry(to).or_default().push((name(from), weight));
            }
            if self.chosen.contains(&from) {
                callees.entry(from).or_default().push((name(to), weight));
            }
        }
        let peeks = self.chosen.iter().map(|number| Peek {
            function: tally.function(profile, table, *number),
            callers: heaviest_first(callers.remove(number)),
            callees: heaviest_first(callees.remove(number)),
        });
        let mut peeks: Vec<_> = peeks.collect();
        peeks.sort_by(|a, b| {
            let (a, b) = (&a.function, &b.function);
            b.total.cmp(&a.total).then_with(|| (&a.name, &a.file).cmp(&(&b.name, &b.file)))
        });
        peeks
    }
}

fn heaviest_first(edges: Option<Vec<(String, i64)>>) -> Vec<(String, i64)> {
    let mut edges = edges.unwrap_or_default();
    edges.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    edges
}

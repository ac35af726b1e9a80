//! Weight by function.

use std::collections::HashMap;

use super::FunctionWeight;
use crate::profile::Profile;
use crate::profile::frame::FrameTable;

/// One stack to count.
pub(super) struct Visit {
    leaf: Option<u32>,
    /// Its frames, each once.
    distinct: Vec<u32>,
    weight: i64,
}

impl Visit {
    pub(super) fn new(root_first: &[u32], weight: i64) -> Self {
        let mut distinct = root_first.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        Self { leaf: root_first.last().copied(), distinct, weight }
    }
}

/// Self and total weight of each function on some stacks.
#[derive(Default)]
pub(super) struct Tally {
    total: i64,
    functions: HashMap<u32, (i64, i64)>,
}

impl Tally {
    pub(super) fn add(&mut self, visit: &Visit) {
        self.total = self.total.saturating_add(visit.weight);
        for &function in &visit.distinct {
            let (own, total) = self.functions.entry(function).or_default();
            *total = total.saturating_add(visit.weight);
            if visit.leaf == Some(function) {
                *own = own.saturating_add(visit.weight);
            }
        }
    }

    /// Weight of all stacks.
    pub(super) fn total(&self) -> i64 {
        self.total
    }

    pub(super) fn function(&self, profile: &Profile, table: &FrameTable, n: u32) -> FunctionWeight {
        let (self_value, total) = self.functions.get(&n).copied().unwrap_or_default();
        let frame = table.frames().get(n as usize);
        let name = frame.map_or("", |frame| frame.name(profile)).to_owned();
        let file = frame.map_or("", |frame| profile.text(frame.file)).to_owned();
        FunctionWeight { name, file, self_value, total }
    }

    /// Every function, heaviest self first, then heaviest total, then first seen.
    pub(super) fn functions(&self, profile: &Profile, table: &FrameTable) -> Vec<FunctionWeight> {
        let mut order: Vec<_> = self.functions.iter().collect();
        order.sort_by_key(|&(&n, &(own, total))| (-i128::from(own), -i128::from(total), n));
        order.into_iter().map(|(&n, _)| self.function(profile, table, n)).collect()
    }
}

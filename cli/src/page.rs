//! The page of several profiles, with a side to compare them with.

use sondage::profile::{Profile, html};

use crate::error::Error;
use crate::inputs::{Input, Inputs, Keeper};

/// Profiles of one side that the page tells apart in time. Of more, neighbours are added up: a week
/// of an agent's files is then shown by the hour, and memory is not held for each of them.
const MAX_PARTS: usize = 240;

/// The page of one side, compared with another if there is one.
pub(crate) fn of(shown: &Side, base: Option<&Side>) -> String {
    let shown: Vec<_> = shown.parts.iter().collect();
    let base: Vec<_> = base.iter().flat_map(|base| &base.parts).collect();
    html::encode_all(&shown, &base)
}

/// The profiles of one side.
#[derive(Debug, Default)]
pub(crate) struct Side {
    parts: Vec<Profile>,
    /// Profiles in the last part.
    in_last: usize,
    /// Profiles that go into one part.
    in_each: usize,
}

impl Side {
    /// Reads everything.
    pub(crate) fn read(inputs: &Inputs) -> Result<Self, Error> {
        let mut side = Self { in_each: 1, ..Self::default() };
        inputs.each(&mut side)?;
        Ok(side)
    }

    fn add(&mut self, profile: Profile) {
        match self.parts.last_mut() {
            Some(last) if self.in_last < self.in_each => {
                last.merge(&profile);
                self.in_last += 1;
            }
            _ => {
                if self.parts.len() == MAX_PARTS {
                    self.halve();
                }
                self.parts.push(profile);
                self.in_last = 1;
            }
        }
    }

    /// Adds neighbours up.
    fn halve(&mut self) {
        let mut halved: Vec<Profile> = Vec::with_capacity(MAX_PARTS);
        for (index, part) in std::mem::take(&mut self.parts).into_iter().enumerate() {
            match halved.last_mut() {
                Some(last) if index % 2 == 1 => last.merge(&part),
                _ => halved.push(part),
            }
        }
        self.parts = halved;
        self.in_each *= 2;
    }

    /// The sum of all parts.
    pub(crate) fn into_sum(self) -> Option<Profile> {
        self.parts.into_iter().reduce(|mut sum, part| {
            sum.merge(&part);
            sum
        })
    }
}

impl Keeper for Side {
    fn take(&mut self, input: Input) {
        self.add(input.profile);
    }

    fn held(&self) -> impl Iterator<Item = &Profile> {
        self.parts.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sondage::profile::{LabelSetId, ValueType};

    fn profile(start: u64) -> Profile {
        let mut profile = Profile::new(vec![ValueType::new("samples", "count")]);
        profile.meta.start_unix_nanos = Some(start);
        let location = profile.named_location("work");
        let stack = profile.stack(&[location]);
        profile.add(stack, LabelSetId::default(), &[1]);
        profile
    }

    #[test]
    fn a_long_history_has_few_parts_of_equal_length_and_loses_nothing() {
        let mut side = Side { in_each: 1, ..Side::default() };
        (0..1000).for_each(|start| side.add(profile(start)));
        assert!((MAX_PARTS / 2..=MAX_PARTS).contains(&side.parts.len()), "{}", side.parts.len());
        let counts: Vec<i64> = side.parts.iter().map(|part| part.total(0)).collect();
        assert_eq!(counts.iter().sum::<i64>(), 1000);
        let (last, others) = counts.split_last().unwrap();
        assert!(others.iter().all(|count| *count == others[0]) && *last <= others[0], "{counts:?}");
    }
}

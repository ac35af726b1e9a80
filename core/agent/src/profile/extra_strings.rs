//! A string table for an encoding: the profile's own strings with the same positions, then those
//! that only the encoding needs.

use std::collections::HashMap;

use super::Profile;

/// See the module's description.
pub(crate) struct ExtraStrings {
    first: usize,
    extra: Vec<String>,
    positions: HashMap<String, usize>,
}

impl ExtraStrings {
    pub(crate) fn new(profile: &Profile) -> Self {
        let first = profile.strings().len();
        Self { first, extra: Vec::new(), positions: HashMap::new() }
    }

    /// The position of a string, which is added if it is new; 0 for the empty one.
    pub(crate) fn position(&mut self, text: &str) -> usize {
        if text.is_empty() {
            return 0;
        }
        if let Some(&position) = self.positions.get(text) {
            return position;
        }
        let position = self.first + self.extra.len();
        self.extra.push(text.to_owned());
        self.positions.insert(text.to_owned(), position);
        position
    }

    /// What comes behind the profile's own strings.
    pub(crate) fn extra(&self) -> &[String] {
        &self.extra
    }
}

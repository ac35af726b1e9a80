//! Profiles that wait for one sink: bounded in number and bytes, the oldest go first.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::profile::Profile;

#[derive(Debug)]
pub(super) struct Inbox {
    waiting: VecDeque<(Arc<Profile>, usize)>,
    bytes: usize,
    max_count: usize,
    max_bytes: usize,
}

impl Inbox {
    pub(super) fn new(max_count: usize, max_bytes: usize) -> Self {
        Self { waiting: VecDeque::new(), bytes: 0, max_count: max_count.max(1), max_bytes }
    }

    /// Adds a profile and returns how many older ones had to go for it. The newest one always
    /// stays, also when it alone is above the limit: it is in memory anyway, and without that
    /// rule a service with large profiles would never deliver one.
    pub(super) fn push(&mut self, profile: Arc<Profile>) -> u64 {
        let size = size(&profile);
        let mut dropped = 0;
        while !self.waiting.is_empty()
            && (self.waiting.len() >= self.max_count
                || self.bytes.saturating_add(size) > self.max_bytes)
        {
            self.pop();
            dropped += 1;
        }
        self.waiting.push_back((profile, size));
        self.bytes = self.bytes.saturating_add(size);
        dropped
    }

    /// Takes the oldest profile.
    pub(super) fn pop(&mut self) -> Option<Arc<Profile>> {
        let (profile, size) = self.waiting.pop_front()?;
        self.bytes -= size;
        Some(profile)
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// About how many bytes a profile holds: its tables, with the hash tables that index them. A
/// stack that stands under two label sets counts twice.
fn size(profile: &Profile) -> usize {
    let text: usize = profile.strings().iter().map(|text| text.len() + 48).sum();
    let locations: usize = profile.locations().iter().map(|it| 64 + 8 * it.lines.len()).sum();
    let samples = profile.samples().iter();
    let columns = profile.sample_types().len();
    let samples: usize =
        samples.map(|it| 112 + 8 * columns + 4 * profile.frames(it.stack).len()).sum();
    let fixed = 64 * profile.mappings().len() + 32 * profile.functions().len();
    text + locations + samples + fixed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::ValueType;

    fn profile(label: &str) -> Arc<Profile> {
        let mut profile = Profile::new(vec![ValueType::new("cpu", "nanoseconds")]);
        profile.meta.comments.push(label.to_owned());
        let location = profile.named_location("work");
        let stack = profile.stack(&[location]);
        profile.add(stack, crate::profile::LabelSetId::default(), &[1]);
        Arc::new(profile)
    }

    fn names(inbox: &mut Inbox) -> String {
        std::iter::from_fn(|| inbox.pop()).map(|it| it.meta.comments[0].clone()).collect()
    }

    #[test]
    fn the_oldest_go_when_the_number_is_reached() {
        let mut inbox = Inbox::new(2, usize::MAX);
        let dropped: u64 = ["a", "b", "c", "d"].map(|name| inbox.push(profile(name))).iter().sum();
        assert_eq!(dropped, 2);
        assert_eq!(names(&mut inbox), "cd");
        assert_eq!(inbox.bytes, 0);
    }

    #[test]
    fn the_oldest_go_when_the_bytes_are_reached_but_the_newest_stays() {
        let one = size(&profile("a"));
        let mut inbox = Inbox::new(8, 2 * one);
        let dropped: u64 = ["a", "b", "c"].map(|name| inbox.push(profile(name))).iter().sum();
        assert_eq!(dropped, 1);
        assert_eq!(names(&mut inbox), "bc");
        let mut tiny = Inbox::new(8, 1);
        assert_eq!(tiny.push(profile("a")) + tiny.push(profile("b")), 1);
        assert_eq!(names(&mut tiny), "b");
    }
}

//! Which parts of a numbered space are free.

use std::collections::BTreeMap;

/// The free ranges of a space, each as its start and its length. No two of them touch.
#[derive(Clone, Debug)]
pub(crate) struct Ranges {
    free: BTreeMap<u32, u32>,
    left: u32,
}

impl Ranges {
    /// A space of this size, all of it free.
    pub(crate) fn new(size: u32) -> Self {
        Self { free: BTreeMap::from([(0, size)]), left: size }
    }

    /// How much is free, in pieces of whatever size.
    pub(crate) fn left(&self) -> u32 {
        self.left
    }

    /// Takes the first free range that is long enough, and tells where it starts. Nothing takes no
    /// room.
    pub(crate) fn take(&mut self, length: u32) -> Option<u32> {
        if length == 0 {
            return Some(0);
        }
        let (&start, &room) = self.free.iter().find(|(_, room)| **room >= length)?;
        self.free.remove(&start);
        if room > length {
            self.free.insert(start + length, room - length);
        }
        self.left -= length;
        Some(start)
    }

    /// Gives back what was taken.
    pub(crate) fn give_back(&mut self, mut start: u32, mut length: u32) {
        if length == 0 {
            return;
        }
        self.left += length;
        if let Some((&before, &room)) = self.free.range(..start).next_back()
            && before + room == start
        {
            self.free.remove(&before);
            (start, length) = (before, room + length);
        }
        if let Some(room) = self.free.remove(&(start + length)) {
            length += room;
        }
        self.free.insert(start, length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_joins_its_neighbours() {
        let mut ranges = Ranges::new(100);
        let starts: Vec<_> = (0..10).map(|_| ranges.take(10).unwrap()).collect();
        assert_eq!(starts, [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]);
        assert_eq!((ranges.take(1), ranges.take(0)), (None, Some(0)));
        for start in [10, 30, 20] {
            ranges.give_back(start, 10);
        }
        assert_eq!((ranges.left(), ranges.free.len()), (30, 1));
        assert_eq!(ranges.take(25), Some(10));
        assert_eq!(ranges.take(6), None);
        ranges.give_back(10, 25);
        starts.iter().filter(|start| !(10..40).contains(*start)).for_each(|start| {
            ranges.give_back(*start, 10);
        });
        assert_eq!((ranges.left(), ranges.free.into_iter().collect()), (100, vec![(0, 100)]));
    }
}

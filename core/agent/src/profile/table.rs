//! The interning table behind every id.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash, RandomState};

use hashbrown::HashTable;

/// An item's share of the index, which is between half and fully used, and of what an allocation costs.
const INDEX_BYTES: usize = 24;

/// Equal values get equal ids; ids are dense and in order of first sight. Each value is stored
/// once. The hash is seeded at random, so that a hostile file cannot make lookups slow.
#[derive(Clone, Debug)]
pub(super) struct Table<T> {
    items: Vec<T>,
    ids: HashTable<u32>,
    hasher: RandomState,
}

impl<T: Eq + Hash> Table<T> {
    pub(super) fn new() -> Self {
        Self { items: Vec::new(), ids: HashTable::new(), hasher: RandomState::new() }
    }

    /// The position of an item equal to `item`, if there is one.
    pub(super) fn find<Q>(&self, item: &Q) -> Option<usize>
    where
        T: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let hash = self.hasher.hash_one(item);
        let same = |&id: &u32| self.items[id as usize].borrow() == item;
        self.ids.find(hash, same).map(|&id| id as usize)
    }

    /// The position of `item`, which is stored if it is new.
    pub(super) fn intern(&mut self, item: T) -> usize {
        if let Some(index) = self.find(&item) {
            return index;
        }
        let index = self.items.len();
        let hash = self.hasher.hash_one(&item);
        self.items.push(item);
        let (items, hasher) = (&self.items, &self.hasher);
        let rehash = |&id: &u32| hasher.hash_one(&items[id as usize]);
        self.ids.insert_unique(hash, u32::try_from(index).unwrap_or(u32::MAX), rehash);
        index
    }

    /// About the bytes that it holds; `of` says what an item has outside the table.
    pub(super) fn heap_bytes(&self, of: impl Fn(&T) -> usize) -> usize {
        self.items.iter().map(|item| size_of::<T>() + INDEX_BYTES + of(item)).sum()
    }

    /// Every item, in id order.
    pub(super) fn items(&self) -> &[T] {
        &self.items
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn equal_items_share_one_position_through_every_growth() {
        let mut table = Table::new();
        let first: Vec<usize> = (0..5_000).map(|n| table.intern(format!("s{n}"))).collect();
        let again: Vec<usize> = (0..5_000).map(|n| table.intern(format!("s{n}"))).collect();
        assert_eq!(first, again);
        assert_eq!(table.items().len(), 5_000);
        assert_eq!(table.find("s4999"), Some(4_999));
        assert_eq!(table.find("s5000"), None);
    }
}

//! Memory in use as a runtime itself tells it: one snapshot for each part of the process.

use super::foreign::ForeignFrame;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Parts of a process whose memory is kept: each has a thread, and so megabytes.
const MAX_PARTS: usize = 1_024;

/// What a part of the process, such as an isolate of V8, has in use.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ForeignHeap {
    /// How it was sampled; the profile names it as its source: `v8-heap`.
    pub source: &'static str,
    /// Which part, among those of this source.
    pub part: u64,
    /// The name of the thread that the part belongs to, or the empty string.
    pub thread: Arc<str>,
    /// Bytes between two samples, on average.
    pub rate: u64,
    /// The stacks that allocated what is in use.
    pub stacks: Vec<ForeignHeapStack>,
}

/// A stack of a [`ForeignHeap`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ForeignHeapStack {
    /// The frames, leaf first.
    pub frames: Vec<ForeignFrame>,
    /// What is in use of what it has allocated, scaled up from the samples.
    pub bytes: u64,
}

/// Snapshots by source and part.
type Parts = BTreeMap<(&'static str, u64), Arc<ForeignHeap>>;

/// The last snapshot of every part; what is cloned is the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct ForeignHeaps {
    parts: Arc<Mutex<Parts>>,
}

impl ForeignHeaps {
    /// Puts a snapshot in the place of the one before. Whether there was room.
    pub(crate) fn replace(&self, heap: ForeignHeap) -> bool {
        let key = (heap.source, heap.part);
        let mut parts = self.lock();
        // Freed when the lock is not held any more: the agent thread may wait for it.
        let has_room = parts.len() < MAX_PARTS || parts.contains_key(&key);
        let _before = has_room.then(|| parts.insert(key, Arc::new(heap)));
        drop(parts);
        has_room
    }

    /// Forgets the snapshot of a part that is gone.
    pub(crate) fn remove(&self, source: &'static str, part: u64) {
        let _before = self.lock().remove(&(source, part));
    }

    /// The snapshots, by source.
    pub(crate) fn current(&self) -> Vec<Arc<ForeignHeap>> {
        self.lock().values().cloned().collect()
    }

    /// Forgets them.
    pub(crate) fn discard(&self) {
        drop(std::mem::take(&mut *self.lock()));
    }

    fn lock(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heap(part: u64, bytes: &[u64]) -> ForeignHeap {
        let stack = |bytes: &u64| ForeignHeapStack { frames: Vec::new(), bytes: *bytes };
        let stacks = bytes.iter().map(stack).collect();
        ForeignHeap { source: "test", part, stacks, ..ForeignHeap::default() }
    }

    #[test]
    fn a_snapshot_takes_the_place_of_the_one_before_until_its_part_is_gone() {
        let heaps = ForeignHeaps::default();
        assert!(heaps.replace(heap(1, &[10, 20])));
        assert!(heaps.replace(heap(2, &[30])));
        assert!(heaps.replace(heap(1, &[40])));
        let bytes = |heaps: &ForeignHeaps| -> Vec<_> {
            heaps.current().iter().flat_map(|heap| heap.stacks.iter().map(|it| it.bytes)).collect()
        };
        assert_eq!(bytes(&heaps), [40, 30]);
        heaps.remove("test", 1);
        assert_eq!(bytes(&heaps), [30]);
        assert!(heaps.replace(heap(2, &[])));
        assert_eq!((bytes(&heaps).len(), heaps.current().len()), (0, 1), "nothing in use is known");
        heaps.discard();
        assert!(heaps.current().is_empty());
    }

    #[test]
    fn parts_without_end_are_refused_while_known_ones_go_on() {
        let heaps = ForeignHeaps::default();
        assert!((0..MAX_PARTS as u64).all(|part| heaps.replace(heap(part, &[1]))));
        assert!(!heaps.replace(heap(u64::MAX, &[1])));
        assert!(heaps.replace(heap(7, &[2])));
        heaps.remove("test", 7);
        assert!(heaps.replace(heap(u64::MAX, &[1])));
    }
}

//! Who may be inside: the count of handlers (and other short visitors) that may hold a pointer
//! into the sampler's memory.
//!
//! A visitor enters *before* it loads the pointer; the owner replaces the pointer and then frees
//! what was behind it only after it has seen the count at zero. All of them use read-modify-write
//! operations on one counter, so they have one order: either the visitor entered before the owner
//! looked, and the owner sees it and looks again later, or it entered after, and by acquiring what
//! the owner released it loads the new pointer. Nobody ever blocks.

use crate::atomic::{AtomicU64, Ordering};

/// Counts visitors.
#[derive(Debug)]
pub(crate) struct Gate {
    /// How many are inside.
    pub(crate) inside: AtomicU64,
}

impl Gate {
    /// Enters; must be paired with [`Gate::exit`] on the same thread.
    #[inline(always)]
    pub(crate) fn enter(&self) {
        self.inside.fetch_add(1, Ordering::AcqRel);
    }

    /// Leaves.
    #[inline(always)]
    pub(crate) fn exit(&self) {
        self.inside.fetch_sub(1, Ordering::AcqRel);
    }

    /// Whether nobody is inside at this moment. After a pointer was replaced, one `true` means
    /// that no visitor holds the old one.
    pub(crate) fn is_empty(&self) -> bool {
        self.inside.fetch_add(0, Ordering::AcqRel) == 0
    }

    /// Forgets the visitors: only for a forked child, in which their threads do not exist.
    pub(crate) fn reset(&self) {
        self.inside.store(0, Ordering::Release);
    }
}

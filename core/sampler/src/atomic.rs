//! The atomics of the two algorithms that `core/sampler/loom` checks with loom's in their place.

pub(crate) use core::sync::atomic::{AtomicU64, Ordering};

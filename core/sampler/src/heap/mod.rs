//! Sampled allocations: which stacks allocate, and which memory is still in use.
//!
//! A runtime's allocator calls [`allocated`], [`freed`] and [`resizing`] for every block, from
//! ordinary code on any thread. Nearly always that is a subtraction or one load of a byte. A block
//! that is sampled, one in 512 KiB by default, costs a walk of the stack under a lock that nobody
//! waits for. Nothing here allocates, neither by the runtime nor by libc.
//!
//! [`Heap`] is the agent's side.

mod batch;
mod batches;
mod countdown;
mod exponential;
mod filter;
mod live;
mod lock;
mod memory;
mod owner;
mod sampling;
#[cfg(test)]
pub(crate) mod tests;

pub use batch::Allocations;
pub use owner::Heap;
pub use owner::HeapCounters;
pub use owner::InUse;
pub use owner::Named;
pub use owner::StartError;
pub use sampling::Resized;
pub use sampling::allocated;
pub use sampling::freed;
pub use sampling::is_due;
pub use sampling::may_be_sampled;
pub use sampling::resizing;
pub use sampling::sample;

pub(crate) use batch::NO_ROOM;
pub(crate) use batches::Batches;
pub(crate) use batches::Mapped;
pub(crate) use exponential::distance;
pub(crate) use exponential::next_random;
pub(crate) use exponential::weigh;
pub(crate) use lock::Held;
pub(crate) use lock::Lock;
pub(crate) use lock::Refusal;
pub(crate) use owner::after_fork_in_child;

/// Parts of one in which [`Allocations`] and [`InUse`] count objects and bytes.
pub const PARTS: u64 = exponential::PARTS;

/// A value that is all zero, for types that are valid so.
#[cfg(test)]
fn zeroed<T>() -> Box<T> {
    let layout = std::alloc::Layout::new::<T>();
    // SAFETY: the layout is not of size 0.
    let new: *mut T = unsafe { std::alloc::alloc_zeroed(layout) }.cast();
    // SAFETY: just allocated with the layout of a T, which is valid when all zero.
    unsafe { Box::from_raw(new) }
}

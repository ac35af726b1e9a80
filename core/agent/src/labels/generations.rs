//! The lock around the table of label sets, and a new one in each forked process.
//!
//! A fork copies a lock as it is. If another thread held it at that moment, it is held for good in
//! the child, where that thread does not exist. So a child uses the next of several locks, whose
//! table it copies from the one before: that is possible unless a thread was just adding a set.
//! Then the sets of the parent are unknown in the child, and their numbers stay taken.

use super::set::Interned;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};

/// Children of children that have a lock of their own; later ones share the last.
const GENERATIONS: usize = 16;

type Table = RwLock<Option<Interned>>;

static TABLES: [Table; GENERATIONS] = [const { RwLock::new(None) }; GENERATIONS];

/// How many forks lie between the first process and this one.
static GENERATION: AtomicUsize = AtomicUsize::new(0);

/// How many sets there are, to be known without the lock.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// How often a lock is tried. It is held for microseconds, and the host must not wait for it.
const ATTEMPTS: u32 = 2_000;

/// To be called in a forked child; async-signal-safe.
pub(super) fn process_forked() {
    let next = GENERATION.load(Ordering::Relaxed) + 1;
    GENERATION.store(next.min(GENERATIONS - 1), Ordering::Release);
}

/// What `look` sees in the table; `None` if it could not be had in time.
pub(super) fn read<T>(look: impl FnOnce(&Interned) -> T) -> Option<T> {
    let table = &TABLES[GENERATION.load(Ordering::Acquire)];
    let known: RwLockReadGuard<'_, Option<Interned>> = patiently(|| table.try_read())?;
    if let Some(interned) = known.as_ref() {
        return Some(look(interned));
    }
    drop(known);
    write(|interned| look(interned))
}

/// What `change` makes of the table; `None` if it could not be had in time.
pub(super) fn write<T>(change: impl FnOnce(&mut Interned) -> T) -> Option<T> {
    let generation = GENERATION.load(Ordering::Acquire);
    let table = &TABLES[generation];
    let mut known: RwLockWriteGuard<'_, Option<Interned>> = patiently(|| table.try_write())?;
    let interned = known.get_or_insert_with(|| inherited(generation));
    let result = change(interned);
    COUNT.store(interned.count(), Ordering::Relaxed);
    Some(result)
}

/// The table with which a process begins.
fn inherited(generation: usize) -> Interned {
    let before = generation.checked_sub(1).and_then(|before| TABLES.get(before));
    let Some(before) = before else { return Interned::first() };
    let known = patiently(|| before.try_read());
    let known = known.and_then(|known| known.as_ref().cloned());
    known.unwrap_or_else(|| Interned::with_unknown(COUNT.load(Ordering::Relaxed)))
}

fn patiently<G>(attempt: impl Fn() -> Result<G, TryLockError<G>>) -> Option<G> {
    for _ in 0..ATTEMPTS {
        match attempt() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => std::thread::yield_now(),
        }
    }
    None
}

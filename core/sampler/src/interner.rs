//! Numbers for things that samples name, given in the handler on first sight.
//!
//! A thing is known by a key; with its number goes a copy of what naming it needs, as the thing
//! itself may be gone when the agent looks. There are two tables, of which one is current. When
//! that fills up, the agent makes the other one current, empty; the numbers of the one before stay
//! valid until the next such turn, so that samples on their way can still be read.
//!
//! Entries stand one after the other, and are filled in before one compare-and-swap makes them
//! known at a place that follows from the key. Where two threads meet a thing at once, one of them
//! finds the other's and leaves its own entry unused: nobody waits. A place is four bytes, so that
//! few pages become resident however the keys are spread.

use crate::memory::MemoryReader;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Places of one table, a power of two.
const PLACES: usize = 1 << 16;

/// Entries of one table; with more, searches would become long.
const ENTRIES: usize = PLACES / 2;

/// Bytes of address space for the copies of one table. What is resident is what is used.
const ROOM: u64 = 16 << 20;

/// Places that one search looks at.
const MAX_STEPS: usize = 64;

/// Bits of a number that are the entry; those above are the table's generation.
const ENTRY_BITS: u32 = 16;

/// Generations are told apart by this many bits of a number, which together stay below
/// [`PythonFrame::MAX_CODES`](crate::walk::python::PythonFrame::MAX_CODES).
const GENERATION_BITS: u32 = 11;

/// A step of a fingerprint: one of SplitMix64, which is one to one: a change of one word is a change of the result.
#[inline(always)]
pub(crate) fn mix(word: u64) -> u64 {
    let x = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

/// What a thing is recognised by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// Where it is.
    pub(crate) address: u64,
    /// What it consists of, in short: tells it from what was there before.
    pub(crate) fingerprint: u64,
}

impl Key {
    #[inline(always)]
    fn first_place(self) -> usize {
        (self.fingerprint ^ self.address >> 4) as usize
    }

    /// Bits in the high half that tell most keys of one place apart.
    #[inline(always)]
    fn tag(self) -> u32 {
        (self.fingerprint >> 32) as u32 & 0xffff_0000
    }
}

/// All zero is an unused entry.
#[derive(Debug)]
#[repr(C)]
struct Entry {
    address: AtomicU64,
    fingerprint: AtomicU64,
    /// Where in the room the copy begins, and one more.
    copy: AtomicU64,
    /// Bytes of the copy.
    bytes: AtomicU64,
}

/// What a place that nothing has been put into is.
const FREE: u32 = 0;

/// One table. All zero is an empty one.
#[derive(Debug)]
#[repr(C, align(4096))]
pub(crate) struct Interned {
    /// Entries taken, some of them by threads that came too late.
    things: AtomicU64,
    used: AtomicU64,
    entries: [Entry; ENTRIES],
    /// Low half: an entry's index and one more; high half: [`Key::tag`] of its key.
    places: [AtomicU32; PLACES],
    room: [AtomicU64; ROOM as usize / 8],
}

/// The two tables, in memory of the pool.
#[derive(Debug)]
pub(crate) struct Interner {
    tables: *const Interned,
    /// How often a table became current; its parity says which one is.
    generation: AtomicU32,
    /// See [`Interner::serial`].
    serial: AtomicU32,
}

/// The last serial number of a current table, in this process.
static LAST_SERIAL: AtomicU32 = AtomicU32::new(0);

fn next_serial() -> u32 {
    LAST_SERIAL.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
}

/// Room for one copy, written from its start.
#[derive(Debug)]
pub(crate) struct Room<'a> {
    next: *mut u8,
    left: usize,
    table: PhantomData<&'a Interned>,
}

/// How full the current table is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filling {
    pub(crate) things: u64,
    pub(crate) bytes: u64,
}

impl Room<'_> {
    /// Appends `bytes` bytes from `start` on; `false` if they cannot be read.
    pub(crate) fn copy<M: MemoryReader>(
        &mut self,
        memory: &mut M,
        start: u64,
        bytes: usize,
    ) -> bool {
        let mut copied = 0usize;
        while copied < bytes {
            let at = start.wrapping_add(copied as u64);
            let Some(word) = memory.bytes_from(at) else { return false };
            let in_word = 8usize.wrapping_sub((at & 7) as usize);
            let count = in_word.min(bytes.wrapping_sub(copied));
            self.put(word.to_le(), count);
            copied = copied.wrapping_add(count);
        }
        true
    }

    /// Appends the first `bytes` bytes, at most 8, of a word as it lies in memory; what finds no
    /// room is left out.
    #[inline(always)]
    pub(crate) fn put(&mut self, word: u64, bytes: usize) {
        let bytes = bytes.min(self.left);
        if bytes == 8 {
            // SAFETY: 8 bytes are left of the room, which nobody else knows yet.
            unsafe { self.next.cast::<u64>().write_unaligned(word) };
        } else {
            for (index, byte) in word.to_ne_bytes().into_iter().enumerate().take(bytes) {
                // SAFETY: as above; `index` is below the number of bytes left.
                unsafe { self.next.wrapping_add(index).write(byte) };
            }
        }
        self.next = self.next.wrapping_add(bytes);
        self.left = self.left.wrapping_sub(bytes);
    }
}

impl Interned {
    /// The index of a thing's entry, or the first free place for it.
    #[inline(always)]
    fn find(&self, key: Key) -> Result<u32, Option<&AtomicU32>> {
        for step in 0..MAX_STEPS {
            let index = key.first_place().wrapping_add(step) & PLACES.wrapping_sub(1);
            let Some(place) = self.places.get(index) else { break };
            let word = place.load(Ordering::Acquire);
            if word == FREE {
                return Err(Some(place));
            }
            if word & 0xffff_0000 != key.tag() {
                continue;
            }
            let index = (word & 0xffff).wrapping_sub(1);
            let Some(entry) = self.entries.get(index as usize) else { break };
            if entry.address.load(Ordering::Relaxed) == key.address
                && entry.fingerprint.load(Ordering::Relaxed) == key.fingerprint
            {
                return Ok(index);
            }
        }
        Err(None)
    }

    /// Takes a thing in: `copy` writes its `bytes` bytes.
    fn add(&self, key: Key, bytes: usize, copy: impl FnOnce(&mut Room<'_>) -> bool) -> Option<u32> {
        if self.things.load(Ordering::Relaxed) >= ENTRIES as u64 {
            return None;
        }
        let size = bytes.checked_add(7)? as u64 & !7;
        let offset = self.used.load(Ordering::Relaxed);
        if offset.checked_add(size)? > ROOM {
            return None;
        }
        let offset = self.used.fetch_add(size, Ordering::Relaxed);
        if offset.checked_add(size)? > ROOM {
            return None;
        }
        let start = self.room.as_ptr().cast::<u8>().wrapping_add(offset as usize).cast_mut();
        if !copy(&mut Room { next: start, left: bytes, table: PhantomData }) {
            return None;
        }
        let index = self.things.fetch_add(1, Ordering::Relaxed);
        let entry = self.entries.get(usize::try_from(index).ok()?)?;
        entry.address.store(key.address, Ordering::Relaxed);
        entry.fingerprint.store(key.fingerprint, Ordering::Relaxed);
        entry.copy.store(offset.wrapping_add(1), Ordering::Relaxed);
        entry.bytes.store(bytes as u64, Ordering::Relaxed);
        let word = (index as u32).wrapping_add(1) | key.tag();
        for _ in 0..MAX_STEPS {
            let place = match self.find(key) {
                // Another thread was faster; our entry stays unused.
                Ok(index) => return Some(index),
                Err(free) => free?,
            };
            // A free place that is free no more is taken by another thing, or by this one.
            let put = place.compare_exchange(FREE, word, Ordering::Release, Ordering::Relaxed);
            if put.is_ok() {
                return Some(index as u32);
            }
        }
        None
    }

    /// The copy of a thing.
    fn copy(&self, index: usize) -> Option<&[u8]> {
        let entry = self.entries.get(index)?;
        let offset = entry.copy.load(Ordering::Relaxed).checked_sub(1)?;
        let bytes = entry.bytes.load(Ordering::Relaxed);
        if offset.checked_add(bytes)? > ROOM {
            return None;
        }
        let start = self.room.as_ptr().cast::<u8>().wrapping_add(usize::try_from(offset).ok()?);
        // SAFETY: `add` wrote that many bytes of the room before it made the entry known; nobody
        // writes there again before the table is emptied, which takes exclusive access.
        Some(unsafe { core::slice::from_raw_parts(start, usize::try_from(bytes).ok()?) })
    }

    fn filling(&self) -> Filling {
        Filling {
            things: self.things.load(Ordering::Relaxed).min(ENTRIES as u64),
            bytes: self.used.load(Ordering::Relaxed).min(ROOM),
        }
    }
}

impl Interner {
    /// How many tables there are.
    pub(crate) const TABLES: usize = 2;

    /// An interner over two tables that are all zero.
    pub(crate) fn new(tables: *const Interned) -> Self {
        Self { tables, generation: AtomicU32::new(0), serial: AtomicU32::new(next_serial()) }
    }

    fn table(&self, generation: u32) -> &Interned {
        // SAFETY: the pool has two tables and lives as long as its interner.
        unsafe { &*self.tables.wrapping_add((generation & 1) as usize) }
    }

    /// How often a table became current.
    pub(crate) fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    /// Tells the current table from every other one of this process: for who remembers numbers.
    pub(crate) fn serial(&self) -> u32 {
        self.serial.load(Ordering::Relaxed)
    }

    /// The number of a thing that the current table has.
    #[inline(always)]
    pub(crate) fn find(&self, key: Key) -> Option<u32> {
        let generation = self.generation();
        self.table(generation).find(key).ok().map(|index| number(generation, index))
    }

    /// Takes a thing in, whose copy of `bytes` bytes `copy` writes, and returns its number; `None`
    /// if there is no room, or `copy` says that it failed.
    #[cold]
    pub(crate) fn add(
        &self,
        key: Key,
        bytes: usize,
        copy: impl FnOnce(&mut Room<'_>) -> bool,
    ) -> Option<u32> {
        let generation = self.generation();
        let index = self.table(generation).add(key, bytes, copy)?;
        Some(number(generation, index))
    }

    /// The copy of the thing with this number, if it is of the current table or the one before.
    pub(crate) fn copy(&self, number: u32) -> Option<&[u8]> {
        let age = self.generation().wrapping_sub(number >> ENTRY_BITS);
        if age & (1u32 << GENERATION_BITS).wrapping_sub(1) > 1 {
            return None;
        }
        let index = number & (1u32 << ENTRY_BITS).wrapping_sub(1);
        self.table(number >> ENTRY_BITS).copy(index as usize)
    }

    /// How full the current table is.
    pub(crate) fn filling(&self) -> Filling {
        self.table(self.generation()).filling()
    }

    /// Whether the current table is more than half full, so that it is time to turn.
    pub(crate) fn is_half_full(&self) -> bool {
        let Filling { things, bytes } = self.filling();
        things > ENTRIES as u64 / 2 || bytes > ROOM / 2
    }

    /// The bytes of the table that is not current, which [`Interner::turn`] wants to be zero.
    pub(crate) fn other(&self) -> (*mut u8, usize) {
        let table = core::ptr::from_ref(self.table(self.generation().wrapping_add(1)));
        (table.cast_mut().cast(), size_of::<Interned>())
    }

    /// Makes the other table current, which must have been zeroed while no handler ran that had
    /// begun before the last turn.
    pub(crate) fn turn(&self) {
        self.serial.store(next_serial(), Ordering::Relaxed);
        self.generation.fetch_add(1, Ordering::AcqRel);
    }
}

fn number(generation: u32, index: u32) -> u32 {
    (generation & (1u32 << GENERATION_BITS).wrapping_sub(1)) << ENTRY_BITS | index
}

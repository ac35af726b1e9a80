//! The one memory mapping: slots with their rings, two module lists, the unwind tables, and copies
//! of code objects.
//!
//! Reserved at start, touched page by page as threads appear and tables are built, released as a
//! whole at stop. The handler reaches it through [`Pool::current`] while it is inside [`GATE`].

use crate::arch;
use crate::errno::{Errno, check};
use crate::gate::Gate;
use crate::interner::{Interned, Interner};
use crate::marker::Marker;
use crate::rules::{Modules, RuleCache};
use crate::slot::{SHARED_SLOTS, Slot};
use crate::table::{ModuleEntry, Rule, Table};
use crate::walk::hotspot;
use crate::walk::python::Interpreter;
use crate::walk::v8;
use core::ops::Range;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// Everyone who may hold a pointer into the pool, except its owner.
pub(crate) static GATE: Gate = Gate { inside: AtomicU64::new(0) };

static CURRENT: AtomicPtr<Pool> = AtomicPtr::new(ptr::null_mut());

/// Where the last pool's slots were: a late signal of ours is recognised by it after stop.
static SLOTS_START: AtomicUsize = AtomicUsize::new(0);
static SLOTS_END: AtomicUsize = AtomicUsize::new(0);

/// Executable mappings that a module list can hold; what is beyond is walked by frame pointer.
pub(crate) const MAX_MODULES: usize = 4096;

/// Unwind tables that can exist at once.
pub(crate) const MAX_TABLES: usize = 2048;

/// Sizes and limits, fixed while the pool lives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) slots: u32,
    pub(crate) table_bytes: usize,
    pub(crate) max_depth: u32,
}

/// The head of the mapping.
#[derive(Debug)]
pub(crate) struct Pool {
    mapping_len: usize,
    /// Gone with the pool.
    _marker: Option<Marker>,
    pub(crate) limits: Limits,
    /// Most periods one sample may stand for.
    pub(crate) weight_cap: AtomicU32,
    /// Periods of samples that found every shared slot taken.
    pub(crate) unshared: AtomicU64,
    /// The main thread's stack, as the kernel lists it.
    pub(crate) main_stack: Range<u64>,
    slots: *const Slot,
    lists: [*mut ModuleEntry<'static>; 2],
    /// Low half: length of the current list; high half: how many there were before, of which the
    /// parity tells which of the two it is.
    list: AtomicU64,
    rules: *const RuleCache,
    tables: *mut Table<'static>,
    table_count: AtomicUsize,
    arena: *mut u8,
    arena_used: AtomicUsize,
    /// The interpreter of the process, if there is one.
    pub(crate) python: Option<Interpreter>,
    /// The layout of the V8 of the process, if there is one.
    pub(crate) v8: Option<v8::Layout>,
    /// The HotSpot of the process, if there is one.
    hotspot: Option<hotspot::Facts>,
    /// What samples name of them.
    pub(crate) known: Option<Interner>,
}

/// The runtimes of the process whose frames are read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Runtimes {
    pub(crate) python: Option<Interpreter>,
    pub(crate) v8: Option<v8::Layout>,
    pub(crate) hotspot: Option<hotspot::Facts>,
}

impl Runtimes {
    /// Whether there is one.
    pub(crate) fn any(&self) -> bool {
        self.python.is_some() || self.v8.is_some() || self.hotspot.is_some()
    }
}

impl Pool {
    /// The running sampler's pool. Must be called inside the gate, and the reference dropped
    /// before leaving it.
    #[inline(always)]
    pub(crate) fn current<'gate>() -> Option<&'gate Pool> {
        let pool = CURRENT.load(Ordering::Acquire);
        // SAFETY: a non-null pool is released only after the gate was seen empty since it was
        // replaced (`Pool::withdraw`), and the caller is inside.
        unsafe { pool.as_ref() }
    }

    /// The HotSpot of the process, if there is one whose frames are read.
    #[inline(always)]
    pub(crate) fn hotspot(&self) -> Option<&hotspot::Facts> {
        self.hotspot.as_ref().filter(|_| hotspot::are_read())
    }

    /// Makes the mapping and publishes it. Fails when there is one already.
    pub(crate) fn create(
        limits: Limits,
        main_stack: Range<u64>,
        runtimes: Runtimes,
    ) -> Result<*mut Pool, Errno> {
        let mut layout = Layout::default();
        layout.take::<Pool>(1);
        let slots = layout.take::<Slot>(limits.slots.saturating_add(SHARED_SLOTS) as usize);
        let lists = [
            layout.take::<ModuleEntry<'static>>(MAX_MODULES),
            layout.take::<ModuleEntry<'static>>(MAX_MODULES),
        ];
        let rules = layout.take::<RuleCache>(1);
        let tables = layout.take::<Table<'static>>(MAX_TABLES);
        let arena = layout.take::<[u64; 8]>(limits.table_bytes / 64);
        let interned = layout.take::<Interned>(if runtimes.any() { Interner::TABLES } else { 0 });
        let base = map(layout.len)?;
        let at = |offset: usize| base.wrapping_byte_add(offset);
        let pool = Pool {
            mapping_len: layout.len,
            _marker: Marker::place(),
            limits,
            weight_cap: AtomicU32::new(1),
            unshared: AtomicU64::new(0),
            main_stack,
            slots: at(slots).cast(),
            lists: lists.map(|offset| at(offset).cast()),
            list: AtomicU64::new(0),
            rules: at(rules).cast(),
            tables: at(tables).cast(),
            table_count: AtomicUsize::new(0),
            arena: at(arena),
            arena_used: AtomicUsize::new(0),
            known: runtimes.any().then(|| Interner::new(at(interned).cast())),
            python: runtimes.python,
            v8: runtimes.v8,
            hotspot: runtimes.hotspot,
        };
        let pointer: *mut Pool = base.cast();
        // SAFETY: the mapping starts with room for a Pool and is page aligned.
        unsafe { pointer.write(pool) };
        let published =
            CURRENT.compare_exchange(ptr::null_mut(), pointer, Ordering::AcqRel, Ordering::Acquire);
        if published.is_err() {
            // SAFETY: nobody else has seen this pool.
            drop(unsafe { pointer.read() });
            unmap(base, layout.len);
            return Err(Errno(libc::EBUSY));
        }
        SLOTS_START.store(at(slots) as usize, Ordering::Relaxed);
        SLOTS_END.store(at(lists.first().copied().unwrap_or(slots)) as usize, Ordering::Relaxed);
        Ok(pointer)
    }

    /// Withdraws the pool, so that nobody new reaches it, and waits for the visitors to leave, at
    /// most for `attempts` yields of the processor. `false` when one did not (its thread was
    /// stopped inside the handler, for example by a debugger): the pool must then stay mapped.
    pub(crate) fn withdraw(pointer: *mut Pool, attempts: u32) -> bool {
        let _ =
            CURRENT.compare_exchange(pointer, ptr::null_mut(), Ordering::AcqRel, Ordering::Acquire);
        for _ in 0..attempts {
            if GATE.is_empty() {
                return true;
            }
            // SAFETY: takes no arguments.
            unsafe { arch::syscall(libc::SYS_sched_yield, [0; 4]) };
        }
        false
    }

    /// Unmaps the pool.
    ///
    /// # Safety
    /// The pool must have been withdrawn with success, and not be used again.
    pub(crate) unsafe fn release(pointer: *mut Pool) {
        // SAFETY: the caller vouches that nobody else can reach the pool any more.
        let pool = unsafe { pointer.read() };
        unmap(pointer.cast(), pool.mapping_len);
    }

    /// In a forked child: forgets the visitors, whose threads do not exist, and unmaps the copy.
    pub(crate) fn release_in_child() {
        GATE.reset();
        let pointer = CURRENT.load(Ordering::Acquire);
        if !pointer.is_null() && Self::withdraw(pointer, 1) {
            // SAFETY: withdrawn; its owner's thread does not exist here.
            unsafe { Self::release(pointer) };
        }
    }

    /// A thread's slot by its number.
    pub(crate) fn slot(&self, index: u32) -> Option<&Slot> {
        if index >= self.limits.slots {
            return None;
        }
        // SAFETY: the array has more than `limits.slots` elements; all zero is a valid slot.
        Some(unsafe { &*self.slots.wrapping_add(index as usize) })
    }

    /// The numbers of the slots for threads that have none of their own.
    pub(crate) fn shared_slots(&self) -> Range<u32> {
        self.limits.slots..self.limits.slots.saturating_add(SHARED_SLOTS)
    }

    /// A slot by its number, be it a thread's or shared.
    pub(crate) fn any_slot(&self, index: u32) -> Option<&Slot> {
        if index >= self.shared_slots().end {
            return None;
        }
        // SAFETY: the array has that many elements; all zero is a valid slot.
        Some(unsafe { &*self.slots.wrapping_add(index as usize) })
    }

    /// What the signals of the process' timer carry: where the shared slots begin.
    pub(crate) fn process_value(&self) -> usize {
        self.slots.wrapping_add(self.limits.slots as usize) as usize
    }

    /// The slot that a timer's signal carries, after checking that it is one.
    #[inline(always)]
    pub(crate) fn slot_from_signal(&self, value: usize, timer: i32) -> Option<&Slot> {
        let offset = value.wrapping_sub(self.slots as usize);
        let index = offset.checked_div(size_of::<Slot>())?;
        let slot = self.slot(u32::try_from(index).ok()?)?;
        if core::ptr::from_ref(slot) as usize != value {
            return None;
        }
        (slot.timer.load(Ordering::Relaxed) == timer).then_some(slot)
    }

    /// Whether a signal's value points to where slots are, or were before the last stop.
    pub(crate) fn was_slot(value: usize) -> bool {
        (SLOTS_START.load(Ordering::Relaxed)..SLOTS_END.load(Ordering::Relaxed)).contains(&value)
    }

    /// The modules as last published.
    #[inline(always)]
    pub(crate) fn modules(&self) -> Modules<'_, 'static> {
        let list = self.list.load(Ordering::Acquire);
        let (before, length) = (list >> 32, (list & 0xffff_ffff) as usize);
        let [first, second] = self.lists;
        let entries = if before & 1 == 0 { first } else { second };
        // SAFETY: `publish_modules` filled that many entries before it stored the length, and
        // does not touch this list again before the gate was seen empty.
        let entries = unsafe { core::slice::from_raw_parts(entries, length) };
        // SAFETY: the pool has one; all zero is an empty one.
        Modules::remembered(entries, unsafe { &*self.rules }, before)
    }
}

/// What only the owner may do; it is the one thread that writes lists and tables.
impl Pool {
    /// Copies a table into the arena and returns its number, or `None` when there is no room.
    pub(crate) fn add_table(&self, table: &Table<'_>) -> Option<u32> {
        let index = self.table_count.load(Ordering::Relaxed);
        if index >= MAX_TABLES {
            return None;
        }
        let needed = size_of_val(table.pages)
            .checked_add(size_of_val(table.rows))?
            .checked_add(size_of_val(table.rules))?
            .checked_add(3 * 64)?;
        if needed > self.limits.table_bytes.checked_sub(self.table_bytes())? {
            return None;
        }
        let stored = Table {
            base: table.base,
            pages: self.store(table.pages),
            rows: self.store(table.rows),
            rules: self.store(table.rules),
        };
        // SAFETY: `index` is below MAX_TABLES, the length of the array.
        unsafe { self.tables.wrapping_add(index).write(stored) };
        self.table_count.store(index.wrapping_add(1), Ordering::Relaxed);
        u32::try_from(index).ok()
    }

    fn store<T: ArenaItem>(&self, items: &[T]) -> &'static [T] {
        let target: *mut T = self.arena.wrapping_add(self.table_bytes()).cast();
        // SAFETY: `add_table` checked that the items fit; offsets are multiples of 64, which is
        // enough for every ArenaItem.
        unsafe { ptr::copy_nonoverlapping(items.as_ptr(), target, items.len()) };
        let bytes = size_of_val(items).wrapping_add(63) & !63;
        self.arena_used.fetch_add(bytes, Ordering::Relaxed);
        // SAFETY: just written; the arena lives as long as the pool, whose users are counted.
        unsafe { core::slice::from_raw_parts(target, items.len()) }
    }

    /// A table by its number.
    pub(crate) fn table(&self, index: u32) -> Option<Table<'static>> {
        if index as usize >= self.table_count.load(Ordering::Relaxed) {
            return None;
        }
        // SAFETY: entries below `table_count` were written.
        Some(unsafe { self.tables.wrapping_add(index as usize).read() })
    }

    /// Bytes used of the room for tables.
    pub(crate) fn table_bytes(&self) -> usize {
        self.arena_used.load(Ordering::Relaxed)
    }

    /// Replaces the module list. `entries` must be sorted by address; beyond [`MAX_MODULES`] they
    /// are left out. Returns `false`, and changes nothing, when a visitor may still read the list
    /// before the current one.
    pub(crate) fn publish_modules(
        &self,
        entries: impl Iterator<Item = ModuleEntry<'static>>,
    ) -> bool {
        if !GATE.is_empty() {
            return false;
        }
        let next = (self.list.load(Ordering::Acquire) >> 32).wrapping_add(1);
        let [first, second] = self.lists;
        let target = if next & 1 == 0 { first } else { second };
        let mut count = 0usize;
        for entry in entries.take(MAX_MODULES) {
            // SAFETY: `count` is below MAX_MODULES, the length of the list; nobody reads it.
            unsafe { target.wrapping_add(count).write(entry) };
            count = count.wrapping_add(1);
        }
        self.list.store(next << 32 | count as u64, Ordering::Release);
        true
    }

    /// Empties the table of definitions that is not current and makes it current. Returns `false`,
    /// and changes nothing, when a visitor may still write into it.
    pub(crate) fn turn_definitions(&self) -> bool {
        let Some(known) = &self.known else { return false };
        if !GATE.is_empty() {
            return false;
        }
        let (start, len) = known.other();
        // SAFETY: whole pages of the pool that nobody uses: whoever entered the gate since the
        // last turn uses the current table, and whoever entered before has left.
        let result = unsafe { libc::madvise(start.cast(), len, libc::MADV_DONTNEED) };
        if result != 0 {
            return false;
        }
        known.turn();
        true
    }
}

/// What may be copied into the arena: plain data of alignment at most 64.
trait ArenaItem: Copy {}
impl ArenaItem for u32 {}
impl ArenaItem for Rule {}

#[derive(Default)]
struct Layout {
    len: usize,
}

impl Layout {
    /// Reserves room on whole pages for `count` items and returns the offset.
    fn take<T>(&mut self, count: usize) -> usize {
        let offset = self.len;
        let bytes = size_of::<T>().saturating_mul(count);
        self.len = offset.saturating_add(bytes.saturating_add(4095) & !4095);
        offset
    }
}

/// Reserves whole pages that read as zeros.
pub(crate) fn map(len: usize) -> Result<*mut u8, Errno> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new anonymous mapping at an address of the kernel's choice.
    let base = unsafe { libc::mmap(ptr::null_mut(), len, protection, flags, -1, 0) };
    if base == libc::MAP_FAILED {
        return Err(Errno(libc::ENOMEM));
    }
    // A huge page would make 2 MiB resident for the first word of a slot.
    // SAFETY: the range is the mapping just made. Failure only costs memory.
    unsafe { libc::madvise(base, len, libc::MADV_NOHUGEPAGE) };
    Ok(base.cast())
}

pub(crate) fn unmap(base: *mut u8, len: usize) {
    let args = [base as usize, len, 0, 0];
    // SAFETY: the caller passes a whole mapping of ours that nobody uses.
    let result = unsafe { arch::syscall(libc::SYS_munmap, args) };
    debug_assert!(check(result).is_ok());
}

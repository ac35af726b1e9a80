//! Which thread has which isolate.

use super::heap::Heap;
use super::isolate::{Facts, Isolate};
use super::labels;
use super::layout::Layout;
use crate::labels::Labels;
use crate::memory::SelfMemory;
use crate::pool::{self, GATE, Pool};
use crate::process::current_tid;
use crate::registration;
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, Ordering};

/// Isolates at once; those of further threads are not read.
const MAX_ISOLATES: usize = 1024;

/// What is known of one isolate. Its memory is kept for the next one: V8 might still call back for
/// one that is gone.
struct Entry {
    thread: AtomicI32,
    isolate: AtomicPtr<Isolate>,
}

static ENTRIES: [Entry; MAX_ISOLATES] =
    [const { Entry { thread: AtomicI32::new(0), isolate: AtomicPtr::new(core::ptr::null_mut()) } };
        MAX_ISOLATES];

/// One more than the last entry ever used.
static USED: AtomicU32 = AtomicU32::new(0);

/// The number of the last isolate.
static LAST_NUMBER: AtomicU32 = AtomicU32::new(0);

/// The isolate of a thread, or null.
#[inline(always)]
pub(crate) fn find(tid: i32) -> *const Isolate {
    let used = USED.load(Ordering::Acquire) as usize;
    let mut entries = ENTRIES.iter().take(used);
    let found = entries.find(|entry| entry.thread.load(Ordering::Acquire) == tid);
    found.map_or(core::ptr::null(), |entry| entry.isolate.load(Ordering::Acquire).cast_const())
}

/// Notes the isolate that a thread runs, or none.
fn set_isolate(tid: i32, isolate: *const Isolate) {
    registration::change_slot(tid, |slot| {
        slot.isolate.store(isolate.cast_mut(), Ordering::Release);
    });
}

/// An isolate whose frames are read until this is dropped. Stays on its thread.
#[derive(Debug)]
pub struct Attached {
    entry: &'static Entry,
    thread: i32,
    isolate: &'static Isolate,
}

impl core::fmt::Debug for Entry {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Entry").finish_non_exhaustive()
    }
}

impl Attached {
    /// Has samples of the calling thread read the frames of an isolate. `None` if there is no room.
    ///
    /// # Safety
    /// The facts must be true of the isolate that the calling thread runs, which must outlive this.
    pub unsafe fn new(facts: &Facts) -> Option<Self> {
        let thread = current_tid();
        let take = |entry: &&Entry| {
            let taken = entry.thread.compare_exchange(0, -1, Ordering::AcqRel, Ordering::Relaxed);
            taken.is_ok()
        };
        let (index, entry) = (0u32..).zip(ENTRIES.iter()).find(|(_, entry)| take(entry))?;
        if entry.isolate.load(Ordering::Acquire).is_null() {
            match pool::map(size_of::<Isolate>()) {
                Ok(memory) => entry.isolate.store(memory.cast(), Ordering::Release),
                Err(_) => {
                    entry.thread.store(0, Ordering::Release);
                    return None;
                }
            }
        }
        // SAFETY: a mapping of that size, zeroed, which is valid, and never unmapped.
        let isolate = unsafe { &*entry.isolate.load(Ordering::Acquire) };
        let number = LAST_NUMBER.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        isolate.describe(number, facts);
        entry.thread.store(thread, Ordering::Release);
        USED.fetch_max(index.wrapping_add(1), Ordering::AcqRel);
        set_isolate(thread, isolate);
        Some(Self { entry, thread, isolate })
    }

    /// Has labels read from where promises continue: `slot` is the offset of that in V8's isolate,
    /// `key` the address of a word that always points to the `AsyncLocalStorage` of labels.
    ///
    /// # Safety
    /// The word must be readable for as long as this lives.
    pub unsafe fn read_labels(&self, slot: u32, key: u64) {
        self.isolate.continuation.set(slot, key);
    }

    /// What V8's callbacks around a collection of garbage must get as their data.
    pub fn data(&self) -> *mut c_void {
        core::ptr::from_ref(self.isolate).cast_mut().cast()
    }

    pub(super) fn isolate(&self) -> &Isolate {
        self.isolate
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.entry.thread.store(0, Ordering::Release);
        set_isolate(self.thread, core::ptr::null());
    }
}

/// To be given to `v8::Isolate::AddGCPrologueCallback`, with [`Attached::data`].
///
/// # Safety
/// `data` must be what [`Attached::data`] returned, and the calling thread that of the isolate.
pub unsafe extern "C" fn collection_begins(
    _isolate: *mut c_void,
    kind: c_int,
    _flags: c_int,
    data: *mut c_void,
) {
    // SAFETY: the caller's promise; the memory is never unmapped.
    let isolate = unsafe { &*data.cast::<Isolate>() };
    GATE.enter();
    let layout = Pool::current().and_then(|pool| pool.v8.as_ref());
    let labels = layout.map_or(Labels::NONE, |layout| labels_of(layout, isolate));
    GATE.exit();
    isolate.collection_begins(kind, labels);
}

/// To be given to `v8::Isolate::AddGCEpilogueCallback`, with [`Attached::data`].
///
/// # Safety
/// As for [`collection_begins`].
pub unsafe extern "C" fn collection_ends(
    _isolate: *mut c_void,
    kind: c_int,
    _flags: c_int,
    data: *mut c_void,
) {
    // SAFETY: the caller's promise; the memory is never unmapped.
    unsafe { &*data.cast::<Isolate>() }.collection_ends(kind);
}

/// The labels of what an isolate runs.
pub(super) fn labels_of(layout: &Layout, isolate: &Isolate) -> Labels {
    let mut heap = Heap { memory: SelfMemory::probing(), layout, moving: false };
    labels::labels(&mut heap, isolate).unwrap_or(Labels::NONE)
}

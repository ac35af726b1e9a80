//! One isolate: V8's heap and code for one thread, and what the thread's handler remembers of it.

use super::labels::Continuation;
use crate::labels::{LabelCell, Labels};
use core::ffi::c_int;
use core::ops::Range;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, compiler_fence};

/// What a binding finds out about an isolate.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The address of the isolate.
    pub isolate: u64,
    /// The addresses for the machine code that V8 makes.
    pub code: Range<u64>,
    /// The machine code that V8 brings along, in its own file.
    pub builtins: Range<u64>,
    /// A copy of that inside of `code`, which V8 makes to have calls near; empty for none.
    pub copied_builtins: Range<u64>,
}

/// Kinds of collections that only concern young objects, none of which is code or bytecode:
/// `kGCTypeScavenge` and `kGCTypeMinorMarkSweep`.
const MINOR: c_int = 1 | 2;

/// Entries of the caches, powers of two.
const FRAMES: usize = 4096;
const CODES: usize = 1024;

/// See the module's description. All zero is one without facts. Only its own thread, and the
/// handler on it, changes it.
#[derive(Debug)]
#[repr(C)]
pub struct Isolate {
    /// Tells isolates of this process apart.
    pub(crate) number: AtomicU32,
    /// How many collections of garbage are going on, one inside of another.
    collecting: AtomicU32,
    /// How many of them are of the whole heap.
    compacting: AtomicU32,
    /// Changes whenever code and bytecode may have been moved or freed.
    epoch: AtomicU32,
    isolate: AtomicU64,
    code: Place,
    builtins: Place,
    copied_builtins: Place,
    pub(super) continuation: Continuation,
    /// The labels when the collection of garbage began, which moves what labels are read from.
    labels: LabelCell,
    /// The page of maps that never move, and the map of machine code: learned from the first
    /// function and the first code that are met.
    pub(super) map_page: AtomicU64,
    pub(super) stream_map: AtomicU64,
    frames: [CachedFrame; FRAMES],
    starts: [CachedStart; CODES],
}

/// A range of addresses.
#[derive(Debug)]
#[repr(C)]
struct Place {
    start: AtomicU64,
    end: AtomicU64,
}

impl Place {
    fn set(&self, range: &Range<u64>) {
        self.start.store(range.start, Ordering::Relaxed);
        self.end.store(range.end, Ordering::Relaxed);
    }

    #[inline(always)]
    fn contains(&self, address: u64) -> bool {
        let start = self.start.load(Ordering::Relaxed);
        (start..self.end.load(Ordering::Relaxed)).contains(&address)
    }
}

/// What a frame was read as, by what is in it, as long as that does not move.
#[derive(Debug)]
#[repr(C)]
struct CachedFrame {
    /// The pc of compiled code; the bytecode of the interpreter's frame.
    key: AtomicU64,
    era: AtomicU64,
    /// A frame's word, without an offset for the interpreter's.
    word: AtomicU64,
}

/// Where the code begins that an address is in, as long as it does: that is checked.
#[derive(Debug)]
#[repr(C)]
struct CachedStart {
    pc: AtomicU64,
    start: AtomicU64,
}

fn change(counter: &AtomicU32, by: i32) {
    let count = counter.load(Ordering::Relaxed).saturating_add_signed(by);
    counter.store(count, Ordering::Relaxed);
}

impl Isolate {
    /// Fills in a new one.
    pub(super) fn describe(&self, number: u32, facts: &Facts) {
        // What is remembered of an isolate that had this memory before is true no more.
        self.collecting.store(0, Ordering::Relaxed);
        self.compacting.store(0, Ordering::Relaxed);
        self.continuation.set(0, 0);
        self.forget();
        self.number.store(number, Ordering::Relaxed);
        self.isolate.store(facts.isolate, Ordering::Relaxed);
        self.code.set(&facts.code);
        self.builtins.set(&facts.builtins);
        self.copied_builtins.set(&facts.copied_builtins);
    }

    /// Forgets what was learned, and what is remembered: it may have been by another layout.
    pub(super) fn forget(&self) {
        self.begin_epoch();
        self.map_page.store(0, Ordering::Relaxed);
        self.stream_map.store(0, Ordering::Relaxed);
    }

    /// The address of V8's isolate.
    #[inline(always)]
    pub(super) fn address(&self) -> u64 {
        self.isolate.load(Ordering::Relaxed)
    }

    /// Whether code at an address is V8's: what it made, or brought along.
    #[inline(always)]
    pub(crate) fn covers(&self, address: u64) -> bool {
        self.code.contains(address) || self.builtins.contains(address)
    }

    /// Whether code at an address, which V8's is, was brought along.
    #[inline(always)]
    pub(super) fn is_builtin(&self, address: u64) -> bool {
        self.builtins.contains(address) || self.copied_builtins.contains(address)
    }

    /// Where code that was brought along is in V8's own file.
    #[inline(always)]
    pub(super) fn in_file(&self, address: u64) -> u64 {
        if !self.copied_builtins.contains(address) {
            return address;
        }
        // Whole pages were copied.
        let start = self.builtins.start.load(Ordering::Relaxed) & 4095u64.wrapping_neg();
        let copied = self.copied_builtins.start.load(Ordering::Relaxed);
        address.wrapping_sub(copied).wrapping_add(start)
    }

    /// To be called when V8 says that a collection of garbage of this kind begins. `labels` are the
    /// current ones.
    pub(super) fn collection_begins(&self, kind: c_int, labels: Labels) {
        self.labels.replace(labels);
        change(&self.collecting, 1);
        if kind & !MINOR != 0 {
            change(&self.compacting, 1);
            compiler_fence(Ordering::SeqCst);
            self.begin_epoch();
        }
    }

    /// To be called when it has ended.
    pub(super) fn collection_ends(&self, kind: c_int) {
        if kind & !MINOR != 0 {
            self.begin_epoch();
            compiler_fence(Ordering::SeqCst);
            change(&self.compacting, -1);
        }
        change(&self.collecting, -1);
    }

    fn begin_epoch(&self) {
        self.epoch.store(self.epoch.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// Whether garbage is being collected, so that objects may lie elsewhere than they should.
    #[inline(always)]
    pub(super) fn is_collecting(&self) -> bool {
        self.collecting.load(Ordering::Relaxed) != 0
    }

    /// Whether the whole heap is being collected, so that code and bytecode may move or go.
    #[inline(always)]
    pub(super) fn is_compacting(&self) -> bool {
        self.compacting.load(Ordering::Relaxed) != 0
    }

    /// The labels when that began.
    pub(super) fn labels_before_collection(&self) -> Labels {
        self.labels.get()
    }

    /// What must be the same for something that is remembered to be true: `serial` is that of the
    /// table in which numbers are.
    #[inline(always)]
    pub(super) fn era(&self, serial: u32) -> u64 {
        u64::from(self.epoch.load(Ordering::Relaxed)) << 32 | u64::from(serial)
    }

    #[inline(always)]
    fn frame(&self, key: u64) -> Option<&CachedFrame> {
        self.frames.get(((key ^ key >> 12) as usize) & FRAMES.wrapping_sub(1))
    }

    /// The word of a frame that was met in the same era.
    #[inline(always)]
    pub(super) fn remembered(&self, key: u64, era: u64) -> Option<u64> {
        let entry = self.frame(key)?;
        let same =
            entry.key.load(Ordering::Relaxed) == key && entry.era.load(Ordering::Relaxed) == era;
        same.then(|| entry.word.load(Ordering::Relaxed))
    }

    /// Remembers the word of a frame.
    #[inline(always)]
    pub(super) fn remember(&self, key: u64, era: u64, word: u64) {
        let Some(entry) = self.frame(key) else { return };
        entry.key.store(key, Ordering::Relaxed);
        entry.era.store(era, Ordering::Relaxed);
        entry.word.store(word, Ordering::Relaxed);
    }

    #[inline(always)]
    fn start(&self, pc: u64) -> Option<&CachedStart> {
        self.starts.get(((pc ^ pc >> 10) as usize) & CODES.wrapping_sub(1))
    }

    /// Where the code of an address began when that was last asked.
    #[inline(always)]
    pub(super) fn remembered_start(&self, pc: u64) -> Option<u64> {
        let entry = self.start(pc)?;
        (entry.pc.load(Ordering::Relaxed) == pc).then(|| entry.start.load(Ordering::Relaxed))
    }

    /// Remembers where the code of an address begins.
    #[inline(always)]
    pub(super) fn remember_start(&self, pc: u64, start: u64) {
        let Some(entry) = self.start(pc) else { return };
        entry.pc.store(pc, Ordering::Relaxed);
        entry.start.store(start, Ordering::Relaxed);
    }
}

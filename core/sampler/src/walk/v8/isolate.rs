//! One isolate: V8's heap and code for one thread, and what the thread's handler remembers of it.

use super::labels::Continuation;
use crate::labels::{LabelCell, Labels};
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
    /// Changes whenever objects may have been moved.
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

/// What a frame was read as, by what is in it, as long as nothing moves.
#[derive(Debug)]
#[repr(C)]
struct CachedFrame {
    /// The pc of compiled code; the function of the interpreter's frame.
    first: AtomicU64,
    /// The bytecode of the interpreter's frame, 0 for compiled code.
    second: AtomicU64,
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

impl Isolate {
    /// Fills in a new one.
    pub(super) fn describe(&self, number: u32, facts: &Facts) {
        // What is remembered of an isolate that had this memory before is true no more.
        self.collecting.store(0, Ordering::Relaxed);
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

    /// To be called when V8 says that a collection of garbage begins. `labels` are the current ones.
    pub(super) fn collection_begins(&self, labels: Labels) {
        self.labels.replace(labels);
        let collecting = self.collecting.load(Ordering::Relaxed);
        self.collecting.store(collecting.wrapping_add(1), Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        self.begin_epoch();
    }

    /// To be called when it has ended.
    pub(super) fn collection_ends(&self) {
        self.begin_epoch();
        compiler_fence(Ordering::SeqCst);
        let collecting = self.collecting.load(Ordering::Relaxed);
        self.collecting.store(collecting.saturating_sub(1), Ordering::Relaxed);
    }

    fn begin_epoch(&self) {
        self.epoch.store(self.epoch.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// Whether garbage is being collected, so that objects may lie elsewhere than they should.
    #[inline(always)]
    pub(super) fn is_collecting(&self) -> bool {
        self.collecting.load(Ordering::Relaxed) != 0
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
    fn frame(&self, first: u64, second: u64) -> Option<&CachedFrame> {
        let hash = first ^ first >> 12 ^ second >> 4;
        self.frames.get((hash as usize) & FRAMES.wrapping_sub(1))
    }

    /// The word of a frame that was met in the same era.
    #[inline(always)]
    pub(super) fn remembered(&self, first: u64, second: u64, era: u64) -> Option<u64> {
        let entry = self.frame(first, second)?;
        (entry.first.load(Ordering::Relaxed) == first
            && entry.second.load(Ordering::Relaxed) == second
            && entry.era.load(Ordering::Relaxed) == era)
            .then(|| entry.word.load(Ordering::Relaxed))
    }

    /// Remembers the word of a frame.
    #[inline(always)]
    pub(super) fn remember(&self, first: u64, second: u64, era: u64, word: u64) {
        let Some(entry) = self.frame(first, second) else { return };
        entry.first.store(first, Ordering::Relaxed);
        entry.second.store(second, Ordering::Relaxed);
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

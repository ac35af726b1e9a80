//! V8 of this process: its constants, the isolate of the calling thread, and where that keeps what
//! promises continue with. The one place of this crate with `unsafe`.
//!
//! The functions of V8 that are called are public ones whose arguments are plain pointers. Each is
//! looked up by its name; where one is missing, frames of JavaScript are not read.
#![allow(unsafe_code, reason = "V8 is asked by the functions and constants that it exports")]

use std::cell::RefCell;
use std::ffi::{CString, c_int, c_void};
use std::fs;
use std::ops::Range;

use sondage::v8::{
    Announced, Attached, Facts, Layout, Registers, Version, collection_begins, collection_ends,
};
use sondage_sampler::{MemoryReader, SelfMemory};

/// Bytes of an isolate in which the slot for continuations is looked for.
const MAX_ISOLATE: u64 = 64 << 10;

/// Code that V8 brings along is smaller, and the room for what it makes larger.
const MAX_BUILTINS: u64 = 16 << 20;

/// `v8::MemoryRange`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct MemoryRange {
    start: u64,
    length: u64,
}

type GcCallback = unsafe extern "C" fn(*mut c_void, c_int, c_int, *mut c_void);

/// Functions of V8. A `v8::Local` is a pointer to a word.
struct Functions {
    current_isolate: extern "C" fn() -> *mut c_void,
    code_pages: extern "C" fn(*mut c_void, usize, *mut MemoryRange) -> usize,
    /// `kGCTypeAll`, which has every bit that a later version may add.
    add_prologue: extern "C" fn(*mut c_void, GcCallback, *mut c_void, c_int),
    add_epilogue: extern "C" fn(*mut c_void, GcCallback, *mut c_void, c_int),
    remove_prologue: extern "C" fn(*mut c_void, GcCallback, *mut c_void),
    remove_epilogue: extern "C" fn(*mut c_void, GcCallback, *mut c_void),
    continuation: Option<Continuation>,
}

/// Those that have to do with what promises continue with: since V8 12.
#[derive(Clone, Copy)]
struct Continuation {
    get: extern "C" fn(*mut c_void) -> *const u64,
    set: extern "C" fn(*mut c_void, *const u64),
    globalize: extern "C" fn(*mut c_void, u64) -> *const u64,
    dispose: extern "C" fn(*const u64),
}

fn symbol(name: &str) -> Option<usize> {
    let name = CString::new(name).ok()?;
    // SAFETY: the name ends with a NUL, and the default scope needs no handle.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!address.is_null()).then_some(address as usize)
}

fn constant(name: &str) -> Option<i32> {
    let address = symbol(name)?;
    // SAFETY: a constant of that name is an `int`, and its file is never unloaded.
    Some(unsafe { *(address as *const i32) })
}

/// Looks a function up whose type is that of the place where it goes.
macro_rules! function {
    ($name:literal) => {
        // SAFETY: the mangled name tells the types of the arguments, which are those of the field.
        symbol($name).map(|address| unsafe { std::mem::transmute(address) })
    };
}

impl Functions {
    fn find() -> Option<Self> {
        Some(Self {
            current_isolate: function!("_ZN2v87Isolate10GetCurrentEv")?,
            code_pages: function!("_ZN2v87Isolate13CopyCodePagesEmPNS_11MemoryRangeE")?,
            add_prologue: function!(
                "_ZN2v87Isolate21AddGCPrologueCallbackEPFvPS0_NS_6GCTypeENS_15GCCallbackFlagsEPvES4_S2_"
            )?,
            add_epilogue: function!(
                "_ZN2v87Isolate21AddGCEpilogueCallbackEPFvPS0_NS_6GCTypeENS_15GCCallbackFlagsEPvES4_S2_"
            )?,
            remove_prologue: function!(
                "_ZN2v87Isolate24RemoveGCPrologueCallbackEPFvPS0_NS_6GCTypeENS_15GCCallbackFlagsEPvES4_"
            )?,
            remove_epilogue: function!(
                "_ZN2v87Isolate24RemoveGCEpilogueCallbackEPFvPS0_NS_6GCTypeENS_15GCCallbackFlagsEPvES4_"
            )?,
            continuation: Continuation::find(),
        })
    }
}

impl Continuation {
    fn find() -> Option<Self> {
        Some(Self {
            get: function!("_ZN2v87Isolate36GetContinuationPreservedEmbedderDataEv")?,
            set: function!(
                "_ZN2v87Isolate36SetContinuationPreservedEmbedderDataENS_5LocalINS_5ValueEEE"
            )?,
            globalize: function!(
                "_ZN2v812api_internal18GlobalizeReferenceEPNS_8internal7IsolateEm"
            )?,
            dispose: function!("_ZN2v812api_internal13DisposeGlobalEPm")?,
        })
    }
}

/// Where this V8 keeps things, by what it exports; or why that is not known.
pub(crate) fn layout() -> Result<Layout, String> {
    let part = |name: &str| {
        let mangled = format!("_ZN2v88internal7Version{}{name}E", name.len());
        constant(&mangled).and_then(|number| u32::try_from(number).ok())
    };
    let version = (|| Some(Version(part("major_")?, part("minor_")?, part("build_")?)))();
    let version = version.ok_or("V8 does not tell its version")?;
    Layout::new(version, &|name| constant(&format!("v8dbg_{name}")))
        .map_err(|unsupported| unsupported.to_string())
}

/// The isolate of a thread, while samples read it.
struct Thread {
    functions: Functions,
    isolate: *mut c_void,
    attached: Attached,
    /// V8's own reference to the storage of labels.
    key: Option<(Continuation, *const u64)>,
    facts: Facts,
}

thread_local! {
    static THREAD: RefCell<Option<Thread>> = const { RefCell::new(None) };
}

impl Drop for Thread {
    fn drop(&mut self) {
        let data = self.attached.data();
        (self.functions.remove_prologue)(self.isolate, collection_begins, data);
        (self.functions.remove_epilogue)(self.isolate, collection_ends, data);
        self.forget_labels();
    }
}

impl Thread {
    fn forget_labels(&mut self) {
        // SAFETY: a slot of 0 stands for none.
        unsafe { self.attached.read_labels(0, 0) };
        if let Some((continuation, key)) = self.key.take() {
            (continuation.dispose)(key);
        }
    }
}

/// Has samples of the calling thread, which runs JavaScript, read its isolate. Why not, otherwise.
pub(crate) fn attach() -> Result<(), String> {
    if THREAD.with_borrow(Option::is_some) {
        return Ok(());
    }
    let functions = Functions::find().ok_or("V8 does not export what is needed")?;
    let isolate = (functions.current_isolate)();
    if isolate.is_null() {
        return Err("the thread has no isolate".to_owned());
    }
    let mut pages = [MemoryRange::default(); 64];
    let count = (functions.code_pages)(isolate, pages.len(), pages.as_mut_ptr());
    let facts = facts(isolate, &pages[..count.min(pages.len())])?;
    // SAFETY: the facts are V8's own; the cleanup hook of this thread's environment detaches it.
    let attached = unsafe { Attached::new(&facts) }.ok_or("there are too many isolates")?;
    let data = attached.data();
    (functions.add_prologue)(isolate, collection_begins, data, c_int::MAX);
    (functions.add_epilogue)(isolate, collection_ends, data, c_int::MAX);
    let thread = Thread { functions, isolate, attached, key: None, facts };
    THREAD.set(Some(thread));
    Ok(())
}

/// Undoes [`attach`], before the isolate is gone.
pub(crate) fn detach() {
    THREAD.take();
}

fn facts(isolate: *mut c_void, pages: &[MemoryRange]) -> Result<Facts, String> {
    let range = |page: &MemoryRange| page.start..page.start.saturating_add(page.length);
    let of_size = |wanted: &dyn Fn(u64) -> bool| {
        let mut found = pages.iter().filter(|page| page.length > 0 && wanted(page.length));
        found.next().map(range)
    };
    let code = of_size(&|length| length >= MAX_BUILTINS);
    let builtins = of_size(&|length| length < MAX_BUILTINS);
    let (Some(code), Some(builtins)) = (code, builtins) else {
        return Err("V8 does not tell where its code is".to_owned());
    };
    let copied_builtins = mapped_file(&code).unwrap_or(0..0);
    Ok(Facts { isolate: isolate as u64, code, builtins, copied_builtins })
}

/// The executable mapping of a file inside of a range.
fn mapped_file(range: &Range<u64>) -> Option<Range<u64>> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    maps.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let start = u64::from_str_radix(start, 16).ok()?;
        let end = u64::from_str_radix(end, 16).ok()?;
        let executable = words.next()?.starts_with("r-x");
        let has_file = words.nth(3).is_some_and(|file| file.starts_with('/'));
        (executable && has_file && range.start <= start && end <= range.end).then_some(start..end)
    })
}

/// A value of JavaScript as V8 has it.
pub(crate) fn tagged(value: napi::sys::napi_value) -> u64 {
    // SAFETY: a `napi_value` of Node.js is a `v8::Local`, which is a pointer to a word.
    unsafe { *value.cast::<u64>() }
}

/// Has labels read from where promises continue: finds the slot in the isolate by putting `probe`
/// there for a moment. `storage` is the `AsyncLocalStorage` of labels. Whether it is found; nothing
/// else was changed if not.
pub(crate) fn read_labels(storage: napi::sys::napi_value, probe: napi::sys::napi_value) -> bool {
    THREAD.with_borrow_mut(|thread| {
        let Some(thread) = thread else { return false };
        let Some(continuation) = thread.functions.continuation else { return false };
        let isolate = thread.isolate;
        let before = (continuation.get)(isolate);
        if before.is_null() {
            return false;
        }
        (continuation.set)(isolate, probe.cast());
        let with_probe = slots_with(isolate, tagged(probe));
        (continuation.set)(isolate, before);
        // SAFETY: a local handle of this call, which is not over.
        let restored = slots_with(isolate, unsafe { *before });
        let mut slots = with_probe.into_iter().filter(|slot| restored.contains(slot));
        let (Some(slot), None) = (slots.next(), slots.next()) else { return false };
        thread.forget_labels();
        let key = (continuation.globalize)(isolate, tagged(storage));
        thread.key = Some((continuation, key));
        // SAFETY: V8 keeps the word until it is disposed of, after labels are no more read.
        unsafe { thread.attached.read_labels(slot, key as u64) };
        true
    })
}

/// Undoes [`read_labels`].
pub(crate) fn forget_labels() {
    THREAD.with_borrow_mut(|thread| thread.iter_mut().for_each(Thread::forget_labels));
}

/// Offsets in the isolate of words that are `value`.
fn slots_with(isolate: *mut c_void, value: u64) -> Vec<u32> {
    let mut memory = SelfMemory::probing();
    let words = (0..MAX_ISOLATE).step_by(8).map_while(|offset| {
        let word = memory.word((isolate as u64).wrapping_add(offset))?;
        Some((offset as u32, word))
    });
    words.filter(|(_, word)| *word == value).map(|(offset, _)| offset).collect()
}

/// Looks at the calling thread's isolate, from where JavaScript has called.
pub(crate) fn with_attached<T>(look: impl FnOnce(&Attached, Registers) -> T) -> Option<T> {
    THREAD.with_borrow(|thread| {
        let thread = thread.as_ref()?;
        let registers = caller_in(thread)?;
        Some(look(&thread.attached, registers))
    })
}

/// What the C++ unwinder knows of a frame.
#[repr(C)]
struct UnwindContext {
    _private: [u8; 0],
}

type Trace = extern "C" fn(*mut UnwindContext, *mut c_void) -> c_int;

// The unwinder that Rust's own panics use is linked already.
unsafe extern "C" {
    fn _Unwind_Backtrace(trace: Trace, argument: *mut c_void) -> c_int;
    fn _Unwind_GetIP(context: *mut UnwindContext) -> usize;
    fn _Unwind_GetCFA(context: *mut UnwindContext) -> usize;
    fn _Unwind_GetGR(context: *mut UnwindContext, register: c_int) -> usize;
}

/// The number of the frame pointer in unwind information of x86-64.
const FRAME_POINTER: c_int = 6;

/// `_URC_NO_REASON` and `_URC_END_OF_STACK`.
const GO_ON: c_int = 0;
const ENOUGH: c_int = 5;

struct Search<'t> {
    thread: &'t Thread,
    found: Option<Registers>,
}

/// The registers of the first frame of V8 above this one, by C++'s own unwinder, which ends there:
/// V8's code has no unwind information.
fn caller_in(thread: &Thread) -> Option<Registers> {
    let mut search = Search { thread, found: None };
    // SAFETY: the function gets the pointer back that it is called with here.
    unsafe { _Unwind_Backtrace(look_at_frame, (&raw mut search).cast()) };
    search.found
}

extern "C" fn look_at_frame(context: *mut UnwindContext, argument: *mut c_void) -> c_int {
    // SAFETY: what `caller_in` passed, which is waiting.
    let search = unsafe { &mut *argument.cast::<Search<'_>>() };
    // SAFETY: the unwinder's own context, in its callback.
    let pc = unsafe { _Unwind_GetIP(context) } as u64;
    let holds = |range: &Range<u64>| range.contains(&pc.wrapping_sub(1));
    if !holds(&search.thread.facts.code) && !holds(&search.thread.facts.builtins) {
        return GO_ON;
    }
    // SAFETY: as above.
    let sp = unsafe { _Unwind_GetCFA(context) } as u64;
    // SAFETY: as above; every frame has that register.
    let fp = unsafe { _Unwind_GetGR(context, FRAME_POINTER) } as u64;
    search.found = Some(Registers { pc, sp, fp, lr: None });
    ENOUGH
}

/// Lets the core read frames of JavaScript by a layout, which the self-test has found right.
pub(crate) fn announce(layout: Layout) {
    let builtins =
        THREAD.with_borrow(|thread| thread.as_ref().map(|thread| thread.facts.builtins.start));
    if let Some(builtins) = builtins {
        sondage::v8::announce(Announced { layout, builtins, pid: None });
    }
}

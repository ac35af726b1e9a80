//! The hooks in Python's allocators, for profiles of memory: with `interpreter.rs` the one place of
//! this crate with `unsafe`.
//!
//! CPython asks a table of four functions for each block of the domains OBJ (objects) and MEM (what
//! belongs to them, such as a list's items). Other tools replace such tables too, each keeping what
//! it found to call it: a chain of layers. A layer of ours is taken out only if it is the first of
//! the chain. Otherwise it stays, as somebody calls it, and passes everything on; the next start
//! puts another layer before all others.
#![allow(unsafe_code, reason = "C functions are given to the interpreter and called")]

use std::cell::UnsafeCell;
use std::ffi::{CStr, c_int, c_void};
use std::mem::MaybeUninit;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use pyo3::Python;
use sondage::heap;

/// The numbers of the domains MEM and OBJ (`PyMemAllocatorDomain`, `Include/cpython/pymem.h`).
const DOMAINS: [c_int; 2] = [1, 2];

/// Times that a start may find another tool's layer before ours. Then memory is not profiled.
const LAYERS: usize = 8;

type Malloc = unsafe extern "C" fn(*mut c_void, usize) -> *mut c_void;
type Calloc = unsafe extern "C" fn(*mut c_void, usize, usize) -> *mut c_void;
type Realloc = unsafe extern "C" fn(*mut c_void, *mut c_void, usize) -> *mut c_void;
type Free = unsafe extern "C" fn(*mut c_void, *mut c_void);
type Get = unsafe extern "C" fn(c_int, *mut Allocator);
type Set = unsafe extern "C" fn(c_int, *const Allocator);

/// `PyMemAllocatorEx`, whose functions are never null.
#[repr(C)]
#[derive(Clone, Copy)]
struct Allocator {
    context: *mut c_void,
    malloc: Malloc,
    calloc: Calloc,
    realloc: Realloc,
    free: Free,
}

/// One of our places in a chain, which is what the hooks get as their context. In a cache line of
/// its own, which each of them reads.
#[repr(align(64))]
struct Layer {
    /// Whether blocks are told of here; they must not be twice.
    active: AtomicBool,
    state: AtomicU8,
    /// What is called. Written only while the layer is in no chain.
    below: UnsafeCell<MaybeUninit<Allocator>>,
}

/// States of a layer: in no chain, or in one.
const SPARE: u8 = 0;
const IN_CHAIN: u8 = 1;

// SAFETY: `below` is written under the interpreter's lock, while no chain has the layer, and read
// by its hooks, which are called only through a chain.
unsafe impl Sync for Layer {}

impl Layer {
    const fn new() -> Self {
        Self {
            active: AtomicBool::new(false),
            state: AtomicU8::new(SPARE),
            below: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    fn context(&self) -> *mut c_void {
        std::ptr::from_ref(self).cast_mut().cast()
    }

    fn is_active(&self) -> bool {
        self.active.load(Ordering::Relaxed)
    }

    fn hooks(&self) -> Allocator {
        Allocator { context: self.context(), malloc, calloc, realloc, free }
    }

    fn is_first_of(&self, chain: &Allocator) -> bool {
        chain.malloc as usize == malloc as Malloc as usize && chain.context == self.context()
    }
}

static CHAINS: [[Layer; LAYERS]; 2] = [const { [const { Layer::new() }; LAYERS] }; 2];

/// `PyMem_GetAllocator` and `PyMem_SetAllocator`, which every CPython exports.
#[derive(Clone, Copy)]
struct Interpreter {
    get: Get,
    set: Set,
}

impl Interpreter {
    /// Asks the loader once.
    fn find() -> Option<Self> {
        static FOUND: OnceLock<Option<Interpreter>> = OnceLock::new();
        *FOUND.get_or_init(Self::look_for)
    }

    fn look_for() -> Option<Self> {
        let get = symbol(c"PyMem_GetAllocator")?;
        let set = symbol(c"PyMem_SetAllocator")?;
        // SAFETY: the function of that name has this type.
        let get = unsafe { std::mem::transmute::<*mut c_void, Get>(get) };
        // SAFETY: as above.
        let set = unsafe { std::mem::transmute::<*mut c_void, Set>(set) };
        Some(Self { get, set })
    }

    /// What the interpreter asks first.
    fn first(self, domain: c_int) -> Allocator {
        let mut allocator = MaybeUninit::uninit();
        // SAFETY: copies the table of a domain that exists to the local.
        unsafe { (self.get)(domain, allocator.as_mut_ptr()) };
        // SAFETY: just written; the interpreter could not run with a null function in it.
        unsafe { allocator.assume_init() }
    }

    fn put_first(self, domain: c_int, allocator: &Allocator) {
        // SAFETY: the functions are those of a chain that was in use, or ours before it.
        unsafe { (self.set)(domain, allocator) };
    }
}

fn symbol(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: the name ends with a NUL, and the default scope needs no handle.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!found.is_null()).then_some(found)
}

/// Says that memory can be profiled, if it can.
pub(crate) fn announce() {
    if Interpreter::find().is_some() {
        heap::announce(are_on_top);
    }
}

/// Tells of every block from now on. Whether it does: not where other tools were put before ours
/// too often.
pub(crate) fn install(_py: Python<'_>) -> bool {
    let Some(interpreter) = Interpreter::find() else { return false };
    let installed = DOMAINS.iter().zip(&CHAINS).map(|(domain, layers)| {
        let first = interpreter.first(*domain);
        let own = layers.iter().find(|layer| layer.is_first_of(&first));
        let spare = || layers.iter().find(|layer| layer.state.load(Ordering::Relaxed) == SPARE);
        let Some(layer) = own.or_else(spare) else { return false };
        layers.iter().for_each(|layer| layer.active.store(false, Ordering::Relaxed));
        layer.active.store(true, Ordering::Relaxed);
        if own.is_none() {
            // SAFETY: the layer is in no chain, and the interpreter's lock is held.
            unsafe { (*layer.below.get()).write(first) };
            layer.state.store(IN_CHAIN, Ordering::Release);
            interpreter.put_first(*domain, &layer.hooks());
        }
        true
    });
    // Both, also where the first fails.
    installed.fold(true, |all, one| all & one)
}

/// Tells of no block any more, and leaves the chains where that can be done.
pub(crate) fn uninstall(_py: Python<'_>) {
    let Some(interpreter) = Interpreter::find() else { return };
    for (domain, layers) in DOMAINS.iter().zip(&CHAINS) {
        layers.iter().for_each(|layer| layer.active.store(false, Ordering::Relaxed));
        let first = interpreter.first(*domain);
        if let Some(layer) = layers.iter().find(|layer| layer.is_first_of(&first)) {
            // SAFETY: the layer is in a chain.
            interpreter.put_first(*domain, unsafe { below(layer) });
            layer.state.store(SPARE, Ordering::Release);
        }
    }
}

/// Whether both chains begin with a layer that tells of its blocks. Without the interpreter's lock:
/// a table that another thread is just replacing gives one wrong answer.
fn are_on_top() -> bool {
    let Some(interpreter) = Interpreter::find() else { return false };
    DOMAINS.iter().zip(&CHAINS).all(|(domain, layers)| {
        let first = interpreter.first(*domain);
        layers.iter().any(|layer| layer.is_active() && layer.is_first_of(&first))
    })
}

/// What a layer calls.
///
/// # Safety
/// The layer must be, or have been, in a chain.
#[inline(always)]
unsafe fn below(layer: &Layer) -> &Allocator {
    // SAFETY: not written while the layer is in a chain.
    let below = unsafe { &*layer.below.get() };
    // SAFETY: written before the layer came into its chain.
    unsafe { below.assume_init_ref() }
}

/// The layer that a hook was called for.
///
/// # Safety
/// `context` must be the one of a layer's hooks.
#[inline(always)]
unsafe fn layer<'a>(context: *mut c_void) -> &'a Layer {
    // SAFETY: layers are static.
    unsafe { &*context.cast::<Layer>() }
}

// The hooks end with a jump to the function below, nearly always. What is done for a sampled block
// stands in functions of its own, so that the others need no frame.

unsafe extern "C" fn malloc(context: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: the interpreter passes the context that it was given with this function.
    let layer = unsafe { layer(context) };
    if layer.is_active() && heap::is_due(size) {
        // SAFETY: a chain has called this hook with these arguments.
        return unsafe { malloc_sampled(layer, size) };
    }
    // SAFETY: a chain has called, so the layer is in it.
    let below = unsafe { below(layer) };
    // SAFETY: the function below this layer, and the caller's arguments.
    unsafe { (below.malloc)(below.context, size) }
}

unsafe extern "C" fn calloc(context: *mut c_void, count: usize, size: usize) -> *mut c_void {
    // SAFETY: as in `malloc`.
    let layer = unsafe { layer(context) };
    if layer.is_active() && heap::is_due(count.saturating_mul(size)) {
        // SAFETY: as in `malloc`.
        return unsafe { calloc_sampled(layer, count, size) };
    }
    // SAFETY: as in `malloc`.
    let below = unsafe { below(layer) };
    // SAFETY: as in `malloc`.
    unsafe { (below.calloc)(below.context, count, size) }
}

unsafe extern "C" fn realloc(context: *mut c_void, block: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: as in `malloc`.
    let layer = unsafe { layer(context) };
    if layer.is_active() {
        let is_due = heap::is_due(size);
        if is_due || heap::may_be_sampled(block as usize) {
            // SAFETY: as in `malloc`.
            return unsafe { realloc_sampled(layer, block, size, is_due) };
        }
    }
    // SAFETY: as in `malloc`.
    let below = unsafe { below(layer) };
    // SAFETY: as in `malloc`.
    unsafe { (below.realloc)(below.context, block, size) }
}

unsafe extern "C" fn free(context: *mut c_void, block: *mut c_void) {
    // SAFETY: as in `malloc`.
    let layer = unsafe { layer(context) };
    if layer.is_active() && heap::may_be_sampled(block as usize) {
        // SAFETY: as in `malloc`.
        return unsafe { free_sampled(layer, block) };
    }
    // SAFETY: as in `malloc`.
    let below = unsafe { below(layer) };
    // SAFETY: as in `malloc`.
    unsafe { (below.free)(below.context, block) };
}

/// # Safety
/// Of this and the three below: as the hook, which a chain has called with these arguments.
#[cold]
#[inline(never)]
unsafe extern "C" fn malloc_sampled(layer: &Layer, size: usize) -> *mut c_void {
    // SAFETY: as in `malloc`.
    let below = unsafe { below(layer) };
    // SAFETY: as in `malloc`.
    let block = unsafe { (below.malloc)(below.context, size) };
    heap::sample(block as usize, size);
    block
}

#[cold]
#[inline(never)]
unsafe extern "C" fn calloc_sampled(layer: &Layer, count: usize, size: usize) -> *mut c_void {
    // SAFETY: as in `malloc`.
    let below = unsafe { below(layer) };
    // SAFETY: as in `malloc`.
    let block = unsafe { (below.calloc)(below.context, count, size) };
    heap::sample(block as usize, count.saturating_mul(size));
    block
}

#[cold]
#[inline(never)]
unsafe extern "C" fn realloc_sampled(
    layer: &Layer,
    block: *mut c_void,
    size: usize,
    is_due: bool,
) -> *mut c_void {
    // SAFETY: as in `malloc`.
    let below = unsafe { below(layer) };
    // Before the call: what it frees, another thread may get at once.
    let resized = heap::resizing(block as usize);
    // SAFETY: as in `malloc`.
    let block = unsafe { (below.realloc)(below.context, block, size) };
    resized.finish(!block.is_null());
    if is_due {
        heap::sample(block as usize, size);
    }
    block
}

#[cold]
#[inline(never)]
unsafe extern "C" fn free_sampled(layer: &Layer, block: *mut c_void) {
    heap::freed(block as usize);
    // SAFETY: as in `malloc`.
    let below = unsafe { below(layer) };
    // SAFETY: as in `malloc`.
    unsafe { (below.free)(below.context, block) };
}

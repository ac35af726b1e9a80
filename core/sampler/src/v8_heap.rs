//! V8's own sampling of its heap, begun without the inspector: that would have it collect garbage
//! at each look, and the event loop stand still for it, a second for 400 MB.

use core::ffi::{CStr, c_int, c_void};

/// Frames of one stack.
const DEPTH: c_int = 128;

/// `v8::HeapProfiler::kSamplingNoFlags`: live objects alone, and no collection.
const NO_FLAGS: c_int = 0;

// The functions of V8's public interface that are called. Each takes and returns plain words.
type Current = unsafe extern "C" fn() -> *mut c_void;
type ProfilerOf = unsafe extern "C" fn(*mut c_void) -> *mut c_void;
type Start = unsafe extern "C" fn(*mut c_void, u64, c_int, c_int) -> bool;
type Stop = unsafe extern "C" fn(*mut c_void);

/// Samples the heap of the isolate that the calling thread runs, one in `rate` bytes. `Some(false)`
/// where somebody samples it already; `None` where this process has no V8 that can be asked, or the
/// thread runs none of its isolates.
///
/// The caller sees to it that [`stop_v8_heap_sampling`] is called before the isolate is disposed
/// of: V8 13.6 crashes if it still samples then.
pub fn start_v8_heap_sampling(rate: u64) -> Option<bool> {
    let start = symbol(c"_ZN2v812HeapProfiler25StartSamplingHeapProfilerEmiNS0_13SamplingFlagsE")?;
    // Without it nothing is started.
    symbol(STOP)?;
    // SAFETY: that of a method with a `uint64_t`, an `int` and an `enum` that returns a `bool`.
    let start = unsafe { core::mem::transmute::<*mut c_void, Start>(start) };
    let profiler = profiler()?;
    // SAFETY: the profiler belongs to the isolate that this thread runs, and no other can now.
    Some(unsafe { start(profiler, rate.max(1), DEPTH, NO_FLAGS) })
}

/// Ends the sampling of the calling thread's isolate, whoever has begun it; does nothing without
/// one.
pub fn stop_v8_heap_sampling() {
    let (Some(stop), Some(profiler)) = (symbol(STOP), profiler()) else { return };
    // SAFETY: the name is that of a method without arguments that returns nothing.
    let stop = unsafe { core::mem::transmute::<*mut c_void, Stop>(stop) };
    // SAFETY: as in `start_v8_heap_sampling`.
    unsafe { stop(profiler) };
}

const STOP: &CStr = c"_ZN2v812HeapProfiler24StopSamplingHeapProfilerEv";

/// The profiler of the isolate that the calling thread runs.
fn profiler() -> Option<*mut c_void> {
    let current = symbol(c"_ZN2v87Isolate10GetCurrentEv")?;
    let profiler_of = symbol(c"_ZN2v87Isolate15GetHeapProfilerEv")?;
    // SAFETY: the name is that of a static function without arguments that returns a pointer.
    let current = unsafe { core::mem::transmute::<*mut c_void, Current>(current) };
    // SAFETY: that of a method without arguments that returns a pointer.
    let profiler_of = unsafe { core::mem::transmute::<*mut c_void, ProfilerOf>(profiler_of) };
    // SAFETY: reads a variable of the thread.
    let isolate = unsafe { current() };
    if isolate.is_null() {
        return None;
    }
    // SAFETY: the isolate is alive, as this thread runs it.
    let profiler = unsafe { profiler_of(isolate) };
    (!profiler.is_null()).then_some(profiler)
}

fn symbol(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: the name ends with a NUL, and the default scope needs no handle.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!found.is_null()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_without_v8_says_that_there_is_none() {
        assert_eq!(start_v8_heap_sampling(512 << 10), None);
        stop_v8_heap_sampling();
    }
}

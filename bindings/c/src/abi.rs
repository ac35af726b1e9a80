//! The exports of `sondage.h` and the hooks of a preloaded library: the one file with `unsafe`.
//!
//! What pointers must point to is written in `sondage.h`; everything else is checked here.
#![allow(unsafe_code, reason = "raw pointers from C, and hooks that the loader calls")]

use std::ffi::{CStr, OsStr, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use sondage::LabelSet;

use crate::failure::{self, Failure, Status};
use crate::fence::fenced;
use crate::host;
use crate::report::stats_json;

/// More pairs than any call has reason to pass: a wrong count is refused instead of followed.
const MAX_PAIRS: usize = 1024;

fn answer(work: impl FnOnce() -> Result<(), Failure>) -> c_int {
    fenced(Status::Internal, || match work() {
        Ok(()) => Status::Ok,
        Err(failure) => {
            failure::remember(&failure.message);
            failure.status
        }
    }) as c_int
}

/// # Safety
/// `text` must be null or point to bytes that end with a NUL and live for `'a`.
unsafe fn text<'a>(text: *const c_char, what: &str) -> Result<&'a str, Failure> {
    if text.is_null() {
        return Err(Failure::new(Status::Invalid, format!("{what} is a null pointer")));
    }
    // SAFETY: not null, and the caller passes on C's promise that it ends with a NUL.
    let bytes = unsafe { CStr::from_ptr(text) };
    let wrong = |_| Failure::new(Status::Invalid, format!("{what} is not UTF-8 text"));
    bytes.to_str().map_err(wrong)
}

/// # Safety
/// `items` must point to `count` pointers unless `count` is 0.
unsafe fn array<'a>(
    items: *const *const c_char,
    count: usize,
) -> Result<&'a [*const c_char], Failure> {
    if count == 0 {
        return Ok(&[]);
    }
    if items.is_null() || count > 2 * MAX_PAIRS {
        let message = format!("{count} strings at {items:p}; allowed: {MAX_PAIRS} pairs at most");
        return Err(Failure::new(Status::Invalid, message));
    }
    // SAFETY: not null, and the caller passes on C's promise of `count` pointers there.
    Ok(unsafe { std::slice::from_raw_parts(items, count) })
}

/// # Safety
/// As for [`text`].
unsafe fn path<'a>(path: *const c_char) -> Option<&'a Path> {
    if path.is_null() {
        return None;
    }
    // SAFETY: not null, and the caller passes on C's promise that it ends with a NUL.
    let bytes = unsafe { CStr::from_ptr(path) };
    Some(Path::new(OsStr::from_bytes(bytes.to_bytes())))
}

/// Copies a text and a NUL into a buffer, cut where it does not fit. Returns the text's length.
///
/// # Safety
/// `buffer` must be null or have room for `size` bytes.
unsafe fn copy_out(text: &str, buffer: *mut c_char, size: usize) -> usize {
    if !buffer.is_null() && size > 0 {
        let length = text.len().min(size - 1);
        // SAFETY: `length` is less than `size`, the room that the caller promises; the text is
        // ours and does not overlap it.
        unsafe { std::ptr::copy_nonoverlapping(text.as_ptr().cast(), buffer, length) };
        // SAFETY: `length` is less than `size`.
        let end = unsafe { buffer.add(length) };
        // SAFETY: within the buffer, as above.
        unsafe { end.write(0) };
    }
    text.len()
}

/// See `sondage.h`.
///
/// # Safety
/// `settings` must point to `2 * pairs` strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sondage_start(settings: *const *const c_char, pairs: usize) -> c_int {
    answer(|| {
        // SAFETY: the caller of this function promises it.
        let strings = unsafe { array(settings, pairs.saturating_mul(2)) }?;
        // SAFETY: as above.
        let strings = strings.iter().map(|string| unsafe { text(*string, "a setting") });
        let strings = strings.collect::<Result<Vec<_>, _>>()?;
        let pairs: Vec<_> = strings.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        host::start(&pairs)
    })
}

/// See `sondage.h`.
///
/// # Safety
/// `file` must be null or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sondage_stop(file: *const c_char) -> c_int {
    // SAFETY: the caller of this function promises it.
    answer(|| host::stop(unsafe { path(file) }))
}

/// See `sondage.h`.
///
/// # Safety
/// `file` must be null or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sondage_flush(file: *const c_char) -> c_int {
    // SAFETY: the caller of this function promises it.
    answer(|| host::flush(unsafe { path(file) }))
}

/// See `sondage.h`.
///
/// # Safety
/// `buffer` must be null or have room for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sondage_stats(buffer: *mut c_char, size: usize) -> usize {
    let json = fenced(String::from("{}"), || stats_json(host::stats().as_ref()));
    // SAFETY: the caller of this function promises it.
    unsafe { copy_out(&json, buffer, size) }
}

/// See `sondage.h`.
///
/// # Safety
/// `buffer` must be null or have room for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sondage_last_error(buffer: *mut c_char, size: usize) -> usize {
    // Not behind the fence: it is what tells that a defect has closed it.
    let message = std::panic::catch_unwind(failure::last).unwrap_or_default();
    // SAFETY: the caller of this function promises it.
    unsafe { copy_out(&message, buffer, size) }
}

/// See `sondage.h`.
///
/// # Safety
/// `keys` and `values` must each point to `count` strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sondage_label_set(
    keys: *const *const c_char,
    values: *const *const c_char,
    count: usize,
) -> u32 {
    fenced(0, || {
        let made = (|| {
            // SAFETY: the caller of this function promises it.
            let keys = unsafe { array(keys, count) }?;
            // SAFETY: as above.
            let values = unsafe { array(values, count) }?;
            let mut set = LabelSet::current();
            for (key, value) in keys.iter().zip(values) {
                // SAFETY: as above.
                let key = unsafe { text(*key, "a label's name") }?;
                // SAFETY: as above.
                let value = unsafe { text(*value, "a label's value") }?;
                set = set.with([(key, value)]);
            }
            Ok::<_, Failure>(set)
        })();
        made.unwrap_or_else(|failure| {
            failure::remember(&failure.message);
            LabelSet::current()
        })
        .id()
    })
}

/// Makes a set current under the thread's span, and returns the one that was.
fn change_labels(labels: u32) -> u32 {
    let current = LabelSet::current();
    let span = current.span_id().unwrap_or(0);
    LabelSet::from_id(labels).with_span(span, current.trace_id()).make_current().id()
}

/// See `sondage.h`.
#[unsafe(no_mangle)]
pub extern "C" fn sondage_enter(labels: u32) -> u32 {
    fenced(0, || change_labels(labels))
}

/// See `sondage.h`.
#[unsafe(no_mangle)]
pub extern "C" fn sondage_exit(previous: u32) {
    fenced((), || _ = change_labels(previous));
}

/// `sondage_span` of `sondage.h`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Span {
    span_id: [u8; 8],
    trace_id: [u8; 16],
}

/// Makes a span current beside the thread's labels, and returns the one that was.
fn change_span(span: Span) -> Span {
    let trace = u128::from_be_bytes(span.trace_id);
    let set = LabelSet::current().with_span(u64::from_be_bytes(span.span_id), Some(trace));
    let before = set.make_current();
    Span {
        span_id: before.span_id().unwrap_or(0).to_be_bytes(),
        trace_id: before.trace_id().unwrap_or(0).to_be_bytes(),
    }
}

/// See `sondage.h`.
///
/// # Safety
/// `span` must be null or point to a `sondage_span`, `previous` null or to room for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sondage_enter_span(span: *const Span, previous: *mut Span) {
    // SAFETY: null, or the caller of this function promises a span there; it is bytes, which need
    // no alignment.
    let span = unsafe { span.as_ref() }.copied().unwrap_or_default();
    let before = fenced(Span::default(), || change_span(span));
    if !previous.is_null() {
        // SAFETY: not null, and the caller of this function promises room for a span.
        unsafe { previous.write(before) };
    }
}

/// See `sondage.h`.
///
/// # Safety
/// `previous` must be null or point to a `sondage_span`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sondage_exit_span(previous: *const Span) {
    // SAFETY: the caller of this function promises it.
    unsafe { sondage_enter_span(previous, std::ptr::null_mut()) };
}

/// See `sondage.h`.
#[unsafe(no_mangle)]
pub extern "C" fn sondage_register_thread() {
    fenced((), sondage::register_thread);
}

/// What the loader calls when the library is loaded and when the process ends, and the two
/// functions that end a process without that call. Not in this crate's own tests.
mod hooks {
    use std::ffi::{CStr, c_int, c_void};
    use std::sync::atomic::{AtomicPtr, Ordering};
    use std::time::Duration;

    use sondage::config::EnginePolicy;
    use sondage_recorder::{Options, PATIENCE};

    use crate::fence::{fenced, silence};

    #[used]
    // SAFETY: the section holds pointers to functions that take nothing the callee reads.
    #[unsafe(link_section = ".init_array")]
    static AT_LOAD: extern "C" fn() = at_load;

    #[used]
    // SAFETY: as above.
    #[unsafe(link_section = ".fini_array")]
    static AT_END: extern "C" fn() = at_end;

    /// The `_exit` that the program would call without this library.
    static NEXT_EXIT: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

    extern "C" fn at_load() {
        fenced((), || {
            silence();
            if sondage_recorder::begin(options()) {
                // SAFETY: the name ends with a NUL; a null result is checked for where it is used.
                let next = unsafe { libc::dlsym(libc::RTLD_NEXT, c"_exit".as_ptr()) };
                NEXT_EXIT.store(next, Ordering::Relaxed);
                sondage_sampler::on_fork_in_child(in_child);
            }
        });
    }

    /// A program of Python or Node.js is recorded by the package for that language, if it is there:
    /// it knows the language's frames. It takes its time, and says so by
    /// `sondage_recorder_stand_down`.
    fn options() -> Options {
        const PACKAGE_PATIENCE: Duration = Duration::from_secs(1);
        let packages = [
            ("SONDAGE_RECORD_PYTHON", c"Py_BytesMain"),
            ("SONDAGE_RECORD_NODE", c"napi_module_register"),
        ];
        let expected = packages
            .into_iter()
            .any(|(variable, symbol)| std::env::var_os(variable).is_some() && has(symbol));
        let patience = if expected { PACKAGE_PATIENCE } else { PATIENCE };
        Options { patience, stop_at_end: false, engine: EnginePolicy::Auto }
    }

    /// Whether the program, or a library that it was linked with, has this symbol.
    fn has(symbol: &CStr) -> bool {
        // SAFETY: the name ends with a NUL, and the default scope needs no handle.
        !unsafe { libc::dlsym(libc::RTLD_DEFAULT, symbol.as_ptr()) }.is_null()
    }

    /// For another Sondage in this process, which records it from now on.
    #[unsafe(no_mangle)]
    extern "C" fn sondage_recorder_stand_down() {
        fenced((), sondage_recorder::stand_down);
    }

    extern "C" fn in_child() {
        fenced((), sondage_recorder::begin_in_child);
    }

    extern "C" fn at_end() {
        fenced((), sondage_recorder::end);
    }

    /// `_exit` runs no destructors: forked children end with it. What is recorded is written
    /// first; a process that is not recorded, and a child of vfork, go straight on.
    #[unsafe(no_mangle)]
    extern "C" fn _exit(status: c_int) -> ! {
        fenced((), sondage_recorder::end);
        let next = NEXT_EXIT.load(Ordering::Relaxed);
        if !next.is_null() {
            // SAFETY: it is the address of the next function of this name, which has this type.
            let next: extern "C" fn(c_int) -> ! = unsafe { std::mem::transmute(next) };
            next(status);
        }
        loop {
            // SAFETY: takes one number.
            unsafe { libc::syscall(libc::SYS_exit_group, status) };
        }
    }

    #[unsafe(no_mangle)]
    #[allow(non_snake_case, reason = "the name that C gave it")]
    extern "C" fn _Exit(status: c_int) -> ! {
        _exit(status)
    }
}

//! Java in a recorded process: loads the profiler that knows its frames into the virtual machine.
//!
//! Launchers, and the class loader of the runtime library, look a function of the machine up by its
//! name, where a preloaded library comes first. So this one is asked, in a thread of Java, once the
//! machine has started and before the program's own code: the moment for an agent to begin. No
//! option is given to the machine, which would print it, and nothing waits for it to appear
//! (decision 0016). The package for Node.js, which preloads its addon, has this file too.
#![allow(
    unsafe_code,
    reason = "a function that Java's launchers look up, and calls of its machine"
)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use crate::fence::guarded;
use crate::hooks;

/// Names the library to load, for a process that is recorded.
pub(crate) const VARIABLE: &str = "SONDAGE_RECORD_JVM";

/// The machine runs, but agents cannot begin yet: what `Agent_OnAttach` of our library answers.
const NOT_READY: c_int = 3;

/// `GetJavaVM` among the functions of JNI, by its specification.
const GET_JAVA_VM: usize = 219;

/// Nothing was done yet.
const WAITING: u32 = 0;
/// A thread is about to.
const TRYING: u32 = 1;
/// It is done, or cannot be.
const DONE: u32 = 2;

static STATE: AtomicU32 = AtomicU32::new(WAITING);

/// What to load.
static LIBRARY: OnceLock<CString> = OnceLock::new();

/// The function of the virtual machine.
static NEXT: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

type FindClass = unsafe extern "C" fn(*mut c_void, *const c_char) -> *mut c_void;
type OnAttach = unsafe extern "C" fn(*mut c_void, *const c_char, *mut c_void) -> c_int;
type GetJavaVm = unsafe extern "C" fn(*mut c_void, *mut *mut c_void) -> c_int;

/// This process is recorded: should a virtual machine start in it, it gets the library that the
/// environment names.
pub(crate) fn expect() {
    let library = std::env::var_os(VARIABLE).map(OsStringExt::into_vec).map(CString::new);
    if let Some(Ok(library)) = library {
        let _ = LIBRARY.set(library);
    }
}

/// Stands before the function of that name in `libjvm.so`, which finds a class of the runtime
/// library, and goes on to it.
///
/// # Safety
/// The arguments are those of a caller who takes this for the machine's function: the environment
/// of its thread, and a name.
#[unsafe(no_mangle)]
#[allow(non_snake_case, reason = "the name that Java gave it")]
unsafe extern "C" fn JVM_FindClassFromBootLoader(
    jni: *mut c_void,
    name: *const c_char,
) -> *mut c_void {
    // SAFETY: the caller's promise.
    guarded(|| unsafe { begin(jni) });
    let next = next();
    if next.is_null() {
        return std::ptr::null_mut();
    }
    // SAFETY: the function of that name in the virtual machine has this type.
    let next: FindClass = unsafe { std::mem::transmute(next) };
    // SAFETY: the caller's own arguments.
    unsafe { next(jni, name) }
}

/// The machine's own function; null where there is none.
fn next() -> *mut c_void {
    const NAME: &CStr = c"JVM_FindClassFromBootLoader";
    let known = NEXT.load(Ordering::Relaxed);
    if !known.is_null() {
        return known;
    }
    // SAFETY: the name ends with a NUL, and the next scope needs no handle.
    let mut found = unsafe { libc::dlsym(libc::RTLD_NEXT, NAME.as_ptr()) };
    if found.is_null() {
        // Who embeds a machine may load it so that nobody finds its names.
        let flags = libc::RTLD_LAZY | libc::RTLD_NOLOAD;
        // SAFETY: only a library that is loaded already is found.
        let machine = unsafe { libc::dlopen(c"libjvm.so".as_ptr(), flags) };
        if !machine.is_null() {
            // SAFETY: a handle of the loader's, and a name that ends with a NUL.
            found = unsafe { libc::dlsym(machine, NAME.as_ptr()) };
        }
    }
    NEXT.store(found, Ordering::Relaxed);
    found
}

/// Has the library begin, if it has not and the machine is ready for it.
///
/// # Safety
/// It must be the environment of the calling thread.
unsafe fn begin(jni: *mut c_void) {
    let Some(library) = LIBRARY.get().filter(|_| !jni.is_null()) else { return };
    // What the library does may bring its thread here again.
    let first = STATE.compare_exchange(WAITING, TRYING, Ordering::AcqRel, Ordering::Acquire);
    if first.is_err() {
        return;
    }
    if hooks::is_followed() {
        // The program has brought a copy of its own.
        return STATE.store(DONE, Ordering::Release);
    }
    // SAFETY: the caller's promise.
    let done = match unsafe { attach(jni, library) } {
        Ok(NOT_READY) => WAITING,
        Ok(_) => DONE,
        Err(reason) => {
            tell(&reason);
            DONE
        }
    };
    STATE.store(done, Ordering::Release);
}

/// # Safety
/// It must be the environment of the calling thread.
unsafe fn attach(jni: *mut c_void, library: &CStr) -> Result<c_int, String> {
    let mut vm = std::ptr::null_mut();
    // SAFETY: an environment points to a pointer to its table of functions.
    let table = unsafe { *jni.cast::<*const *const c_void>() };
    // SAFETY: the table is at least that of 1.2, which has this function.
    let get_vm = unsafe { table.add(GET_JAVA_VM) };
    // SAFETY: as above.
    let get_vm = unsafe { *get_vm };
    // SAFETY: the function of that number has this type.
    let get_vm: GetJavaVm = unsafe { std::mem::transmute(get_vm) };
    // SAFETY: the calling thread's environment; writes one pointer to the local.
    if unsafe { get_vm(jni, &raw mut vm) } != 0 {
        return Err("its virtual machine is not told".to_owned());
    }
    // SAFETY: a path that ends with a NUL; what the library does as it is loaded is our own.
    let handle = unsafe { libc::dlopen(library.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if handle.is_null() {
        return Err(last_error());
    }
    // SAFETY: the handle of the line above, and a name that ends with a NUL.
    let on_attach = unsafe { libc::dlsym(handle, c"Agent_OnAttach".as_ptr()) };
    if on_attach.is_null() {
        return Err(format!("{} is no agent", library.to_string_lossy()));
    }
    // SAFETY: the function of that name has this type in every agent.
    let on_attach: OnAttach = unsafe { std::mem::transmute(on_attach) };
    // SAFETY: the machine of this thread, no options, and what is always null.
    Ok(unsafe { on_attach(vm, c"".as_ptr(), std::ptr::null_mut()) })
}

/// Why the loader has not loaded something.
fn last_error() -> String {
    // SAFETY: has no precondition.
    let text = unsafe { libc::dlerror() };
    if text.is_null() {
        return "the loader does not say why".to_owned();
    }
    // SAFETY: the loader's own text, which stays until its next call on this thread.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// Says why Java's own frames will be missing: to `sondage record`, which says it at its end.
fn tell(reason: &str) {
    let Some(directory) = std::env::var_os("SONDAGE_RECORD_DIR") else { return };
    let path = Path::new(&directory).join("java.failed");
    let line = format!("Java: its code is not recorded, only the virtual machine: {reason}\n");
    // One of each kind is enough.
    let _ = sondage_recorder::write(&path, line.as_bytes());
}

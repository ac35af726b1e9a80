//! What the virtual machine calls: when it loads this library, and at events.
#![allow(unsafe_code, reason = "pointers of the virtual machine")]

use std::ffi::{CStr, c_char, c_void};

use jni_sys::{JNIEnv, JavaVM, jclass, jint, jlong, jmethodID, jobject};

use crate::doors::{self, Attached};
use crate::fence::fenced;
use crate::jvmti::{Callback, Event, Frame, Jvmti, Thread};
use crate::vm::{Jni, Vm};
use crate::{from_java, locks, memory, stubs};

/// `-agentpath:libsondage_jvm.so=OPTIONS`: the machine is about to start.
#[unsafe(no_mangle)]
extern "C" fn Agent_OnLoad(vm: *mut JavaVM, options: *const c_char, _: *mut c_void) -> jint {
    // SAFETY: the machine's own arguments.
    let (vm, options) = unsafe { arguments(vm, options) };
    // Refusing would end the machine.
    fenced((), || doors::loaded(vm, options));
    0
}

/// An agent that is loaded into a machine that runs.
#[unsafe(no_mangle)]
extern "C" fn Agent_OnAttach(vm: *mut JavaVM, options: *const c_char, _: *mut c_void) -> jint {
    // SAFETY: the machine's own arguments.
    let (vm, options) = unsafe { arguments(vm, options) };
    fenced(Attached::Failed, || doors::attached(vm, options)) as jint
}

/// # Safety
/// They must be those of one of the functions above.
unsafe fn arguments(vm: *mut JavaVM, options: *const c_char) -> (Vm, String) {
    // SAFETY: the caller's promise.
    let vm = unsafe { Vm::new(vm) };
    if options.is_null() {
        return (vm, String::new());
    }
    // SAFETY: the machine's texts end with a NUL.
    let options = unsafe { CStr::from_ptr(options) };
    (vm, options.to_string_lossy().into_owned())
}

/// What is called at which event.
pub(crate) const CALLBACKS: [Callback; 12] = [
    Callback::Thread(Event::VmInit, on_init),
    Callback::Vm(Event::VmDeath, on_death),
    Callback::Thread(Event::ThreadStart, on_thread_start),
    Callback::Thread(Event::ThreadEnd, on_thread_end),
    Callback::Class(Event::ClassLoad, on_class_load),
    Callback::Allocation(on_allocation),
    Callback::Free(on_free),
    Callback::Monitor(Event::MonitorContendedEnter, on_contended),
    Callback::Monitor(Event::MonitorContendedEntered, on_entered),
    Callback::Bind(on_bind),
    Callback::Stub(on_stub),
    Callback::Code(on_code),
];

extern "C" fn on_init(jvmti: Jvmti, jni: *mut JNIEnv, _: Thread) {
    // SAFETY: the environment of the calling thread.
    let jni = unsafe { Jni::new(jni) };
    fenced((), || doors::begin(jvmti, jni));
}

extern "C" fn on_death(_: Jvmti, _: *mut JNIEnv) {
    fenced((), doors::end);
}

extern "C" fn on_thread_start(_: Jvmti, jni: *mut JNIEnv, thread: Thread) {
    // SAFETY: the environment of the calling thread.
    let jni = unsafe { Jni::new(jni) };
    fenced((), || doors::thread_starts(jni, thread));
}

extern "C" fn on_thread_end(_: Jvmti, _: *mut JNIEnv, _: Thread) {
    fenced((), doors::thread_ends);
}

extern "C" fn on_class_load(jvmti: Jvmti, jni: *mut JNIEnv, _: Thread, _: jclass) {
    // SAFETY: the environment of the calling thread.
    let jni = unsafe { Jni::new(jni) };
    fenced((), || from_java::class_loads(jvmti, jni));
}

extern "C" fn on_allocation(
    jvmti: Jvmti,
    _: *mut JNIEnv,
    _: Thread,
    object: jobject,
    _: jclass,
    bytes: jlong,
) {
    fenced((), || memory::allocated(jvmti, object, bytes));
}

extern "C" fn on_free(_: Jvmti, tag: jlong) {
    fenced((), || memory::freed(tag));
}

extern "C" fn on_contended(jvmti: Jvmti, _: *mut JNIEnv, thread: Thread, _: jobject) {
    fenced((), || locks::waits(jvmti, thread));
}

extern "C" fn on_entered(jvmti: Jvmti, _: *mut JNIEnv, thread: Thread, _: jobject) {
    fenced((), || locks::waited(jvmti, thread));
}

extern "C" fn on_bind(
    _: Jvmti,
    _: *mut JNIEnv,
    _: Thread,
    method: jmethodID,
    address: *mut c_void,
    instead: *mut *mut c_void,
) {
    if let Some(ours) = fenced(None, || locks::binds(method, address)) {
        // SAFETY: the machine's own place for it.
        unsafe { *instead = ours };
    }
}

extern "C" fn on_stub(_: Jvmti, name: *const c_char, start: *const c_void, bytes: jint) {
    if name.is_null() {
        return;
    }
    // SAFETY: the machine's texts end with a NUL.
    let name = unsafe { CStr::from_ptr(name) };
    let range = start as u64..(start as u64).saturating_add(u64::try_from(bytes).unwrap_or(0));
    fenced((), || stubs::is_told(range, name));
}

/// What the machine tells of compiled code beside the table of its own method
/// (`jvmticmlr.h`).
#[repr(C)]
struct Record {
    kind: jint,
    major: jint,
    minor: jint,
    next: *const Record,
    /// Of a record of kind 2 only.
    count: jint,
    places: *const Place,
}

/// An address, and the methods that run there, leaf first.
#[repr(C)]
struct Place {
    pc: *const c_void,
    count: jint,
    methods: *const jmethodID,
    locations: *const jint,
}

const INLINING: jint = 2;

extern "C" fn on_code(
    jvmti: Jvmti,
    _: jmethodID,
    _: jint,
    _: *const c_void,
    _: jint,
    _: *const c_void,
    record: *const c_void,
) {
    // SAFETY: null, or the machine's record, which begins like this.
    let record = unsafe { record.cast::<Record>().as_ref() };
    let Some(record) = record.filter(|record| record.kind == INLINING) else { return };
    // SAFETY: the machine's list of so many, for the time of this call.
    let places = unsafe { list(record.places, record.count) };
    fenced((), || {
        doors::code_is_made(
            jvmti,
            places.iter().map(|place| {
                // SAFETY: as above.
                let methods = unsafe { list(place.methods, place.count) };
                // SAFETY: as above.
                let locations = unsafe { list(place.locations, place.count) };
                let frames = methods.iter().zip(locations);
                let frames =
                    frames.map(|(method, at)| Frame { method: *method, location: (*at).into() });
                (place.pc as u64, frames.collect())
            }),
        );
    });
}

/// # Safety
/// There must be so many, or none.
unsafe fn list<'a, T>(start: *const T, count: jint) -> &'a [T] {
    match usize::try_from(count) {
        // SAFETY: the caller's promise.
        Ok(count) if !start.is_null() => unsafe { std::slice::from_raw_parts(start, count) },
        _ => &[],
    }
}

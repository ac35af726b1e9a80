//! The functions of `sondage.Native`.
#![allow(unsafe_code, reason = "exports of names, and pointers of the virtual machine")]

use std::ptr;

use jni_sys::{
    JNI_VERSION_1_6, JNIEnv, JavaVM, jboolean, jbyteArray, jclass, jint, jlong, jlongArray,
    jobject, jobjectArray, jstring,
};
use sondage::{Error, ErrorKind, LabelSet};
use std::ffi::c_void;

use crate::fence::fenced;
use crate::vm::{Jni, Vm};
use crate::{agent, doors, streaming};

#[unsafe(no_mangle)]
extern "C" fn JNI_OnLoad(vm: *mut JavaVM, _: *mut c_void) -> jint {
    // SAFETY: the machine's own argument.
    let vm = unsafe { Vm::new(vm) };
    fenced((), || doors::loaded_by_program(vm));
    JNI_VERSION_1_6
}

/// # Safety
/// It must be the environment of the calling thread.
unsafe fn environment(jni: *mut JNIEnv) -> Jni {
    // SAFETY: the caller's promise.
    unsafe { Jni::new(jni) }
}

fn throw(jni: Jni, error: &Error) {
    let class = match error.kind() {
        ErrorKind::InvalidInput => c"java/lang/IllegalArgumentException",
        _ => c"java/lang/IllegalStateException",
    };
    jni.throw(class, &error.to_string());
}

#[unsafe(no_mangle)]
extern "C" fn Java_sondage_Native_begin(jni: *mut JNIEnv, _: jclass, options: jstring) {
    // SAFETY: the machine's own argument.
    let jni = unsafe { environment(jni) };
    fenced((), || doors::begun_by_jar(jni.text(options)));
}

#[unsafe(no_mangle)]
extern "C" fn Java_sondage_Native_start(
    jni: *mut JNIEnv,
    _: jclass,
    settings: jobjectArray,
) -> jobjectArray {
    // SAFETY: the machine's own argument.
    let jni = unsafe { environment(jni) };
    fenced(ptr::null_mut(), || {
        let texts = jni.texts(settings);
        let (pairs, _) = texts.as_chunks::<2>();
        let pairs: Vec<_> = pairs.iter().map(|[name, text]| (name.clone(), text.clone())).collect();
        match doors::start(jni, &pairs) {
            Ok(warnings) => jni.new_texts(&warnings),
            Err(error) => {
                throw(jni, &error);
                ptr::null_mut()
            }
        }
    })
}

#[unsafe(no_mangle)]
extern "C" fn Java_sondage_Native_stop(jni: *mut JNIEnv, _: jclass) {
    // SAFETY: the machine's own argument.
    let jni = unsafe { environment(jni) };
    fenced((), || {
        if let Err(error) = agent::stop() {
            throw(jni, &error);
        }
    });
}

#[unsafe(no_mangle)]
extern "C" fn Java_sondage_Native_flush(jni: *mut JNIEnv, _: jclass) -> jbyteArray {
    // SAFETY: the machine's own argument.
    let jni = unsafe { environment(jni) };
    fenced(ptr::null_mut(), || match agent::flush() {
        Some(Ok(profile)) => jni.new_bytes(&profile),
        Some(Err(error)) => {
            throw(jni, &error);
            ptr::null_mut()
        }
        None => ptr::null_mut(),
    })
}

#[unsafe(no_mangle)]
extern "C" fn Java_sondage_Native_stats(jni: *mut JNIEnv, _: jclass) -> jstring {
    // SAFETY: the machine's own argument.
    let jni = unsafe { environment(jni) };
    let stats = || agent::stats().map_or(ptr::null_mut(), |stats| jni.new_text(&stats));
    fenced(ptr::null_mut(), stats)
}

#[unsafe(no_mangle)]
extern "C" fn Java_sondage_Native_isRunning(_: *mut JNIEnv, _: jclass) -> jboolean {
    fenced(false, agent::is_running)
}

#[unsafe(no_mangle)]
extern "C" fn Java_sondage_Native_label(
    jni: *mut JNIEnv,
    _: jclass,
    before: jint,
    key: jstring,
    value: jstring,
) -> jint {
    // SAFETY: the machine's own argument.
    let jni = unsafe { environment(jni) };
    fenced(before, || {
        let (key, value) = (jni.text(key), jni.text(value));
        let before = LabelSet::from_id(before as u32);
        before.with([(&*key, &*value)]).id() as jint
    })
}

#[unsafe(no_mangle)]
extern "C" fn Java_sondage_Native_cell(jni: *mut JNIEnv, _: jclass) -> jobject {
    // SAFETY: the machine's own argument.
    let jni = unsafe { environment(jni) };
    fenced(ptr::null_mut(), || {
        sondage::register_thread();
        match sondage::label_cell() {
            cell if cell.is_null() => ptr::null_mut(),
            cell => jni.new_buffer(cell),
        }
    })
}

#[unsafe(no_mangle)]
extern "C" fn Java_sondage_Native_labelsAreIn(
    jni: *mut JNIEnv,
    _: jclass,
    local: jobject,
    holder: jclass,
    ids: jclass,
) {
    // SAFETY: the machine's own argument.
    let jni = unsafe { environment(jni) };
    fenced((), || doors::labels_are_in(jni, local, holder, ids));
}

#[unsafe(no_mangle)]
extern "C" fn Java_sondage_Native_streamed(
    jni: *mut JNIEnv,
    _: jclass,
    texts: jobjectArray,
    words: jlongArray,
) -> jlong {
    // SAFETY: the machine's own argument.
    let jni = unsafe { environment(jni) };
    fenced(0, || streaming::hand_over(&jni.texts(texts), &jni.longs(words)))
}

#[unsafe(no_mangle)]
extern "C" fn Java_sondage_Native_streamingFailed(jni: *mut JNIEnv, _: jclass, reason: jstring) {
    // SAFETY: the machine's own argument.
    let jni = unsafe { environment(jni) };
    fenced((), || doors::streaming_failed(&jni.text(reason)));
}

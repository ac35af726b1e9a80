//! Profiles of waits for locks: those of monitors, of which the virtual machine tells, and those of the
//! locks of `java.util.concurrent`, which wait in one native function: ours stands before it.
#![allow(unsafe_code, reason = "stands before a function of the virtual machine")]

use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::time::Instant;

use jni_sys::{JNIEnv, jboolean, jlong, jmethodID, jobject};
use sondage::contention;
use std::ffi::c_void;

use crate::fence::fenced;
use crate::from_java::{self, LEAST_FRAMES};
use crate::jvmti::{Capability, Event, Jvmti, Thread};
use crate::vm::{Field, Jni};

/// What an agent must be able to do for this.
const CAPABILITIES: [Capability; 2] =
    [Capability::MonitorEvents, Capability::NativeMethodBindEvents];

/// Classes whose objects are locks. Others wait for work, not for each other.
const LOCKS: [&[u8]; 3] = [
    b"Ljava/util/concurrent/locks/ReentrantLock",
    b"Ljava/util/concurrent/locks/ReentrantReadWriteLock",
    b"Ljava/util/concurrent/Semaphore",
];

/// `Unsafe.park`, in which threads wait.
type Park = extern "system" fn(*mut JNIEnv, jobject, jboolean, jlong);

/// What the virtual machine had under that name.
static PARK: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// The method whose native function is replaced, while that goes on.
static REPLACED: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

static WATCHED: AtomicBool = AtomicBool::new(false);

/// What a wait's class is asked with.
struct Asked {
    jvmti: Jvmti,
    blocker: Field,
}

static ASKED: OnceLock<Asked> = OnceLock::new();

/// Says that locks can be watched, if the virtual machine allows it.
pub(crate) fn prepare(jvmti: Jvmti) {
    if CAPABILITIES.iter().all(|capability| jvmti.add_capability(*capability).is_ok()) {
        contention::announce();
    }
}

/// Watches locks, or does not from here on.
pub(crate) fn watch(jvmti: Jvmti, jni: Jni, on: bool) {
    if on == WATCHED.swap(on, Ordering::AcqRel) {
        return;
    }
    let _ = jvmti.enable(Event::MonitorContendedEnter, on);
    let _ = jvmti.enable(Event::MonitorContendedEntered, on);
    if on && PARK.load(Ordering::Acquire).is_null() {
        // Where no frame of the runtime library is on the stack, it warns of such changes.
        from_java::run(jvmti, jni, |jvmti, jni| {
            let frames = jvmti.frame_count().unwrap_or(0);
            if frames >= LEAST_FRAMES {
                stand_before_park(jvmti, jni);
            }
            frames >= LEAST_FRAMES
        });
    }
}

/// Nanoseconds since the first call, and one more.
fn now() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let nanos = START.get_or_init(Instant::now).elapsed().as_nanos();
    u64::try_from(nanos).unwrap_or(u64::MAX).saturating_add(1)
}

/// The calling thread begins to wait for a monitor. It may go on as another thread of the system.
pub(crate) fn waits(jvmti: Jvmti, thread: Thread) {
    let _ = jvmti.set_thread_value(thread, now() as usize);
}

/// It has the monitor.
pub(crate) fn waited(jvmti: Jvmti, thread: Thread) {
    let since = jvmti.thread_value(thread).unwrap_or(0) as u64;
    let nanos = now().saturating_sub(since);
    if since != 0 && contention::is_due(nanos) {
        contention::sample(nanos);
    }
}

/// Has the virtual machine call ours in the place of its own function. It tells which one that is when
/// it registers its functions again, but only of those that were changed.
fn stand_before_park(jvmti: Jvmti, jni: Jni) {
    let class = c"jdk/internal/misc/Unsafe";
    let signature = c"(ZJ)V";
    let blocker = jni.field(c"java/lang/Thread", c"parkBlocker", c"Ljava/lang/Object;");
    let (Some(blocker), Some(method)) = (blocker, jni.method(class, c"park", signature)) else {
        return;
    };
    let _ = ASKED.set(Asked { jvmti, blocker });
    REPLACED.store(method.cast(), Ordering::Release);
    if jni.register(class, c"park", signature, park as *mut c_void) {
        let _ = jvmti.enable(Event::NativeMethodBind, true);
        jni.call_static(class, c"registerNatives");
        let _ = jvmti.enable(Event::NativeMethodBind, false);
    }
    REPLACED.store(ptr::null_mut(), Ordering::Release);
}

/// A native function gets its address; returns that which it is to have instead.
pub(crate) fn binds(method: jmethodID, address: *mut c_void) -> Option<*mut c_void> {
    let ours = park as *mut c_void;
    if method.cast() != REPLACED.load(Ordering::Acquire) || address == ours {
        return None;
    }
    PARK.store(address, Ordering::Release);
    Some(ours)
}

/// What stands before `Unsafe.park`.
extern "system" fn park(jni: *mut JNIEnv, this: jobject, absolute: jboolean, time: jlong) {
    let original = PARK.load(Ordering::Acquire);
    // For a moment it is not known. Who parks must bear that it ends without a cause.
    let Some(original) = ptr::NonNull::new(original) else { return };
    // SAFETY: the virtual machine has told that this is the function of that name.
    let original = unsafe { std::mem::transmute::<ptr::NonNull<c_void>, Park>(original) };
    let since = contention::is_on().then(now);
    original(jni, this, absolute, time);
    if let Some(since) = since {
        // SAFETY: the environment of the calling thread.
        let jni = unsafe { Jni::new(jni) };
        fenced((), || parked(jni, now().saturating_sub(since)));
    }
}

fn parked(jni: Jni, nanos: u64) {
    if !contention::is_due(nanos) {
        return;
    }
    let Some(asked) = ASKED.get() else { return };
    let Ok(thread) = asked.jvmti.current_thread() else { return };
    let blocker = jni.object(thread, asked.blocker);
    if !blocker.is_null() {
        let class = jni.class_of(blocker);
        let signature = asked.jvmti.class_signature(class).unwrap_or_default();
        if LOCKS.iter().any(|lock| signature.starts_with(lock)) {
            contention::sample(nanos);
        }
        jni.forget(class);
        jni.forget(blocker);
    }
    jni.forget(thread);
}

/// What the callbacks of monitors are called with.
pub(crate) type OnMonitor = extern "C" fn(Jvmti, *mut JNIEnv, Thread, jobject);

/// What the callback of native functions is called with.
pub(crate) type OnBind =
    extern "C" fn(Jvmti, *mut JNIEnv, Thread, jmethodID, *mut c_void, *mut *mut c_void);

//! The tool interface of the virtual machine (JVMTI): its table of functions, as far as it is used.
//!
//! The numbers are those of the specification, which never change.
#![allow(unsafe_code, reason = "functions of the virtual machine are called by their numbers")]

use jni_sys::{JNIEnv, jclass, jint, jlong, jmethodID, jobject};
use std::ffi::{CStr, c_char, c_void};
use std::fmt;
use std::ptr;

use crate::locks::{OnBind, OnMonitor};

/// A thread of Java.
pub(crate) type Thread = jobject;

/// Functions in the table.
const FUNCTIONS: usize = 156;

/// Callbacks in the table of those: events 50 to 86.
const CALLBACKS: usize = 37;

/// Words of a set of capabilities.
const CAPABILITIES: usize = 4;

/// The version that is asked for: 1.2, which all have.
pub(crate) const VERSION: jint = 0x3001_0200;

/// Why the virtual machine refused something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused(jint);

/// The environment of one agent.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(crate) struct Jvmti(*const *const [*const c_void; FUNCTIONS]);

// SAFETY: the specification allows an environment on every thread.
unsafe impl Send for Jvmti {}
// SAFETY: as above.
unsafe impl Sync for Jvmti {}

/// What an agent may be able to do; the values are positions in the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Capability {
    TagObjects = 0,
    CompiledMethodLoadEvents = 27,
    MonitorEvents = 28,
    NativeMethodBindEvents = 30,
    ObjectFreeEvents = 32,
    SampledObjectAllocEvents = 43,
}

/// Events that are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Event {
    VmInit = 50,
    VmDeath = 51,
    ThreadStart = 52,
    ThreadEnd = 53,
    ClassLoad = 55,
    CompiledMethodLoad = 68,
    NativeMethodBind = 67,
    DynamicCodeGenerated = 70,
    MonitorContendedEnter = 75,
    MonitorContendedEntered = 76,
    ObjectFree = 83,
    SampledObjectAlloc = 86,
}

/// A callback, by what is told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Callback {
    Thread(Event, extern "C" fn(Jvmti, *mut JNIEnv, Thread)),
    Vm(Event, extern "C" fn(Jvmti, *mut JNIEnv)),
    Class(Event, extern "C" fn(Jvmti, *mut JNIEnv, Thread, jclass)),
    Allocation(extern "C" fn(Jvmti, *mut JNIEnv, Thread, jobject, jclass, jlong)),
    Free(extern "C" fn(Jvmti, jlong)),
    Monitor(Event, OnMonitor),
    Bind(OnBind),
    Stub(extern "C" fn(Jvmti, *const c_char, *const c_void, jint)),
    Code(extern "C" fn(Jvmti, jmethodID, jint, *const c_void, jint, *const c_void, *const c_void)),
}

/// A frame of a stack trace.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) method: jmethodID,
    pub(crate) location: jlong,
}

/// What a method is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MethodName {
    /// The class as a signature has it: `Ljava/lang/String;`.
    pub(crate) class: Vec<u8>,
    pub(crate) method: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

impl fmt::Display for MethodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [class, method] = [&self.class, &self.method].map(|text| String::from_utf8_lossy(text));
        write!(f, "{class}.{method}")
    }
}

macro_rules! call {
    ($this:ident, $number:literal, ($($type:ty),*), $($argument:expr),* $(,)?) => {{
        type Function = unsafe extern "C" fn(Jvmti $(, $type)*) -> jint;
        // SAFETY: an environment points to a pointer to the table, as long as the machine lives.
        let table = unsafe { *$this.0 };
        // SAFETY: as above.
        let function = unsafe { (*table)[$number - 1] };
        // SAFETY: the function of that number has this type.
        let function = unsafe { std::mem::transmute::<*const c_void, Function>(function) };
        // SAFETY: pointers are to locals, or were given by the machine for this.
        match unsafe { function($this $(, $argument)*) } {
            0 => Ok(()),
            error => Err(Refused(error)),
        }
    }};
}

impl Jvmti {
    /// An environment that the virtual machine gave.
    ///
    /// # Safety
    /// It must be one, of the process' virtual machine.
    pub(crate) unsafe fn new(environment: *mut c_void) -> Self {
        Self(environment.cast())
    }

    pub(crate) fn add_capability(self, capability: Capability) -> Result<(), Refused> {
        let mut set = [0u32; CAPABILITIES];
        let bit = capability as u32;
        set[(bit / 32) as usize] = 1 << (bit % 32);
        call!(self, 142, (*const u32), set.as_ptr())
    }

    /// Sets all callbacks at once.
    pub(crate) fn set_callbacks(self, callbacks: &[Callback]) -> Result<(), Refused> {
        let mut table = [ptr::null::<c_void>(); CALLBACKS];
        for callback in callbacks {
            let (event, function) = match *callback {
                Callback::Thread(event, function) => (event, function as *const c_void),
                Callback::Vm(event, function) => (event, function as *const c_void),
                Callback::Class(event, function) => (event, function as *const c_void),
                Callback::Allocation(function) => {
                    (Event::SampledObjectAlloc, function as *const c_void)
                }
                Callback::Stub(function) => {
                    (Event::DynamicCodeGenerated, function as *const c_void)
                }
                Callback::Monitor(event, function) => (event, function as *const c_void),
                Callback::Bind(function) => (Event::NativeMethodBind, function as *const c_void),
                Callback::Free(function) => (Event::ObjectFree, function as *const c_void),
                Callback::Code(function) => (Event::CompiledMethodLoad, function as *const c_void),
            };
            table[(event as i32 - Event::VmInit as i32) as usize] = function;
        }
        let bytes = size_of_val(&table) as jint;
        call!(self, 122, (*const *const c_void, jint), table.as_ptr(), bytes)
    }

    pub(crate) fn enable(self, event: Event, on: bool) -> Result<(), Refused> {
        call!(self, 2, (jint, jint, Thread), jint::from(on), event as jint, ptr::null_mut())
    }

    /// Has events told again that were before: of code that is there.
    pub(crate) fn tell_again(self, event: Event) -> Result<(), Refused> {
        call!(self, 123, (jint), event as jint)
    }

    /// Sets how many bytes are between two objects that are sampled, on average.
    pub(crate) fn set_sampling_interval(self, bytes: jint) -> Result<(), Refused> {
        call!(self, 156, (jint), bytes)
    }

    /// Sets what an object's end is told with.
    pub(crate) fn set_tag(self, object: jobject, tag: jlong) -> Result<(), Refused> {
        call!(self, 107, (jobject, jlong), object, tag)
    }

    /// Keeps a value with a thread; 0 for none.
    pub(crate) fn set_thread_value(self, thread: Thread, value: usize) -> Result<(), Refused> {
        call!(self, 103, (Thread, *const c_void), thread, value as *const c_void)
    }

    /// The value that is kept with a thread.
    pub(crate) fn thread_value(self, thread: Thread) -> Result<usize, Refused> {
        let mut value: *mut c_void = ptr::null_mut();
        call!(self, 102, (Thread, *mut *mut c_void), thread, &raw mut value)?;
        Ok(value as usize)
    }

    /// A class as signatures have it: `Ljava/lang/String;`.
    pub(crate) fn class_signature(self, class: jclass) -> Result<Vec<u8>, Refused> {
        let mut signature = ptr::null_mut();
        type Texts = *mut *mut c_char;
        call!(self, 48, (jclass, Texts, Texts), class, &raw mut signature, ptr::null_mut())?;
        Ok(self.text(signature))
    }

    /// Every thread of Java, as local references.
    pub(crate) fn threads(self) -> Result<Vec<Thread>, Refused> {
        let mut count: jint = 0;
        let mut threads: *mut Thread = ptr::null_mut();
        call!(self, 4, (*mut jint, *mut *mut Thread), &raw mut count, &raw mut threads)?;
        let count = usize::try_from(count).unwrap_or(0);
        if threads.is_null() {
            return Ok(Vec::new());
        }
        // SAFETY: the machine has allocated so many.
        let list = unsafe { std::slice::from_raw_parts(threads, count) }.to_vec();
        self.deallocate(threads.cast());
        Ok(list)
    }

    pub(crate) fn current_thread(self) -> Result<Thread, Refused> {
        let mut thread: Thread = ptr::null_mut();
        call!(self, 18, (*mut Thread), &raw mut thread)?;
        Ok(thread)
    }

    /// The frames of the calling thread, leaf first.
    pub(crate) fn stack_trace(self) -> Result<Vec<Frame>, Refused> {
        const MOST: usize = 64;
        let mut frames = [Frame { method: ptr::null_mut(), location: 0 }; MOST];
        let mut count: jint = 0;
        call!(
            self,
            104,
            (Thread, jint, jint, *mut Frame, *mut jint),
            ptr::null_mut(),
            0,
            MOST as jint,
            frames.as_mut_ptr(),
            &raw mut count,
        )?;
        Ok(frames[..usize::try_from(count).unwrap_or(0).min(MOST)].to_vec())
    }

    /// How many frames of Java the calling thread has.
    pub(crate) fn frame_count(self) -> Result<usize, Refused> {
        let mut count: jint = 0;
        call!(self, 16, (Thread, *mut jint), ptr::null_mut(), &raw mut count)?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    pub(crate) fn method_name(self, method: jmethodID) -> Result<MethodName, Refused> {
        let (mut name, mut signature) = (ptr::null_mut(), ptr::null_mut());
        type Texts = *mut *mut c_char;
        call!(
            self,
            64,
            (jmethodID, Texts, Texts, Texts),
            method,
            &raw mut name,
            &raw mut signature,
            ptr::null_mut(),
        )?;
        let (method_name, signature) = (self.text(name), self.text(signature));
        let mut class: jclass = ptr::null_mut();
        call!(self, 65, (jmethodID, *mut jclass), method, &raw mut class)?;
        Ok(MethodName { class: self.class_signature(class)?, method: method_name, signature })
    }

    /// A copy of a text that the machine has allocated.
    fn text(self, text: *mut c_char) -> Vec<u8> {
        if text.is_null() {
            return Vec::new();
        }
        // SAFETY: the machine's texts end with a NUL.
        let copy = unsafe { CStr::from_ptr(text) }.to_bytes().to_vec();
        self.deallocate(text.cast());
        copy
    }

    fn deallocate(self, memory: *mut c_void) {
        let _ = call!(self, 47, (*mut c_void), memory);
    }
}

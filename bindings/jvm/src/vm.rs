//! The virtual machine, by the native interface (JNI): what is asked of it, in a few safe calls.
#![allow(unsafe_code, reason = "functions of the virtual machine are called")]

use crate::jvmti::{self, Jvmti, Thread};
use jni_sys::{
    JNI_VERSION_1_6, JNIEnv, JNINativeMethod, JavaVM, JavaVMAttachArgs, jbyteArray, jclass,
    jfieldID, jint, jlongArray, jmethodID, jobject, jobjectArray, jstring,
};
use sondage_sampler::LabelCell;
use std::ffi::{CStr, CString, c_void};
use std::ptr;

/// The process' virtual machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vm(*mut JavaVM);

// SAFETY: the specification allows its use on every thread.
unsafe impl Send for Vm {}
// SAFETY: as above.
unsafe impl Sync for Vm {}

/// The environment of the calling thread, of which nothing outlives the call it was given for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Jni(*mut JNIEnv);

macro_rules! jni {
    ($this:expr, $function:ident $(, $argument:expr)*) => {{
        // SAFETY: an environment points to a pointer to its table.
        let table = unsafe { *$this.0 };
        // SAFETY: as above.
        let table = unsafe { &*table };
        // SAFETY: the table is at least that of 1.6, which every machine since 2006 has.
        let function = unsafe { table.v1_6.$function };
        // SAFETY: pointers are to locals or NUL-terminated texts; references are the caller's.
        unsafe { function($this.0 $(, $argument)*) }
    }};
}

impl Vm {
    /// # Safety
    /// The pointer must be that to the process' virtual machine.
    pub(crate) unsafe fn new(vm: *mut JavaVM) -> Self {
        Self(vm)
    }

    fn environment(self, version: jint) -> Option<*mut c_void> {
        let mut environment = ptr::null_mut();
        // SAFETY: the machine points to a pointer to its table.
        let table = unsafe { *self.0 };
        // SAFETY: as above.
        let table = unsafe { &*table };
        // SAFETY: this function is there since 1.2.
        let get = unsafe { table.v1_2.GetEnv };
        // SAFETY: writes one pointer to the local.
        let result = unsafe { get(self.0, &raw mut environment, version) };
        (result == 0 && !environment.is_null()).then_some(environment)
    }

    /// A new environment of the tool interface.
    pub(crate) fn jvmti(self) -> Option<Jvmti> {
        let environment = self.environment(jvmti::VERSION)?;
        // SAFETY: the machine gave it for this version.
        Some(unsafe { Jvmti::new(environment) })
    }

    /// The environment of the calling thread, if it is one of Java.
    pub(crate) fn jni(self) -> Option<Jni> {
        self.environment(JNI_VERSION_1_6).map(|environment| Jni(environment.cast()))
    }
}

impl Vm {
    /// Runs `work` on this thread as one of Java, which it is not; not at all where the machine ends.
    pub(crate) fn with_jni(self, name: &CStr, work: impl FnOnce(Jni)) {
        // SAFETY: the machine points to a pointer to its table.
        let table = unsafe { *self.0 };
        // SAFETY: as above.
        let table = unsafe { &*table };
        let mut arguments = JavaVMAttachArgs {
            version: JNI_VERSION_1_6,
            name: name.as_ptr().cast_mut(),
            group: ptr::null_mut(),
        };
        let mut environment = ptr::null_mut();
        // SAFETY: this function is there since 1.4.
        let attach = unsafe { table.v1_4.AttachCurrentThreadAsDaemon };
        let arguments = (&raw mut arguments).cast();
        // SAFETY: writes one pointer to the local; the arguments are those of this version.
        if unsafe { attach(self.0, &raw mut environment, arguments) } != 0 {
            return;
        }
        work(Jni(environment.cast()));
        // SAFETY: this function is there since 1.2.
        let detach = unsafe { table.v1_2.DetachCurrentThread };
        // SAFETY: the thread was attached above, and has no frame of Java.
        unsafe { detach(self.0) };
    }
}

/// A field, for as long as its class is loaded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field(jfieldID);

// SAFETY: the specification allows its use on every thread.
unsafe impl Send for Field {}
// SAFETY: as above.
unsafe impl Sync for Field {}

impl Field {
    /// Where in an object it is, in bytes: HotSpot's ids of fields are that, and two bits, of which the
    /// lowest says that more is in it.
    fn offset(self) -> Option<u16> {
        let id = self.0 as usize;
        let offset = if id & 1 == 0 { id >> 2 } else { return None };
        u16::try_from(offset).ok()
    }
}

impl Jni {
    /// # Safety
    /// It must be the environment of the calling thread.
    pub(crate) unsafe fn new(environment: *mut JNIEnv) -> Self {
        Self(environment)
    }

    /// A class of the runtime library, as a local reference. What is thrown is forgotten.
    fn class(self, name: &CStr) -> Option<jclass> {
        let class = jni!(self, FindClass, name.as_ptr());
        if class.is_null() {
            jni!(self, ExceptionClear);
        }
        (!class.is_null()).then_some(class)
    }

    /// A field of a class. What is thrown is forgotten.
    fn field_of(self, class: jclass, name: &CStr, signature: &CStr) -> Option<Field> {
        let field = jni!(self, GetFieldID, class, name.as_ptr(), signature.as_ptr());
        if field.is_null() {
            jni!(self, ExceptionClear);
        }
        (!field.is_null()).then_some(Field(field))
    }

    /// A field of a class of the runtime library.
    pub(crate) fn field(self, class: &CStr, name: &CStr, signature: &CStr) -> Option<Field> {
        let class = self.class(class)?;
        let field = self.field_of(class, name, signature);
        self.forget(class);
        field
    }

    /// Where in an object a field is, in bytes.
    pub(crate) fn offset(self, class: &CStr, name: &CStr, signature: &CStr) -> Option<u16> {
        self.field(class, name, signature)?.offset()
    }

    /// As [`Jni::offset`], of any class.
    pub(crate) fn offset_in(self, class: jclass, name: &CStr, signature: &CStr) -> Option<u16> {
        self.field_of(class, name, signature)?.offset()
    }

    /// The address of the object that stands for a class of the runtime library. A collector may move
    /// it at any time: who reads there must not trust what is found.
    pub(crate) fn class_object(self, name: &CStr) -> Option<u64> {
        let class = self.class(name)?;
        // SAFETY: HotSpot's local references point to where the object is pointed to.
        let object = unsafe { class.cast::<u64>().read_volatile() };
        self.forget(class);
        Some(object)
    }

    /// The value of a field of an object, which must be an `int` of its class.
    pub(crate) fn int(self, object: jobject, field: Field) -> i32 {
        jni!(self, GetIntField, object, field.0)
    }

    /// A method of a class of the runtime library.
    pub(crate) fn method(self, class: &CStr, name: &CStr, signature: &CStr) -> Option<jmethodID> {
        let class = self.class(class)?;
        let method = jni!(self, GetMethodID, class, name.as_ptr(), signature.as_ptr());
        jni!(self, ExceptionClear);
        self.forget(class);
        (!method.is_null()).then_some(method)
    }

    /// Calls a static method of a class of the runtime library that takes and returns nothing.
    pub(crate) fn call_static(self, class: &CStr, name: &CStr) {
        let Some(class) = self.class(class) else { return };
        let method = jni!(self, GetStaticMethodID, class, name.as_ptr(), c"()V".as_ptr());
        if !method.is_null() {
            jni!(self, CallStaticVoidMethodA, class, method, ptr::null());
        }
        jni!(self, ExceptionClear);
        self.forget(class);
    }

    /// Has a native method of a class of the runtime library call a function; whether it does now.
    pub(crate) fn register(
        self,
        class: &CStr,
        name: &CStr,
        signature: &CStr,
        function: *mut c_void,
    ) -> bool {
        let Some(class) = self.class(class) else { return false };
        let method = JNINativeMethod {
            name: name.as_ptr().cast_mut(),
            signature: signature.as_ptr().cast_mut(),
            fnPtr: function,
        };
        let registered = jni!(self, RegisterNatives, class, &raw const method, 1);
        jni!(self, ExceptionClear);
        self.forget(class);
        registered == 0
    }

    /// The object that a field of another holds, as a local reference.
    pub(crate) fn object(self, of: jobject, field: Field) -> jobject {
        jni!(self, GetObjectField, of, field.0)
    }

    /// The class of an object, as a local reference.
    pub(crate) fn class_of(self, object: jobject) -> jclass {
        jni!(self, GetObjectClass, object)
    }

    /// The value of a field of an object, which must be a `long` of its class.
    pub(crate) fn long(self, object: jobject, field: Field) -> i64 {
        jni!(self, GetLongField, object, field.0)
    }

    /// Loads and initialises a class of the runtime library by its own means: by frames of Java.
    /// What is thrown is forgotten.
    pub(crate) fn load_by_name(self, name: &CStr) {
        let Some(class) = self.class(c"java/lang/Class") else { return };
        let signature = c"(Ljava/lang/String;)Ljava/lang/Class;";
        let method = jni!(self, GetStaticMethodID, class, c"forName".as_ptr(), signature.as_ptr());
        let text = jni!(self, NewStringUTF, name.as_ptr());
        if !method.is_null() && !text.is_null() {
            let argument = jni_sys::jvalue { l: text };
            jni!(self, CallStaticObjectMethodA, class, method, &raw const argument);
        }
        jni!(self, ExceptionClear);
    }

    /// Whether there is a class; it is loaded, not initialised. As [`Jni::call`] looks for it.
    pub(crate) fn has_class(self, name: &CStr) -> bool {
        self.class(name).inspect(|class| self.forget(*class)).is_some()
    }

    /// Calls a static function, if it is there, of a class that the caller's loader finds, or that of
    /// the class path. What is thrown is forgotten.
    pub(crate) fn call(self, class: &CStr, name: &CStr) {
        if let Some((class, method)) = self.function(class, name, c"()V") {
            jni!(self, CallStaticVoidMethodA, class, method, ptr::null());
            jni!(self, ExceptionClear);
            self.forget(class);
        }
    }

    /// As [`Jni::call`], with a number.
    pub(crate) fn call_with_long(self, class: &CStr, name: &CStr, number: i64) {
        if let Some((class, method)) = self.function(class, name, c"(J)V") {
            let argument = jni_sys::jvalue { j: number };
            jni!(self, CallStaticVoidMethodA, class, method, &raw const argument);
            jni!(self, ExceptionClear);
            self.forget(class);
        }
    }

    /// As [`Jni::call`]: the text that it returns, empty for null. `None` where there is no such function
    /// or it throws.
    pub(crate) fn call_for_text(self, class: &CStr, name: &CStr) -> Option<String> {
        let (class, method) = self.function(class, name, c"()Ljava/lang/String;")?;
        let text = jni!(self, CallStaticObjectMethodA, class, method, ptr::null());
        let thrown = jni!(self, ExceptionCheck);
        jni!(self, ExceptionClear);
        self.forget(class);
        let copy = (!thrown).then(|| self.text(text));
        self.forget(text);
        copy
    }

    fn function(self, class: &CStr, name: &CStr, signature: &CStr) -> Option<(jclass, jmethodID)> {
        let class = self.class(class)?;
        let method = jni!(self, GetStaticMethodID, class, name.as_ptr(), signature.as_ptr());
        jni!(self, ExceptionClear);
        (!method.is_null()).then_some((class, method))
    }

    /// The numbers of an array.
    pub(crate) fn longs(self, array: jlongArray) -> Vec<i64> {
        let count = if array.is_null() { 0 } else { jni!(self, GetArrayLength, array) };
        let mut numbers = vec![0; usize::try_from(count).unwrap_or(0)];
        if count > 0 {
            jni!(self, GetLongArrayRegion, array, 0, count, numbers.as_mut_ptr());
        }
        numbers
    }

    /// The `JavaThread` of a thread of Java, given the field that has it; 0 for one that has ended.
    pub(crate) fn java_thread(self, thread: Thread, eetop: Field) -> u64 {
        self.long(thread, eetop) as u64
    }

    /// A text of Java; halves of pairs become U+FFFD.
    pub(crate) fn text(self, text: jstring) -> String {
        if text.is_null() {
            return String::new();
        }
        let length = jni!(self, GetStringLength, text);
        let mut units = vec![0u16; usize::try_from(length).unwrap_or(0)];
        jni!(self, GetStringRegion, text, 0, length, units.as_mut_ptr());
        String::from_utf16_lossy(&units)
    }

    /// A new text of Java; null where there is no memory for it.
    pub(crate) fn new_text(self, text: &str) -> jstring {
        let units: Vec<u16> = text.encode_utf16().collect();
        jni!(self, NewString, units.as_ptr(), units.len() as jint)
    }

    /// The texts of an array.
    pub(crate) fn texts(self, array: jobjectArray) -> Vec<String> {
        let count = if array.is_null() { 0 } else { jni!(self, GetArrayLength, array) };
        let text = |index| {
            let text = jni!(self, GetObjectArrayElement, array, index);
            let copy = self.text(text);
            self.forget(text);
            copy
        };
        (0..count).map(text).collect()
    }

    /// A new array of texts; null where there is no memory for it.
    pub(crate) fn new_texts(self, texts: &[String]) -> jobjectArray {
        let class = jni!(self, FindClass, c"java/lang/String".as_ptr());
        if class.is_null() {
            return ptr::null_mut();
        }
        let count = texts.len() as jint;
        let array = jni!(self, NewObjectArray, count, class, ptr::null_mut());
        if !array.is_null() {
            for (index, text) in (0..).zip(texts) {
                let text = self.new_text(text);
                jni!(self, SetObjectArrayElement, array, index, text);
                self.forget(text);
            }
        }
        array
    }

    /// A new array of bytes; null where there is no memory for it.
    pub(crate) fn new_bytes(self, bytes: &[u8]) -> jbyteArray {
        let count = bytes.len() as jint;
        let array = jni!(self, NewByteArray, count);
        if !array.is_null() {
            jni!(self, SetByteArrayRegion, array, 0, count, bytes.as_ptr().cast());
        }
        array
    }

    /// A buffer over a thread's cell of labels, which must outlive it.
    pub(crate) fn new_buffer(self, cell: *const LabelCell) -> jobject {
        let bytes = size_of::<LabelCell>() as i64;
        jni!(self, NewDirectByteBuffer, cell.cast_mut().cast(), bytes)
    }

    /// Throws an exception of the runtime library when the native function returns.
    pub(crate) fn throw(self, class: &CStr, message: &str) {
        let class = jni!(self, FindClass, class.as_ptr());
        if let (false, Ok(message)) = (class.is_null(), CString::new(message)) {
            jni!(self, ThrowNew, class, message.as_ptr());
        }
    }

    pub(crate) fn forget(self, reference: jobject) {
        jni!(self, DeleteLocalRef, reference);
    }
}

/// The address of what libjvm exports under a name.
pub(crate) fn exported(name: &str) -> Option<u64> {
    let name = CString::new(name).ok()?;
    let find = |library: *mut c_void| {
        // SAFETY: the name ends with a NUL, and the handle is one of the loader's.
        let found = unsafe { libc::dlsym(library, name.as_ptr()) };
        (!found.is_null()).then_some(found as u64)
    };
    find(libc::RTLD_DEFAULT).or_else(|| {
        // Launchers load it so that nobody finds its names.
        let flags = libc::RTLD_LAZY | libc::RTLD_NOLOAD;
        // SAFETY: only a library that is loaded already is found.
        let library = unsafe { libc::dlopen(c"libjvm.so".as_ptr(), flags) };
        if library.is_null() { None } else { find(library) }
    })
}

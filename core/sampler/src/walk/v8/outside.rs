//! An isolate of another process.

use super::isolate::{Facts, Isolate};
use crate::errno::Errno;
use crate::pool;

/// See the module's description. Takes 128 KiB.
#[derive(Debug)]
pub struct OutsideIsolate {
    isolate: *mut Isolate,
}

impl OutsideIsolate {
    /// An isolate of which these facts are known.
    ///
    /// # Errors
    /// That of the kernel, if there is no memory.
    pub fn new(facts: &Facts) -> Result<Self, Errno> {
        let isolate: *mut Isolate = pool::map(size_of::<Isolate>())?.cast();
        // SAFETY: a mapping of that size, zeroed, which is valid.
        unsafe { &*isolate }.describe(1, facts);
        Ok(Self { isolate })
    }

    /// The isolate, with nothing remembered of the walk before: objects may have moved since.
    pub(crate) fn anew(&self) -> &Isolate {
        // SAFETY: the mapping is made with the value and released with it.
        let isolate = unsafe { &*self.isolate };
        isolate.forget();
        isolate
    }
}

impl Drop for OutsideIsolate {
    fn drop(&mut self) {
        pool::unmap(self.isolate.cast(), size_of::<Isolate>());
    }
}

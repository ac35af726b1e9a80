//! Memory of this process that may not be there.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// The `count` bytes at an address; what is not there any more is an error, and no fault.
pub(super) fn read_own(start: u64, count: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; count];
    File::open("/proc/self/mem").ok()?.read_exact_at(&mut bytes, start).ok()?;
    Some(bytes)
}

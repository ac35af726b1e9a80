//! Who a thread is to the kernel.
//!
//! The C library's functions change every thread of a process; the kernel's change the caller's.

use crate::arch;
use crate::errno::{Errno, check};

/// A number that means: as it is.
const KEEP: usize = usize::MAX;

/// Runs `work` with the effective user and group of somebody else, on the calling thread alone.
/// They are given back afterwards, which the kernel always allows.
///
/// # Errors
/// What the kernel says to somebody who may not become this user: only the superuser may. Then
/// `work` has not run.
pub fn with_effective_user<T>(user: u32, group: u32, work: impl FnOnce() -> T) -> Result<T, Errno> {
    // SAFETY: has no precondition.
    let user_before = unsafe { libc::geteuid() };
    // SAFETY: as above.
    let group_before = unsafe { libc::getegid() };
    // The group first: without the user's rights it could not be changed.
    set(libc::SYS_setresgid, group)?;
    let result = set(libc::SYS_setresuid, user).map(|()| work());
    let _ = set(libc::SYS_setresuid, user_before);
    let _ = set(libc::SYS_setresgid, group_before);
    result
}

/// Changes an effective id.
fn set(call: libc::c_long, id: u32) -> Result<(), Errno> {
    let args = [KEEP, id as usize, KEEP, 0];
    // SAFETY: takes three numbers.
    check(unsafe { arch::syscall(call, args) }).map(drop)
}

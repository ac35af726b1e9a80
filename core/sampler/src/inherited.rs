//! Sockets that a forked child must not keep: a listener that is open in a child holds its
//! address when the parent has closed it, and lets clients wait for an answer from nobody.

use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicI32, AtomicU64, Ordering};

/// How many there can be at once.
const MAX: usize = 16;

/// A descriptor, and the file behind it: a host may have closed the one and opened another.
struct Entry {
    /// -1 for a free entry.
    descriptor: AtomicI32,
    device: AtomicU64,
    inode: AtomicU64,
}

static ENTRIES: [Entry; MAX] = [const {
    Entry { descriptor: AtomicI32::new(FREE), device: AtomicU64::new(0), inode: AtomicU64::new(0) }
}; MAX];

const FREE: i32 = -1;

/// While an entry is written.
const TAKEN: i32 = -2;

/// Has a descriptor closed in forked children until it is dropped, which must be before the
/// descriptor is closed here.
#[derive(Debug)]
#[must_use = "the descriptor is closed in children only while the value lives"]
pub struct NotInherited {
    index: usize,
    pid: i32,
}

/// Closes `descriptor` in every child that is forked while the returned value lives, if the child
/// calls [`after_fork_in_child`](crate::after_fork_in_child). `None` when there are too many
/// already.
pub fn close_in_children(descriptor: i32) -> Option<NotInherited> {
    let (device, inode) = identity(descriptor)?;
    let (index, entry) = ENTRIES.iter().enumerate().find(|(_, entry)| {
        let free = &entry.descriptor;
        free.compare_exchange(FREE, TAKEN, Ordering::Acquire, Ordering::Relaxed).is_ok()
    })?;
    entry.device.store(device, Ordering::Relaxed);
    entry.inode.store(inode, Ordering::Relaxed);
    entry.descriptor.store(descriptor, Ordering::Release);
    Some(NotInherited { index, pid: process() })
}

impl Drop for NotInherited {
    fn drop(&mut self) {
        // A child has its own entries.
        if let Some(entry) = ENTRIES.get(self.index).filter(|_| self.pid == process()) {
            entry.descriptor.store(FREE, Ordering::Release);
        }
    }
}

/// In a forked child: closes what is not to be inherited. Async-signal-safe.
pub(crate) fn close_inherited() {
    for entry in &ENTRIES {
        let descriptor = entry.descriptor.swap(FREE, Ordering::AcqRel);
        let file =
            Some((entry.device.load(Ordering::Relaxed), entry.inode.load(Ordering::Relaxed)));
        if descriptor >= 0 && identity(descriptor) == file {
            // SAFETY: the descriptor still stands for the file that was given; in this process
            // nobody uses it, since its owner is a thread of the parent.
            unsafe { libc::close(descriptor) };
        }
    }
}

fn process() -> i32 {
    // SAFETY: takes no arguments.
    unsafe { libc::getpid() }
}

fn identity(descriptor: i32) -> Option<(u64, u64)> {
    let mut facts = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the pointer is to a local with room for the structure.
    if unsafe { libc::fstat(descriptor, facts.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: filled in by the call that succeeded.
    let facts = unsafe { facts.assume_init() };
    Some((facts.st_dev, facts.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::{AsRawFd, IntoRawFd};

    #[test]
    fn a_descriptor_is_closed_unless_it_stands_for_another_file_now() {
        let kept = File::open("/proc/self/maps").unwrap();
        let replaced = File::open("/proc/self/status").unwrap();
        let closed = File::open("/proc/self/stat").unwrap().into_raw_fd();
        let dropped = File::open("/proc/self/statm").unwrap();
        let _replaced = close_in_children(replaced.as_raw_fd()).unwrap();
        let _closed = close_in_children(closed).unwrap();
        drop(close_in_children(dropped.as_raw_fd()).unwrap());
        // SAFETY: both descriptors are open and owned by this test.
        assert!(unsafe { libc::dup2(kept.as_raw_fd(), replaced.as_raw_fd()) } >= 0);
        // As a child would.
        close_inherited();
        assert_eq!(identity(replaced.as_raw_fd()), identity(kept.as_raw_fd()));
        assert!(identity(dropped.as_raw_fd()).is_some());
        assert_eq!(identity(closed), None);
    }
}

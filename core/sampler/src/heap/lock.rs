//! One thread at a time takes samples. Nobody waits for long: who finds the lock taken tries a few
//! hundred times and then goes without, which is counted.

use crate::arch;
use core::sync::atomic::{AtomicU64, Ordering};

/// All zero is a lock that nobody holds.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Lock {
    /// The thread control block of the thread that holds it.
    owner: AtomicU64,
}

/// Gives the lock back when dropped.
#[derive(Debug)]
pub(crate) struct Held<'a>(&'a Lock);

/// Why there is no lock to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The calling thread holds it: it allocates while a sample of it is taken.
    Nested,
    /// Another thread does.
    Taken,
}

const ATTEMPTS: u32 = 300;

impl Lock {
    #[cfg(test)]
    pub(crate) const fn new() -> Self {
        Self { owner: AtomicU64::new(0) }
    }

    /// Takes the lock, trying for less than a microsecond or so.
    pub(crate) fn enter(&self) -> Result<Held<'_>, Refusal> {
        let own = arch::thread_pointer();
        if self.owner.load(Ordering::Relaxed) == own {
            return Err(Refusal::Nested);
        }
        for _ in 0..ATTEMPTS {
            let (order, failed) = (Ordering::Acquire, Ordering::Relaxed);
            if self.owner.compare_exchange_weak(0, own, order, failed).is_ok() {
                return Ok(Held(self));
            }
            core::hint::spin_loop();
        }
        Err(Refusal::Taken)
    }

    /// Takes the lock, yielding to who holds it; `None` if that thread does not go on.
    pub(crate) fn enter_patiently(&self) -> Option<Held<'_>> {
        const PATIENCE: u32 = 10_000;
        for _ in 0..PATIENCE {
            match self.enter() {
                Ok(held) => return Some(held),
                Err(Refusal::Nested) => return None,
                Err(Refusal::Taken) => {
                    // SAFETY: takes no arguments.
                    unsafe { arch::syscall(libc::SYS_sched_yield, [0; 4]) };
                }
            }
        }
        None
    }

    /// Forgets who holds it: only for a forked child, in which that thread does not exist.
    pub(crate) fn reset(&self) {
        self.owner.store(0, Ordering::Release);
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.owner.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thread_holds_the_lock_and_does_not_wait_for_itself_or_for_ever() {
        static LOCK: Lock = Lock::new();
        let held = LOCK.enter().unwrap();
        assert_eq!(LOCK.enter().err(), Some(Refusal::Nested));
        assert!(LOCK.enter_patiently().is_none());
        let other = std::thread::spawn(|| LOCK.enter().err()).join().unwrap();
        assert_eq!(other, Some(Refusal::Taken));
        drop(held);
        assert!(std::thread::spawn(|| LOCK.enter().is_ok()).join().unwrap());
    }
}

//! Clocks of threads and of the process, and the kernel's tick.

use crate::arch;
use crate::errno::{Errno, check};
use core::time::Duration;

/// A clock whose value is a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// CPU time of one thread of this process.
    Thread(i32),
    /// CPU time of the whole process: every thread, living and dead.
    Process,
    /// Time since an arbitrary start; does not jump.
    Monotonic,
}

impl Clock {
    /// The kernel's number of the clock. Another thread's CPU clock is `~tid << 3 | 6`
    /// (Linux `include/linux/posix-timers_types.h`: per thread, scheduler time).
    pub(crate) fn id(self) -> i32 {
        match self {
            Self::Thread(tid) => (!tid).wrapping_shl(3) | 6,
            Self::Process => libc::CLOCK_PROCESS_CPUTIME_ID,
            Self::Monotonic => libc::CLOCK_MONOTONIC,
        }
    }

    /// Reads the clock; costs one system call, about 0.2 µs.
    ///
    /// # Errors
    /// `EINVAL` when the thread is gone.
    pub fn now(self) -> Result<Duration, Errno> {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let pointer = &raw mut time;
        // SAFETY: `pointer` is valid for a write of one timespec during the call.
        let result = unsafe {
            arch::syscall(libc::SYS_clock_gettime, [self.id() as usize, pointer as usize, 0, 0])
        };
        check(result)?;
        Ok(Duration::new(
            u64::try_from(time.tv_sec).unwrap_or(0),
            u32::try_from(time.tv_nsec).unwrap_or(0),
        ))
    }
}

/// The interval of the kernel's tick (4 ms where CONFIG_HZ is 250): CPU timers fire no more often.
pub fn kernel_tick() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let pointer = &raw mut time;
    let clock = libc::CLOCK_MONOTONIC_COARSE as usize;
    // SAFETY: `pointer` is valid for a write of one timespec during the call.
    let result = unsafe { arch::syscall(libc::SYS_clock_getres, [clock, pointer as usize, 0, 0]) };
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    if check(result).is_err() || nanos < 100_000 {
        return Duration::from_millis(4);
    }
    Duration::from_nanos(nanos)
}

/// The processor's cycle counter, the unit of handler times.
pub fn ticks() -> u64 {
    arch::ticks()
}

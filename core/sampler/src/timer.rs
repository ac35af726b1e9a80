//! CPU timers: one a thread, or one for the process.

use crate::arch;
use crate::clock::Clock;
use crate::errno::{Errno, check};
use core::time::Duration;

/// What the kernel puts into `siginfo_t` for a timer's signal, and for that of a perf event.
/// Source: Linux `include/uapi/asm-generic/siginfo.h`, `_timer` and `_sigpoll`.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct TimerInfo {
    signal: i32,
    errno: i32,
    pub(crate) code: i32,
    padding: i32,
    pub(crate) timer: i32,
    pub(crate) overrun: i32,
    pub(crate) value: usize,
}

impl TimerInfo {
    /// How often the timer has expired since its last signal.
    #[inline(always)]
    pub(crate) fn expirations(&self) -> u32 {
        u32::try_from(self.overrun).unwrap_or(0).saturating_add(1)
    }

    /// The descriptor that a perf event's signal names, where a timer's has its value.
    #[inline(always)]
    pub(crate) fn descriptor(&self) -> i32 {
        let [a, b, c, d, ..] = self.value.to_ne_bytes();
        i32::from_ne_bytes([a, b, c, d])
    }
}

/// A timer of this process, by the kernel's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timer(pub(crate) i32);

impl Timer {
    /// Creates a stopped timer on a thread's CPU clock. Its signal goes to that thread alone and
    /// carries `value`. Any thread of the process may create one for any other.
    pub(crate) fn create(tid: i32, signal: i32, value: usize) -> Result<Self, Errno> {
        // SAFETY: sigevent is plain data; all zero is valid.
        let mut event: libc::sigevent = unsafe { core::mem::zeroed() };
        event.sigev_value = libc::sigval { sival_ptr: value as *mut libc::c_void };
        event.sigev_signo = signal;
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_notify_thread_id = tid;
        let mut timer: i32 = -1;
        let clock = Clock::Thread(tid).id() as usize;
        let args = [clock, &raw const event as usize, &raw mut timer as usize, 0];
        // SAFETY: both pointers are to locals that outlive the call.
        check(unsafe { arch::syscall(libc::SYS_timer_create, args) })?;
        Ok(Self(timer))
    }

    /// Creates a stopped timer whose signal goes to the process and carries `value`.
    pub(crate) fn create_for_process(
        clock: Clock,
        signal: i32,
        value: usize,
    ) -> Result<Self, Errno> {
        // SAFETY: sigevent is plain data; all zero is valid.
        let mut event: libc::sigevent = unsafe { core::mem::zeroed() };
        event.sigev_value = libc::sigval { sival_ptr: value as *mut libc::c_void };
        event.sigev_signo = signal;
        event.sigev_notify = libc::SIGEV_SIGNAL;
        let mut timer: i32 = -1;
        let args = [clock.id() as usize, &raw const event as usize, &raw mut timer as usize, 0];
        // SAFETY: both pointers are to locals that outlive the call.
        check(unsafe { arch::syscall(libc::SYS_timer_create, args) })?;
        Ok(Self(timer))
    }

    /// Starts (or restarts) the timer: first after `first`, then every `interval` of CPU time.
    pub(crate) fn arm(self, first: Duration, interval: Duration) -> Result<(), Errno> {
        let spec = libc::itimerspec { it_interval: timespec(interval), it_value: timespec(first) };
        let args = [self.0 as usize, 0, &raw const spec as usize, 0];
        // SAFETY: the pointer is to a local that outlives the call.
        check(unsafe { arch::syscall(libc::SYS_timer_settime, args) }).map(drop)
    }

    /// Whether the timer is still running: it stops for good when its thread ends.
    pub(crate) fn is_running(self) -> bool {
        let zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let mut spec = libc::itimerspec { it_interval: zero, it_value: zero };
        let args = [self.0 as usize, &raw mut spec as usize, 0, 0];
        // SAFETY: the pointer is to a local that outlives the call.
        let result = check(unsafe { arch::syscall(libc::SYS_timer_gettime, args) });
        result.is_ok() && (spec.it_value.tv_sec != 0 || spec.it_value.tv_nsec != 0)
    }

    /// Deletes the timer.
    pub(crate) fn delete(self) {
        // SAFETY: takes a number; a wrong one is refused.
        let _ = unsafe { arch::syscall(libc::SYS_timer_delete, [self.0 as usize, 0, 0, 0]) };
    }
}

fn timespec(duration: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}

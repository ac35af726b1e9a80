//! CPU clocks and the cycle counter.

use std::time::{Duration, Instant};

fn read(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a local.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// CPU time of the calling thread.
pub fn thread_cpu() -> Duration {
    read(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// CPU time of another thread of this process.
pub fn cpu_of(tid: i32) -> Duration {
    read(!tid << 3 | 6)
}

/// CPU time of all threads of the process, ended ones included.
pub fn process_cpu() -> Duration {
    read(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// The kernel's number of the calling thread.
pub fn tid() -> i32 {
    // SAFETY: takes no arguments.
    unsafe { libc::gettid() }
}

/// The cycle counter.
#[inline(always)]
pub fn ticks() -> u64 {
    // SAFETY: exists on every x86_64.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Length of one tick, measured over 20 ms.
pub fn nanos_per_tick() -> f64 {
    let (time, count) = (Instant::now(), ticks());
    std::thread::sleep(Duration::from_millis(20));
    time.elapsed().as_nanos() as f64 / (ticks() - count) as f64
}

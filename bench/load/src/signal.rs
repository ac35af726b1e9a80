//! Sends the calling thread the signal that its profiler waits for.

use crate::clock;

/// What the kernel hands to a handler for a timer's signal (`siginfo_t`, `_timer`).
#[repr(C)]
struct Info {
    signal: i32,
    errno: i32,
    code: i32,
    padding: i32,
    timer: i32,
    overrun: i32,
    value: usize,
    rest: [u8; 128 - 32],
}

/// The profiling signal of the calling thread.
#[derive(Debug)]
pub struct ProfilingSignal {
    process: i32,
    thread: i32,
    signal: i32,
    timer: i32,
    value: usize,
}

impl ProfilingSignal {
    /// Finds it: where the thread has a POSIX timer of its own, a signal that looks like that
    /// timer's; SIGPROF, as `setitimer` sends it, otherwise.
    pub fn of_this_thread() -> Self {
        let (process, thread) = (std::process::id() as i32, clock::tid());
        let timers = std::fs::read_to_string("/proc/self/timers").unwrap_or_default();
        let mine = format!("signal/tid.{thread}");
        let found = timers.split("ID: ").filter(|timer| timer.contains(&mine)).find_map(|timer| {
            let number = timer.lines().next()?.trim().parse().ok()?;
            let line = timer.lines().find_map(|line| line.strip_prefix("signal: "))?;
            let (signal, value) = line.split_once('/')?;
            let value = usize::from_str_radix(value.trim_start_matches("0x"), 16).ok()?;
            Some((number, signal.parse().ok()?, value))
        });
        let (timer, signal, value) = found.unwrap_or((0, libc::SIGPROF, 0));
        Self { process, thread, signal, timer, value }
    }

    /// Sends it; the handler has returned when this returns.
    #[inline(always)]
    pub fn send(&self) {
        self.queue(self.signal);
    }

    /// Makes the same system call, which then sends nothing: what sending costs without delivery.
    #[inline(always)]
    pub fn send_nothing(&self) {
        self.queue(0);
    }

    #[inline(always)]
    fn queue(&self, signal: i32) {
        let info = Info {
            signal,
            errno: 0,
            code: libc::SI_TIMER,
            padding: 0,
            timer: self.timer,
            overrun: 0,
            value: self.value,
            rest: [0; 96],
        };
        let (process, thread) = (self.process, self.thread);
        let number = libc::SYS_rt_tgsigqueueinfo;
        // SAFETY: the last argument points to a complete siginfo_t.
        let result = unsafe { libc::syscall(number, process, thread, signal, &raw const info) };
        assert_eq!(result, 0, "the signal was refused");
    }
}

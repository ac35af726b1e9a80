//! The loads without a profiler; SIGPROF has a handler that does nothing.

use std::time::Duration;

struct None;

extern "C" fn ignore(_: i32, _: *mut libc::siginfo_t, _: *mut libc::c_void) {}

impl bench_load::Profiler for None {
    fn start(_hz: u32, _interval: Duration) -> Self {
        // SAFETY: sigaction is plain data; all zero is valid.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        let handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) = ignore;
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
        // SAFETY: the handler is a function of the right kind.
        unsafe { libc::sigaction(libc::SIGPROF, &raw const action, std::ptr::null_mut()) };
        Self
    }

    fn interval(&mut self, interval: Duration) -> (Vec<Vec<u8>>, Duration) {
        std::thread::sleep(interval);
        (Vec::new(), Duration::ZERO)
    }

    fn stop(self) -> Vec<Vec<u8>> {
        Vec::new()
    }
}

fn main() {
    bench_load::main::<None>();
}

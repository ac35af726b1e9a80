//! Loads that may fault, for the objects of a runtime, which can be garbage for a few
//! instructions: [`load`] says "not readable" where a plain load would kill the process.
//!
//! A handler for SIGSEGV and SIGBUS is installed while a sampler runs that reads such objects; after
//! that it stays only where a handler of the host's lies over it, and acts on nothing. It acts on the one instruction of ours that may fault, by going on behind it; every
//! other fault goes to whoever had the signal before, as if we were not there. Where someone else
//! has taken the signals since, [`is_ours`] says so, and memory is probed by system calls instead.

use crate::arch;
use crate::signal::{self, Arguments, Kept};
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A signal with what was installed for it before us.
struct Fault {
    signal: c_int,
    /// Guarded loads are wanted, and our handler was the first of the chain when they were.
    installed: AtomicBool,
    /// Our handler was installed and not taken out: whoever has the signal now may call it.
    in_chain: AtomicBool,
    previous: Kept,
}

static FAULTS: [Fault; 2] = [Fault::new(libc::SIGSEGV), Fault::new(libc::SIGBUS)];

/// The faults of a load here that a handler cannot take while the interrupted code blocks them.
pub(crate) const SIGNALS: u64 = signal::set(libc::SIGSEGV) | signal::set(libc::SIGBUS);

/// Loads that were refused since the process started.
static REFUSED: AtomicU64 = AtomicU64::new(0);

impl Fault {
    const fn new(signal: c_int) -> Self {
        Self {
            signal,
            installed: AtomicBool::new(false),
            in_chain: AtomicBool::new(false),
            previous: Kept::new(),
        }
    }

    fn is_ours(&self) -> bool {
        signal::read(self.signal).is_ok_and(|now| now.handler == our_handler())
    }

    /// Takes the signal, unless a handler of the host's lies over ours: that may pass faults on to
    /// ours, which must not pass them back.
    fn install(&self) -> bool {
        let Ok(before) = signal::read(self.signal) else { return false };
        if before.handler != our_handler() {
            if self.in_chain.load(Ordering::Acquire) {
                return false;
            }
            self.previous.keep(before);
        }
        // SAFETY: sigaction is plain data; all zero is valid, and blocks nothing.
        let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
        action.sa_sigaction = our_handler();
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
        // SAFETY: `action` is complete; the handler is async-signal-safe.
        let result =
            unsafe { libc::sigaction(self.signal, &raw const action, core::ptr::null_mut()) };
        self.in_chain.fetch_or(result == 0, Ordering::AcqRel);
        self.installed.store(result == 0, Ordering::Release);
        result == 0
    }

    fn restore(&self) {
        self.installed.store(false, Ordering::Release);
        if self.is_ours() && signal::write(self.signal, self.previous.get()).is_ok() {
            self.in_chain.store(false, Ordering::Release);
        }
    }
}

fn our_handler() -> usize {
    let handler: unsafe extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = on_fault;
    handler as usize
}

/// Takes SIGSEGV and SIGBUS. Returns whether loads are guarded now.
pub(crate) fn install() -> bool {
    let [segv, bus] = &FAULTS;
    segv.install() && bus.install()
}

/// Gives both signals back as they were, where they are still ours. Nobody may load any more.
/// Async-signal-safe.
pub(crate) fn restore() {
    FAULTS.iter().for_each(Fault::restore);
}

/// Whether a fault of [`load`] would come to us at this moment: two system calls. Without it a
/// fault would go to a handler that was installed over ours, and most of these end the process.
pub(crate) fn is_ours() -> bool {
    FAULTS.iter().all(|fault| fault.installed.load(Ordering::Acquire) && fault.is_ours())
}

/// The aligned word at `address`, or `None` if it cannot be read.
///
/// # Safety
/// [`is_ours`] must hold, and the thread must block neither SIGSEGV nor SIGBUS: a fault while its
/// signal is blocked ends the process.
#[inline(always)]
pub(crate) unsafe fn load(address: u64) -> Option<u64> {
    // SAFETY: the caller vouches that our fault handler stands.
    let loaded = unsafe { arch::load(address) };
    (loaded.read != 0).then_some(loaded.word)
}

/// How many loads were refused since the process started.
pub(crate) fn refused() -> u64 {
    REFUSED.load(Ordering::Relaxed)
}

/// The handler of both signals: one comparison for our own faults, and no system call.
unsafe extern "C" fn on_fault(number: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes a valid siginfo_t.
    let by_the_processor = unsafe { (*info).si_code } > 0;
    // SAFETY: `context` is this handler's own.
    let at = unsafe { arch::program_counter(context.cast()) };
    let may_fault: unsafe extern "C" fn(u64) -> arch::Loaded = arch::load;
    if by_the_processor && at == may_fault as usize as u64 {
        let go_on: extern "C" fn() -> arch::Loaded = arch::refuse;
        // SAFETY: `refuse` returns to the caller of `load`, whose frame is as it was at the call.
        unsafe { arch::set_program_counter(context.cast(), go_on as usize as u64) };
        REFUSED.fetch_add(1, Ordering::Relaxed);
        return;
    }
    if let Some(fault) = FAULTS.iter().find(|fault| fault.signal == number) {
        // SAFETY: these are this handler's own arguments.
        unsafe { pass_on(fault, by_the_processor, (number, info, context)) };
    }
}

/// Does with a fault that is not ours what would have happened without us.
///
/// # Safety
/// The arguments must be those of a running signal handler.
unsafe fn pass_on(fault: &Fault, by_the_processor: bool, arguments: Arguments) {
    let previous = fault.previous.get();
    match previous.handler {
        // Ignoring a fault of the processor is not possible: the kernel then takes the default.
        libc::SIG_IGN if !by_the_processor => {}
        libc::SIG_DFL | libc::SIG_IGN => {
            let _ = signal::write(fault.signal, previous);
            // The faulting instruction runs again; what another process sent must be sent again.
            if !by_the_processor {
                send_to_this_thread(fault.signal);
            }
        }
        handler => {
            if previous.flags & libc::SA_RESETHAND as u64 != 0 {
                fault.previous.forget_handler();
            }
            let itself = previous.flags & libc::SA_NODEFER as u64 == 0;
            block(previous.mask | if itself { signal::set(fault.signal) } else { 0 });
            // SAFETY: the handler is the one that was installed; the arguments are the caller's.
            unsafe { signal::call(handler, previous.flags, arguments) };
        }
    }
}

/// Blocks more signals until the handler returns, which puts the interrupted mask back.
fn block(signals: u64) {
    let args = [libc::SIG_BLOCK as usize, &raw const signals as usize, 0, size_of::<u64>()];
    // SAFETY: the pointer is to a local, the size is the kernel's.
    unsafe { arch::syscall(libc::SYS_rt_sigprocmask, args) };
}

fn send_to_this_thread(signal: c_int) {
    // SAFETY: takes no arguments.
    let process = unsafe { arch::syscall(libc::SYS_getpid, [0; 4]) } as usize;
    let thread = crate::process::current_tid() as usize;
    // SAFETY: sends a signal; no memory is involved.
    unsafe { arch::syscall(libc::SYS_tgkill, [process, thread, signal as usize, 0]) };
}

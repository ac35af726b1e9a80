//! SIGTERM: time for a last profile where the host leaves that signal to its default, which is to
//! end the process, or to a handler that only tidies up and then does the same.
//!
//! The handler makes some system calls and stores a word. It puts back what was before, so that a
//! second SIGTERM ends the process at once, and starts a timer that was made before and that sends
//! that second SIGTERM: whatever becomes of the agent, the process ends in time. The agent sees
//! the word, does its work and sends the signal itself. The process dies of SIGTERM, as it would
//! have.

use crate::arch;
use crate::clock::Clock;
use crate::signal::{self, Kept};
use crate::timer::Timer;
use core::ffi::c_int;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use core::time::Duration;

/// The process that the rest is about: a child of vfork shares this memory, and a child of a bare
/// `clone` has a copy of it.
static PROCESS: AtomicI32 = AtomicI32::new(0);

/// The timer's number.
static TIMER: AtomicI32 = AtomicI32::new(-1);

/// The time that the timer gives, in nanoseconds.
static LIMIT: AtomicU64 = AtomicU64::new(0);

/// What is done at a SIGTERM without us.
static BEFORE: Kept = Kept::new();

/// See [`one_shot_sigterm_ends_process`].
static ONE_SHOT_ENDS: AtomicBool = AtomicBool::new(false);

/// A SIGTERM has come.
static REQUESTED: AtomicBool = AtomicBool::new(false);

/// The handler of SIGTERM, as long as this lives. There is one in a process.
#[derive(Debug)]
pub struct Termination {
    timer: Timer,
}

/// Says that a handler of SIGTERM that is to run once (`SA_RESETHAND`) ends the process in this
/// host, so that ours may go before it, as it does before the default. To be called before it is
/// installed.
pub fn one_shot_sigterm_ends_process() {
    ONE_SHOT_ENDS.store(true, Ordering::Relaxed);
}

impl Termination {
    /// Installs the handler, which gives the process `limit` from a SIGTERM on. `None` where the
    /// host has a handler of its own (see [`one_shot_sigterm_ends_process`]) or ignores the signal, and
    /// where no timer can be had.
    pub fn install(limit: Duration) -> Option<Self> {
        let process = own_process();
        let taken = PROCESS.load(Ordering::Acquire) == process;
        let found = signal::read(libc::SIGTERM).ok()?;
        let one_shot = found.handler != libc::SIG_IGN
            && found.flags & u64::from(libc::SA_RESETHAND as u32) != 0
            && ONE_SHOT_ENDS.load(Ordering::Relaxed);
        if taken || !(found.handler == libc::SIG_DFL || one_shot) {
            return None;
        }
        let timer = Timer::create_for_process(Clock::Monotonic, libc::SIGTERM, 0).ok()?;
        LIMIT.store(u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        TIMER.store(timer.0, Ordering::Relaxed);
        REQUESTED.store(false, Ordering::Relaxed);
        BEFORE.keep(found);
        PROCESS.store(process, Ordering::Release);
        let this = Self { timer };
        // SAFETY: sigaction is plain data; all zero is valid, and an empty mask.
        let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
        action.sa_sigaction = our_handler();
        action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
        // SAFETY: as above.
        let mut before: libc::sigaction = unsafe { core::mem::zeroed() };
        // SAFETY: `action` is complete; the handler is async-signal-safe.
        let failed = unsafe { libc::sigaction(libc::SIGTERM, &raw const action, &raw mut before) };
        if failed == 0 && before.sa_sigaction != found.handler {
            // The host has just taken the signal.
            // SAFETY: `before` is what the system call has handed out.
            unsafe { libc::sigaction(libc::SIGTERM, &raw const before, core::ptr::null_mut()) };
            return None;
        }
        (failed == 0).then_some(this)
    }

    /// Whether a SIGTERM has come and waits to be passed on.
    pub fn is_requested(&self) -> bool {
        REQUESTED.load(Ordering::Acquire)
    }

    /// Lets the SIGTERM take its effect. Returns if it has none: in the first process of a
    /// container, or where the host has changed what is done at this signal.
    pub fn pass_on(&self) {
        if REQUESTED.swap(false, Ordering::AcqRel) {
            let _ = self.timer.arm(Duration::ZERO, Duration::ZERO);
            terminate(own_process());
        }
    }
}

impl Drop for Termination {
    /// Puts back what was before if the handler is still ours. A SIGTERM that has come takes effect,
    /// also one whose handler runs right now: either it finds no timer and passes the signal on
    /// itself, or its word is read here, behind that.
    fn drop(&mut self) {
        restore();
        PROCESS.store(0, Ordering::SeqCst);
        self.timer.delete();
        self.pass_on();
    }
}

/// In the child of a fork: SIGTERM ends it, as it would without us. Async-signal-safe.
pub(crate) fn forget_in_child() {
    let parent = PROCESS.swap(0, Ordering::AcqRel);
    if parent != 0 && parent != own_process() {
        restore();
        REQUESTED.store(false, Ordering::Release);
    }
}

fn restore() {
    if signal::read(libc::SIGTERM).is_ok_and(|now| now.handler == our_handler()) {
        let _ = signal::write(libc::SIGTERM, BEFORE.get());
    }
}

fn our_handler() -> usize {
    let handler: extern "C" fn(c_int) = on_terminate;
    handler as usize
}

/// See the module's description. Where the host has another handler now, that decides. Where there
/// is nothing to wait for (the agent has stopped and the host put this handler back, or a child that
/// is not ours) the signal takes effect at once.
extern "C" fn on_terminate(_signal: c_int) {
    let process = own_process();
    match signal::read(libc::SIGTERM) {
        // A handler of the host calls the one that was before it: to the host that is the default,
        // which it would not have called.
        Ok(now) if ![our_handler(), BEFORE.get().handler].contains(&now.handler) => return,
        _ => {}
    }
    let _ = signal::write(libc::SIGTERM, BEFORE.get());
    let timer = Timer(TIMER.load(Ordering::Relaxed));
    let limit = Duration::from_nanos(LIMIT.load(Ordering::Relaxed));
    // A child of vfork must not write the word, which is its parent's.
    if PROCESS.load(Ordering::SeqCst) != process {
        return terminate(process);
    }
    // Before the timer: see `drop`.
    REQUESTED.store(true, Ordering::SeqCst);
    if timer.arm(limit, Duration::ZERO).is_err() {
        terminate(process);
    }
}

fn own_process() -> i32 {
    // SAFETY: takes no arguments.
    unsafe { arch::syscall(libc::SYS_getpid, [0; 4]) as i32 }
}

/// Sends SIGTERM to this process. In the handler it stays pending until that returns.
fn terminate(process: i32) {
    let args = [process as usize, libc::SIGTERM as usize, 0, 0];
    // SAFETY: takes numbers.
    let _ = unsafe { arch::syscall(libc::SYS_kill, args) };
}

//! Whose fault it is: each case in a forked child, since signals belong to the whole process.

use super::guarded;
use super::signal::{self, Disposition};
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicU64, Ordering};

/// An address that no process has.
const NOWHERE: u64 = 4096;

/// Signals for the handlers of the children to be seen by.
static SEEN: AtomicU64 = AtomicU64::new(0);

/// How a child ended: its exit code, or the negative number of the signal.
fn in_child(body: fn() -> i32) -> i32 {
    // SAFETY: the child calls only async-signal-safe functions.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // Rust's own handlers, for overflowing stacks, are not part of this.
        for signal in [libc::SIGSEGV, libc::SIGBUS] {
            let _ = signal::write(signal, Disposition::default());
        }
        let code = body();
        // SAFETY: ends the child.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: the pointer is to a local.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -libc::WTERMSIG(status) }
}

fn fault() -> i32 {
    let address = core::hint::black_box(NOWHERE);
    // SAFETY: it is not safe: this is the fault of a host.
    unsafe { (address as *const u64).read_volatile() };
    99
}

fn load(address: u64) -> Option<u64> {
    // SAFETY: the children install the handler first, and block nothing.
    unsafe { guarded::load(address) }
}

/// Loads that work and loads that do not, as often as a walk makes them.
fn loads_are_guarded() -> bool {
    let word = 0x1234_5678_9abc_def0u64;
    (0..100).all(|_| {
        load(&raw const word as u64) == Some(word)
            && load(NOWHERE).is_none()
            && load(1 << 63).is_none()
            && load(u64::MAX - 7).is_none()
    })
}

fn install(signal: c_int, handler: usize, flags: c_int, mask: u64) {
    // SAFETY: plain data.
    let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    // SAFETY: the first word of the C library's set is the kernel's.
    unsafe { (&raw mut action.sa_mask).cast::<u64>().write(mask) };
    // SAFETY: the action is complete.
    unsafe { libc::sigaction(signal, &raw const action, core::ptr::null_mut()) };
}

fn blocked() -> u64 {
    let mut mask = 0u64;
    // SAFETY: the pointer is to a local of the kernel's size.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, 0, 0, &raw mut mask, 8) };
    mask
}

fn send(signal: c_int) {
    // SAFETY: sends a signal to this thread.
    unsafe { libc::raise(signal) };
}

extern "C" fn exits_with_what_it_sees(signal: c_int, info: *mut libc::siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel's own record.
    let info = unsafe { &*info };
    // SAFETY: a fault has an address.
    let address = unsafe { info.si_addr() } as u64;
    let masked = signal::set(libc::SIGUSR1) | signal::set(signal);
    let as_asked = blocked() & masked == masked && blocked() & signal::set(libc::SIGUSR2) == 0;
    // SAFETY: ends the child.
    unsafe { libc::_exit(if address == NOWHERE && as_asked { 40 } else { 41 }) };
}

extern "C" fn exits(signal: c_int) {
    // SAFETY: ends the child.
    unsafe { libc::_exit(50 + signal) };
}

extern "C" fn counts(_: c_int) {
    SEEN.fetch_add(1, Ordering::Relaxed);
}

static BEFORE: AtomicU64 = AtomicU64::new(0);

/// A handler of the host's that passes on what it does not know, as crash reporters do.
extern "C" fn passes_on(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    SEEN.fetch_add(1, Ordering::Relaxed);
    if SEEN.load(Ordering::Relaxed) > 1 {
        // SAFETY: ends the child: the two call one another in circles.
        unsafe { libc::_exit(60) };
    }
    let before = BEFORE.load(Ordering::Relaxed) as usize;
    // SAFETY: the handler that was installed before, with these flags.
    unsafe { signal::call(before, libc::SA_SIGINFO as u64, (signal, info, context)) };
}

#[test]
fn a_fault_of_the_host_ends_the_process_as_before() {
    let body = || if guarded::install() && loads_are_guarded() { fault() } else { 1 };
    assert_eq!(in_child(body), -libc::SIGSEGV);
    let body = || {
        guarded::install();
        send(libc::SIGBUS);
        98
    };
    assert_eq!(in_child(body), -libc::SIGBUS, "a signal that was sent");
}

#[test]
fn an_ignored_signal_stays_ignored_and_a_fault_still_ends_the_process() {
    let body = || {
        install(libc::SIGSEGV, libc::SIG_IGN, 0, 0);
        guarded::install();
        send(libc::SIGSEGV);
        if loads_are_guarded() { fault() } else { 1 }
    };
    assert_eq!(in_child(body), -libc::SIGSEGV);
}

#[test]
fn a_handler_of_the_host_gets_its_faults_with_the_address_and_the_mask_it_asked_for() {
    let body = || {
        let mask = signal::set(libc::SIGUSR1);
        let handler = exits_with_what_it_sees as *const () as usize;
        install(libc::SIGSEGV, handler, libc::SA_SIGINFO, mask);
        guarded::install();
        if loads_are_guarded() { fault() } else { 1 }
    };
    assert_eq!(in_child(body), 40);
    let body = || {
        install(libc::SIGSEGV, exits as *const () as usize, 0, 0);
        guarded::install();
        if loads_are_guarded() { fault() } else { 1 }
    };
    assert_eq!(in_child(body), 50 + libc::SIGSEGV, "a handler of one argument");
}

#[test]
fn a_handler_for_one_time_is_called_one_time() {
    let body = || {
        install(libc::SIGBUS, counts as *const () as usize, libc::SA_RESETHAND, 0);
        guarded::install();
        send(libc::SIGBUS);
        if SEEN.load(Ordering::Relaxed) == 1 {
            send(libc::SIGBUS);
        }
        97
    };
    assert_eq!(in_child(body), -libc::SIGBUS);
}

#[test]
fn a_handler_over_ours_is_noticed_and_may_pass_faults_to_us() {
    let body = || {
        guarded::install();
        let ours = signal::read(libc::SIGSEGV).map_or(0, |now| now.handler);
        BEFORE.store(ours as u64, Ordering::Relaxed);
        if !guarded::is_ours() {
            return 2;
        }
        install(libc::SIGSEGV, passes_on as *const () as usize, libc::SA_SIGINFO, 0);
        if guarded::is_ours() {
            return 3;
        }
        fault()
    };
    assert_eq!(in_child(body), -libc::SIGSEGV, "what was before us is the default");
}

#[test]
fn a_second_start_under_a_handler_of_the_host_does_not_make_ours_call_itself() {
    let body = || {
        guarded::install();
        let ours = signal::read(libc::SIGSEGV).map_or(0, |now| now.handler);
        BEFORE.store(ours as u64, Ordering::Relaxed);
        install(libc::SIGSEGV, passes_on as *const () as usize, libc::SA_SIGINFO, 0);
        guarded::restore();
        if guarded::install() || guarded::is_ours() {
            return 4;
        }
        // The handler of the host passes it on to ours, and that to what was before both.
        fault()
    };
    assert_eq!(in_child(body), -libc::SIGSEGV);
}

#[test]
fn both_signals_are_given_back_byte_for_byte_unless_the_host_has_taken_them() {
    let body = || {
        let mask = signal::set(libc::SIGUSR1) | signal::set(libc::SIGTERM);
        install(libc::SIGSEGV, exits as *const () as usize, libc::SA_ONSTACK, mask);
        let both = || [libc::SIGSEGV, libc::SIGBUS].map(|signal| signal::read(signal).ok());
        let before = both();
        guarded::install();
        guarded::install();
        if both() == before || !loads_are_guarded() {
            return 2;
        }
        guarded::restore();
        if both() != before || guarded::is_ours() {
            return 3;
        }
        guarded::install();
        let theirs = Disposition { handler: libc::SIG_IGN, ..Disposition::default() };
        let _ = signal::write(libc::SIGBUS, theirs);
        guarded::restore();
        let [segv, bus] = both();
        if bus == Some(theirs) && segv == before[0] { 0 } else { 4 }
    };
    assert_eq!(in_child(body), 0);
}

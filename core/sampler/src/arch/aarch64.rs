//! aarch64. Built and unit-tested; not yet run on hardware (see `docs/performance.md`).

use super::{CONTENTS, Loaded, Registers, SignalFrame};

/// The trampoline's stack pointer points at `siginfo_t` (128 bytes), then `ucontext_t`, whose
/// machine context starts at byte 176 with the fault address, then `x0`…`x30`, `sp`, `pc`.
/// Source: Linux `arch/arm64/kernel/signal.c`, `arch/arm64/include/uapi/asm/sigcontext.h`.
pub(crate) const SIGNAL_FRAME: SignalFrame =
    SignalFrame { pc: 312 + 32 * 8, sp: 312 + 31 * 8, fp: 312 + 29 * 8, lr: Some(312 + 30 * 8) };

/// Pointer authentication signs return addresses in the bits above the 48 of user space.
const ADDRESS_BITS: u64 = 0x0000_ffff_ffff_ffff;

/// Makes a system call without touching `errno`. Unused arguments are 0.
///
/// # Safety
/// The arguments must be valid for the call, as the kernel defines them.
#[inline(always)]
pub(crate) unsafe fn syscall(number: libc::c_long, args: [usize; 4]) -> isize {
    let [a, b, c, d] = args;
    // SAFETY: as the caller's.
    unsafe { syscall5(number, [a, b, c, d, 0]) }
}

/// As [`syscall`], for calls of five arguments.
///
/// # Safety
/// As [`syscall`].
#[inline(always)]
pub(crate) unsafe fn syscall5(number: libc::c_long, args: [usize; 5]) -> isize {
    let [a, b, c, d, e] = args;
    let result: isize;
    // SAFETY: the caller vouches for the arguments; the kernel preserves all other registers.
    unsafe {
        core::arch::asm!(
            "svc #0",
            in("x8") number, inlateout("x0") a => result, in("x1") b, in("x2") c, in("x3") d,
            in("x4") e,
            options(nostack),
        );
    }
    result
}

/// Reads the virtual counter.
#[inline(always)]
pub(crate) fn ticks() -> u64 {
    let value: u64;
    // SAFETY: CNTVCT_EL0 is readable from user space on Linux and has no side effect.
    unsafe { core::arch::asm!("mrs {}, cntvct_el0", out(reg) value, options(nostack, nomem)) };
    value
}

/// The thread pointer, which lies above the stack of every thread the C library starts.
#[inline(always)]
pub(crate) fn thread_pointer() -> u64 {
    let value: u64;
    // SAFETY: TPIDR_EL0 is readable from user space and has no side effect.
    unsafe { core::arch::asm!("mrs {}, tpidr_el0", out(reg) value, options(nostack, nomem)) };
    value
}

/// The registers that a signal interrupted.
///
/// # Safety
/// `context` must be the third argument of a signal handler that is still running.
#[inline(always)]
pub(crate) unsafe fn registers(context: *const libc::ucontext_t) -> Registers {
    // SAFETY: the caller passes the kernel's own context, which outlives the handler.
    let machine = unsafe { &(*context).uc_mcontext };
    let register = |index: usize| machine.regs.get(index).copied().unwrap_or(0);
    Registers {
        pc: machine.pc,
        sp: machine.sp,
        fp: register(29),
        lr: Some(register(30) & ADDRESS_BITS),
    }
}

/// Loads a word from an address that may not be readable. Its first instruction is the one that
/// may fault; [`guarded`](crate::guarded) then goes on at [`refuse`].
///
/// # Safety
/// The fault handler of [`guarded`](crate::guarded) must be installed.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn load(address: u64) -> Loaded {
    core::arch::naked_asm!("ldr x0, [x0]", "mov x1, #1", "ret")
}

/// What [`load`] returns for an address that cannot be read.
#[unsafe(naked)]
pub(crate) extern "C" fn refuse() -> Loaded {
    core::arch::naked_asm!("mov x0, #0", "mov x1, #0", "ret")
}

/// What the general registers held that a signal interrupted.
///
/// # Safety
/// `context` must be the third argument of a signal handler that is still running.
#[inline(always)]
pub(crate) unsafe fn contents(context: *const libc::ucontext_t) -> [u64; CONTENTS] {
    let mut words = [0; CONTENTS];
    // SAFETY: the caller passes the kernel's own context, which outlives the handler.
    let machine = unsafe { &(*context).uc_mcontext };
    words.iter_mut().zip(machine.regs).for_each(|(place, word)| *place = word);
    words
}

/// As on x86-64; frames of V8 are not read here.
///
/// # Safety
/// None is needed.
pub(crate) unsafe fn interpreter(_context: *const libc::ucontext_t) -> [u64; 3] {
    [0; 3]
}

/// As on x86-64; frames of HotSpot are not read here.
///
/// # Safety
/// None is needed.
pub(crate) unsafe fn template_interpreter(_context: *const libc::ucontext_t) -> [u64; 3] {
    [0; 3]
}

/// Where a signal interrupted the thread.
///
/// # Safety
/// `context` must be the third argument of a signal handler that is still running.
pub(crate) unsafe fn program_counter(context: *const libc::ucontext_t) -> u64 {
    // SAFETY: the caller passes the kernel's own context, which outlives the handler.
    unsafe { registers(context) }.pc
}

/// Where the thread is to go on after the handler.
///
/// # Safety
/// As for [`program_counter`]; the code at `address` must make sense of the other registers.
pub(crate) unsafe fn set_program_counter(context: *mut libc::ucontext_t, address: u64) {
    // SAFETY: the caller passes the kernel's own context, which outlives the handler.
    unsafe { (*context).uc_mcontext.pc = address };
}

/// The registers here and now.
#[inline(always)]
pub(crate) fn current() -> Registers {
    let (pc, sp, fp, lr): (u64, u64, u64, u64);
    // SAFETY: reads registers only.
    unsafe {
        core::arch::asm!(
            "adr {pc}, .", "mov {sp}, sp", "mov {fp}, x29", "mov {lr}, x30",
            pc = out(reg) pc, sp = out(reg) sp, fp = out(reg) fp, lr = out(reg) lr,
            options(nostack, nomem),
        );
    }
    Registers { pc, sp, fp, lr: Some(lr & ADDRESS_BITS) }
}

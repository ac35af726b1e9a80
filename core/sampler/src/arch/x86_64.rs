//! x86_64.

use super::{CONTENTS, Loaded, Registers, SignalFrame};

/// `ucontext_t` starts where the trampoline's stack pointer points; `gregs` start at byte 40.
/// Source: Linux `arch/x86/include/uapi/asm/sigcontext.h`.
pub(crate) const SIGNAL_FRAME: SignalFrame = SignalFrame { pc: 168, sp: 160, fp: 120, lr: None };

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
    // SAFETY: the caller vouches for the arguments; the clobbers are those of the kernel's ABI.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// Reads the cycle counter.
#[inline(always)]
pub(crate) fn ticks() -> u64 {
    // SAFETY: `rdtsc` is available on every x86_64 and has no memory effect.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// The thread control block of the running thread: the C library places it above the stack of
/// every thread it starts (glibc and musl keep a pointer to it at `fs:0`, as the ABI asks).
#[inline(always)]
pub(crate) fn thread_pointer() -> u64 {
    let value: u64;
    // SAFETY: the x86_64 TLS ABI guarantees a readable self pointer at fs:0.
    unsafe {
        core::arch::asm!("mov {}, fs:0", out(reg) value, options(nostack, readonly, preserves_flags));
    }
    value
}

/// The registers that a signal interrupted.
///
/// # Safety
/// `context` must be the third argument of a signal handler that is still running.
#[inline(always)]
pub(crate) unsafe fn registers(context: *const libc::ucontext_t) -> Registers {
    // SAFETY: the caller passes the kernel's own context, which outlives the handler.
    let gregs = unsafe { &(*context).uc_mcontext.gregs };
    let register = |index: i32| gregs.get(index as usize).map_or(0, |value| *value as u64);
    Registers {
        pc: register(libc::REG_RIP),
        sp: register(libc::REG_RSP),
        fp: register(libc::REG_RBP),
        lr: None,
    }
}

/// Loads a word from an address that may not be readable. Its first instruction is the one that
/// may fault; [`guarded`](crate::guarded) then goes on at [`refuse`].
///
/// # Safety
/// The fault handler of [`guarded`](crate::guarded) must be installed.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn load(address: u64) -> Loaded {
    core::arch::naked_asm!("mov rax, [rdi]", "mov edx, 1", "ret")
}

/// What [`load`] returns for an address that cannot be read.
#[unsafe(naked)]
pub(crate) extern "C" fn refuse() -> Loaded {
    core::arch::naked_asm!("xor eax, eax", "xor edx, edx", "ret")
}

/// What the registers held that a signal interrupted, as far as compilers keep pointers there: the
/// general ones, and `xmm0` to `xmm3`, which carry pairs of pointers to memory.
///
/// # Safety
/// `context` must be the third argument of a signal handler that is still running.
#[inline(always)]
pub(crate) unsafe fn contents(context: *const libc::ucontext_t) -> [u64; CONTENTS] {
    let mut words = [0; CONTENTS];
    // SAFETY: the caller passes the kernel's own context, which outlives the handler.
    let machine = unsafe { &(*context).uc_mcontext };
    // SAFETY: null, or the kernel's copy of the vector registers beside the context.
    let vectors = unsafe { machine.fpregs.as_ref() }.map(|state| &state._xmm);
    let pairs = vectors.into_iter().flatten().take(4).flat_map(|vector| {
        let [a, b, c, d] = vector.element.map(u64::from);
        [a | b << 32, c | d << 32]
    });
    let general = machine.gregs.iter().take(16).map(|word| *word as u64);
    words.iter_mut().zip(general.chain(pairs)).for_each(|(place, word)| *place = word);
    words
}

/// Where V8's interpreter keeps what it is doing, if it was interrupted: the offset of the running
/// instruction in r9, the bytecode in r12, and the table of its handlers in r15
/// (`codegen/x64/register-x64.h`).
///
/// # Safety
/// `context` must be the third argument of a signal handler that is still running.
#[inline(always)]
pub(crate) unsafe fn interpreter(context: *const libc::ucontext_t) -> [u64; 3] {
    // SAFETY: the caller passes the kernel's own context, which outlives the handler.
    let gregs = unsafe { &(*context).uc_mcontext.gregs };
    [libc::REG_R9, libc::REG_R12, libc::REG_R15]
        .map(|at| gregs.get(at as usize).map_or(0, |word| *word as u64))
}

/// What HotSpot's interpreter and its stubs keep where they make and leave a frame: r13, rbx and rax
/// (`interp_masm_x86.cpp`).
///
/// # Safety
/// `context` must be the third argument of a signal handler that is still running.
#[inline(always)]
pub(crate) unsafe fn template_interpreter(context: *const libc::ucontext_t) -> [u64; 3] {
    // SAFETY: the caller passes the kernel's own context, which outlives the handler.
    let gregs = unsafe { &(*context).uc_mcontext.gregs };
    [libc::REG_R13, libc::REG_RBX, libc::REG_RAX]
        .map(|at| gregs.get(at as usize).map_or(0, |word| *word as u64))
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
    let machine = unsafe { &mut (*context).uc_mcontext };
    if let Some(register) = machine.gregs.get_mut(libc::REG_RIP as usize) {
        *register = address as i64;
    }
}

/// The registers here and now.
#[inline(always)]
pub(crate) fn current() -> Registers {
    let (pc, sp, fp): (u64, u64, u64);
    // SAFETY: reads registers only.
    unsafe {
        core::arch::asm!(
            "lea {pc}, [rip]", "mov {sp}, rsp", "mov {fp}, rbp",
            pc = out(reg) pc, sp = out(reg) sp, fp = out(reg) fp,
            options(nostack, nomem),
        );
    }
    Registers { pc, sp, fp, lr: None }
}

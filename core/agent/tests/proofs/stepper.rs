//! Runs code one instruction at a time, in this thread, and shows each to an observer.
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    reason = "the trap flag, and statics that only the stepped thread touches"
)]

use crate::sys;
use sondage_sampler::Registers;
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering::Relaxed};

/// Sees the registers before an instruction runs, and the value of `rax`.
pub type Observer<'a> = &'a mut dyn FnMut(Registers, u64);

const IDLE: u32 = 0;
const STEPPING: u32 = 1;
const STOP: u32 = 2;

/// The trap flag of the processor: a trap after each instruction.
const TRAP: i64 = 0x100;

static STATE: AtomicU32 = AtomicU32::new(IDLE);
static OBSERVER: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

unsafe extern "C" fn on_trap(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    let gregs = unsafe { &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    if STATE.load(Relaxed) == STOP {
        gregs[libc::REG_EFL as usize] &= !TRAP;
        return STATE.store(IDLE, Relaxed);
    }
    gregs[libc::REG_EFL as usize] |= TRAP;
    STATE.store(STEPPING, Relaxed);
    let rax = gregs[libc::REG_RAX as usize].cast_unsigned();
    let registers = unsafe { sys::interrupted(context) };
    let observer = unsafe { &mut *OBSERVER.load(Relaxed).cast::<Observer<'_>>() };
    observer(registers, rax);
}

/// Runs `work`, showing each instruction to `observer`, which runs in a signal handler: it must
/// not allocate and not lock.
#[inline(never)]
pub fn step_through(work: &mut dyn FnMut(), mut observer: Observer<'_>) {
    sys::install(libc::SIGTRAP, on_trap, 0);
    OBSERVER.store((&raw mut observer).cast(), Relaxed);
    // The first trap is this one; it turns the others on.
    unsafe { std::arch::asm!("int3") };
    work();
    STATE.store(STOP, Relaxed);
    while STATE.load(Relaxed) == STOP {
        std::hint::spin_loop();
    }
}

/// Whether the instruction at `pc` is a call.
pub unsafe fn is_call(pc: u64) -> bool {
    let byte = |at: u64| unsafe { ((pc + at) as *const u8).read_volatile() };
    let mut at = 0;
    // Operand size, repeat/bnd, segment (notrack) and REX prefixes.
    while matches!(byte(at), 0x66 | 0x67 | 0xf2 | 0xf3 | 0x2e | 0x3e | 0x40..=0x4f) && at < 4 {
        at += 1;
    }
    byte(at) == 0xe8 || byte(at) == 0xff && byte(at + 1) >> 3 & 7 == 2
}

/// Whether the instruction at `pc` is a system call.
pub unsafe fn is_system_call(pc: u64) -> bool {
    let bytes = unsafe { (pc as *const [u8; 2]).read_volatile() };
    matches!(bytes, [0x0f, 0x05] | [0x0f, 0x34] | [0xcd, 0x80])
}

//! What a stopped thread's registers hold, for the walkers.

use crate::stop::Stopped;
use crate::sys;
use sondage_sampler::{CONTENTS, Registers, StoppedRegisters};
use std::io;

/// The registers, and what `pthread_self()` is in the thread.
pub(crate) struct Seen {
    pub(crate) registers: StoppedRegisters,
    pub(crate) identity: u64,
}

#[cfg(target_arch = "x86_64")]
pub(crate) fn of(stopped: &Stopped<'_>) -> io::Result<Seen> {
    let it = sys::registers(stopped.tid())?;
    let mut contents = [0; CONTENTS];
    let general = [
        it.r8, it.r9, it.r10, it.r11, it.r12, it.r13, it.r14, it.r15, it.rdi, it.rsi, it.rbp,
        it.rbx, it.rdx, it.rax, it.rcx, it.rsp,
    ];
    contents.iter_mut().zip(general).for_each(|(place, word)| *place = word);
    let walk = Registers { pc: it.rip, sp: it.rsp, fp: it.rbp, lr: None };
    let (v8, hotspot) = ([it.r9, it.r12, it.r15], [it.r13, it.rbx, it.rax]);
    Ok(Seen { registers: StoppedRegisters { walk, contents, v8, hotspot }, identity: it.fs_base })
}

#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn of(_stopped: &Stopped<'_>) -> io::Result<Seen> {
    Err(io::Error::other("threads of other processes are read on x86-64 only"))
}

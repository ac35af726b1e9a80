//! Sees the system calls of the marked threads of another process, by ptrace.
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    reason = "ptrace, on a process that this one has started"
)]

use std::collections::{BTreeMap, HashMap};
use std::ffi::c_int;
use std::mem::zeroed;
use std::ops::Range;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// What a thread is seen to do from its mark on. Threads that it starts have its mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// Nothing is seen.
    None,
    /// Works, and starts no threads.
    Work,
    /// Starts and ends threads, or is one of them.
    Lives,
    /// Does what must be seen.
    Control,
}

/// Where a system call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The function `syscall`, which Rust's locks call.
    SyscallFunction,
    /// Elsewhere in the C library.
    CLibrary,
    /// Outside of it.
    Program,
}

/// Calls by mark, number and origin.
pub type Calls = BTreeMap<(Mark, i64, Origin), u64>;

/// The first argument of the `getppid` that is a mark: no one else gives it any.
const MAGIC: u64 = 0x50ed_a6e0_7ace;

/// Marks the calling thread.
pub fn mark(mark: Mark) {
    let here = libc::syscall as *const () as u64;
    unsafe { libc::syscall(libc::SYS_getppid, MAGIC, mark as u64, here) };
}

/// Runs a command to its end; returns what its marked threads called and how it exited.
pub fn trace(command: &mut Command) -> (Calls, c_int) {
    let ask = || {
        let asked = unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) };
        if asked == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    let mut child = unsafe { command.pre_exec(ask) }.spawn().expect("the process starts");
    let leader = i32::try_from(child.id()).expect("a process id");
    let mut tracer = Tracer::default();
    tracer.threads.insert(leader, Thread { mark: Mark::None, waits: false });
    // It stands at the start of its program.
    assert_eq!(wait(leader).1 >> 8, libc::SIGTRAP);
    let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_TRACECLONE | libc::PTRACE_O_EXITKILL;
    unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, leader, 0, options) };
    resume(leader, 0);
    let status = loop {
        let (tid, status) = wait(-1);
        if libc::WIFSTOPPED(status) {
            tracer.on_stop(tid, status);
        } else if tid == leader {
            break status;
        }
    };
    // Its end is known already, so this does not wait.
    let _ = child.wait();
    (tracer.calls, status)
}

/// The next change of a thread that this thread traces.
fn wait(tid: c_int) -> (c_int, c_int) {
    let mut status = 0;
    let tid = unsafe { libc::waitpid(tid, &raw mut status, libc::__WALL | libc::__WNOTHREAD) };
    assert!(tid > 0, "there is a process to wait for");
    (tid, status)
}

/// Lets a thread run to its next system call, or to the end of the one it is in.
fn resume(tid: c_int, signal: c_int) {
    // An error says that it was killed, which `wait` will tell as well.
    unsafe { libc::ptrace(libc::PTRACE_SYSCALL, tid, 0, signal) };
}

#[derive(Clone, Copy, Debug)]
struct Thread {
    mark: Mark,
    /// It stands, since it came before the news of its birth.
    waits: bool,
}

#[derive(Debug, Default)]
struct Tracer {
    threads: HashMap<c_int, Thread>,
    syscall_function: u64,
    c_library: Range<u64>,
    calls: Calls,
}

impl Tracer {
    fn on_stop(&mut self, tid: c_int, status: c_int) {
        let Some(thread) = self.threads.get(&tid).copied() else {
            self.threads.insert(tid, Thread { mark: Mark::None, waits: true });
            return;
        };
        let signal = libc::WSTOPSIG(status);
        let pass_on = match (signal, status >> 16) {
            (_, libc::PTRACE_EVENT_CLONE) => {
                self.on_clone(tid, thread.mark);
                0
            }
            (signal, _) if signal == libc::SIGTRAP | 0x80 => {
                self.on_system_call(tid, thread.mark);
                0
            }
            // Of `exec`, and the first stop of a new thread: nobody sent them.
            (libc::SIGTRAP | libc::SIGSTOP, _) => 0,
            (signal, _) => signal,
        };
        resume(tid, pass_on);
    }

    fn on_clone(&mut self, parent: c_int, mark: Mark) {
        let mut born = 0u64;
        unsafe { libc::ptrace(libc::PTRACE_GETEVENTMSG, parent, 0, &raw mut born) };
        let born = c_int::try_from(born).expect("a thread's number");
        let stands = self.threads.insert(born, Thread { mark, waits: false });
        if stands.is_some_and(|thread| thread.waits) {
            resume(born, 0);
        }
    }

    fn on_system_call(&mut self, tid: c_int, mark: Mark) {
        let mut info: libc::ptrace_syscall_info = unsafe { zeroed() };
        let size = size_of_val(&info);
        unsafe { libc::ptrace(libc::PTRACE_GET_SYSCALL_INFO, tid, size, &raw mut info) };
        if info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
            return;
        }
        let entry = unsafe { info.u.entry };
        let number = entry.nr.cast_signed();
        if number == libc::SYS_getppid && entry.args[0] == MAGIC {
            return self.on_mark(tid, entry.args[1], entry.args[2]);
        }
        if mark != Mark::None {
            let origin = self.origin(info.instruction_pointer);
            *self.calls.entry((mark, number, origin)).or_default() += 1;
        }
    }

    fn on_mark(&mut self, tid: c_int, mark: u64, syscall_function: u64) {
        let marks = [Mark::None, Mark::Work, Mark::Lives, Mark::Control];
        let mark = marks[usize::try_from(mark).expect("a mark")];
        self.threads.insert(tid, Thread { mark, waits: false });
        if self.syscall_function == 0 {
            self.syscall_function = syscall_function;
            self.c_library = mapping(tid, syscall_function);
        }
    }

    /// The instruction pointer is behind the call.
    fn origin(&self, pc: u64) -> Origin {
        match pc.checked_sub(self.syscall_function) {
            Some(0..=64) => Origin::SyscallFunction,
            _ if self.c_library.contains(&pc) => Origin::CLibrary,
            _ => Origin::Program,
        }
    }
}

/// The mapping of a process that an address is in.
fn mapping(tid: c_int, address: u64) -> Range<u64> {
    let maps = std::fs::read_to_string(format!("/proc/{tid}/maps")).expect("its mappings");
    let range = |line: &str| {
        let (start, end) = line.split_ascii_whitespace().next()?.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        Some(number(start)?..number(end)?)
    };
    maps.lines().filter_map(range).find(|range| range.contains(&address)).expect("it is mapped")
}

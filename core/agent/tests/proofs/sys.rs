//! The system calls of a host that this crate's scenarios play, and of its enemies.
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    reason = "thin wrappers of system calls on local buffers"
)]

use std::ffi::{c_int, c_void};
use std::mem::zeroed;
use std::time::Duration;

/// A signal handler of three arguments.
pub type Handler = unsafe extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);

/// The kernel's `struct sigaction`: handler, flags, restorer, mask.
pub type Disposition = [u64; 4];

/// Signals a process can have.
pub const SIGNALS: std::ops::RangeInclusive<c_int> = 1..=64;

/// Ends this process when the thread that started it ends.
pub fn die_with_parent() {
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
}

/// Ends a process group that was made by `process_group(0)`.
pub fn end_group(leader: u32) {
    let group = i32::try_from(leader).expect("a process id");
    unsafe { libc::kill(-group, libc::SIGKILL) };
}

/// Sends a signal to the calling thread.
pub fn raise(signal: c_int) {
    unsafe { libc::raise(signal) };
}

/// Sends a signal to this process, as another process would.
pub fn signal_self(signal: c_int) {
    unsafe { libc::kill(libc::getpid(), signal) };
}

/// The calling thread's number.
pub fn tid() -> i32 {
    unsafe { libc::gettid() }
}

/// CPU time of the calling thread.
pub fn thread_cpu() -> Duration {
    cpu(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// CPU time of the process.
pub fn process_cpu() -> Duration {
    cpu(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn cpu(clock: libc::clockid_t) -> Duration {
    let mut time: libc::timespec = unsafe { zeroed() };
    let result = unsafe { libc::clock_gettime(clock, &raw mut time) };
    assert_eq!(result, 0);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
}

/// The last error of the calling thread.
pub fn errno() -> c_int {
    unsafe { *libc::__errno_location() }
}

/// Sets the calling thread's `errno`.
pub fn set_errno(value: c_int) {
    unsafe { *libc::__errno_location() = value };
}

/// A signal's disposition as the kernel holds it.
pub fn disposition(signal: c_int) -> Disposition {
    let mut now = [0u64; 4];
    unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, 0usize, now.as_mut_ptr(), 8usize) };
    now
}

/// The dispositions of all 64 signals.
pub fn dispositions() -> Vec<Disposition> {
    SIGNALS.map(disposition).collect()
}

/// Installs a handler through the C library.
pub fn install(signal: c_int, handler: Handler, flags: c_int) {
    unsafe {
        let mut action: libc::sigaction = zeroed();
        action.sa_sigaction = handler as usize;
        action.sa_flags = flags | libc::SA_SIGINFO;
        assert_eq!(libc::sigaction(signal, &raw const action, std::ptr::null_mut()), 0);
    }
}

/// Blocks or unblocks every signal on the calling thread.
pub fn block_all_signals(block: bool) {
    unsafe {
        let mut all: libc::sigset_t = zeroed();
        libc::sigfillset(&raw mut all);
        let how = if block { libc::SIG_BLOCK } else { libc::SIG_UNBLOCK };
        libc::pthread_sigmask(how, &raw const all, std::ptr::null_mut());
    }
}

/// One of this process' timers, as `/proc/self/timers` lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer {
    pub id: i32,
    pub signal: c_int,
    pub value: u64,
    pub tid: i32,
}

/// The names of this process' threads.
pub fn threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("the kernel lists threads");
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.collect()
}

/// This process' timers.
pub fn timers() -> Vec<Timer> {
    let text = std::fs::read_to_string("/proc/self/timers").expect("the kernel lists timers");
    let mut timers = Vec::new();
    let mut timer = Timer { id: -1, signal: 0, value: 0, tid: 0 };
    for line in text.lines() {
        if let Some(id) = line.strip_prefix("ID: ") {
            timer.id = id.parse().unwrap();
        } else if let Some((signal, value)) =
            line.strip_prefix("signal: ").and_then(|rest| rest.split_once('/'))
        {
            timer.signal = signal.parse().unwrap();
            timer.value = u64::from_str_radix(value, 16).unwrap();
        } else if line.starts_with("notify: ") {
            timer.tid = line.rsplit('.').next().unwrap().parse().unwrap();
            timers.push(timer);
        }
    }
    timers
}

/// The timer of one thread.
pub fn timer_of(tid: i32) -> Option<Timer> {
    timers().into_iter().find(|timer| timer.tid == tid)
}

/// The `siginfo_t` that the kernel makes for a timer's signal.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug)]
pub struct TimerInfo {
    signal: c_int,
    errno: c_int,
    code: c_int,
    padding: c_int,
    id: c_int,
    overrun: c_int,
    value: u64,
    rest: [u64; 12],
}

/// What the kernel would tell a handler about a descriptor that can be read.
pub fn event_info(descriptor: i32) -> TimerInfo {
    let value = u64::from(descriptor.cast_unsigned());
    let (signal, code) = (libc::SIGURG, 1);
    TimerInfo { signal, errno: 0, code, padding: 0, id: 65, overrun: 0, value, rest: [0; 12] }
}

impl Timer {
    /// What the kernel would tell a handler about this timer.
    pub fn info(self) -> TimerInfo {
        TimerInfo {
            signal: self.signal,
            errno: 0,
            code: libc::SI_TIMER,
            padding: 0,
            id: self.id,
            overrun: 0,
            value: self.value,
            rest: [0; 12],
        }
    }

    /// Sends the timer's signal to its thread, as if it had expired. The kernel lets a process
    /// do that to itself. Returns whether it was sent.
    pub fn expire_now(self) -> bool {
        let info = self.info();
        let sent = unsafe {
            libc::syscall(
                libc::SYS_rt_tgsigqueueinfo,
                libc::getpid(),
                self.tid,
                self.signal,
                &raw const info,
            )
        };
        sent == 0
    }
}

/// The program counter, stack pointer and frame pointer that a signal interrupted.
#[cfg(target_arch = "x86_64")]
pub unsafe fn interrupted(context: *mut c_void) -> sondage_sampler::Registers {
    let gregs = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let [pc, sp, fp] =
        [libc::REG_RIP, libc::REG_RSP, libc::REG_RBP].map(|r| gregs[r as usize].cast_unsigned());
    sondage_sampler::Registers { pc, sp, fp, lr: None }
}

/// The calling thread's stack.
pub fn own_stack() -> std::ops::Range<u64> {
    unsafe {
        let mut attributes: libc::pthread_attr_t = zeroed();
        assert_eq!(libc::pthread_getattr_np(libc::pthread_self(), &raw mut attributes), 0);
        let (mut low, mut size) = (std::ptr::null_mut(), 0);
        libc::pthread_attr_getstack(&raw const attributes, &raw mut low, &raw mut size);
        libc::pthread_attr_destroy(&raw mut attributes);
        let low = low as u64;
        low..low + size as u64
    }
}

/// A private anonymous mapping, never unmapped.
pub fn map(bytes: usize) -> &'static mut [u8] {
    unsafe {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let base = libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0);
        assert_ne!(base, libc::MAP_FAILED);
        std::slice::from_raw_parts_mut(base.cast(), bytes)
    }
}

/// Makes pages unreadable.
pub fn protect(range: std::ops::Range<u64>) {
    let bytes = usize::try_from(range.end - range.start).unwrap();
    assert_eq!(unsafe { libc::mprotect(range.start as *mut c_void, bytes, libc::PROT_NONE) }, 0);
}

/// Makes `stack` the alternate signal stack of the calling thread.
pub fn use_alternate_stack(stack: &mut [u8]) {
    let stack =
        libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: stack.len() };
    assert_eq!(unsafe { libc::sigaltstack(&raw const stack, std::ptr::null_mut()) }, 0);
}

/// The descriptors of this process that are perf events.
pub fn perf_events() -> Vec<i32> {
    let links = std::fs::read_dir("/proc/self/fd").expect("the kernel lists descriptors");
    let events = links.filter_map(|link| {
        let link = link.ok()?;
        let target = std::fs::read_link(link.path()).ok()?;
        target.to_str()?.contains("perf_event").then(|| link.file_name())
    });
    events.filter_map(|name| name.to_str()?.parse().ok()).collect()
}

/// Closes every descriptor but the standard ones, as daemons do.
pub fn close_all_descriptors() {
    let closed = unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 0u32) };
    assert_eq!(closed, 0);
}

/// Opens a file under a number, closing what has it.
pub fn open_as(descriptor: i32, path: &std::ffi::CStr) {
    unsafe {
        let opened = libc::open(path.as_ptr(), libc::O_RDONLY);
        assert!(opened >= 0);
        if opened != descriptor {
            assert_eq!(libc::dup2(opened, descriptor), descriptor);
            libc::close(opened);
        }
    }
}

/// Whether a descriptor is open.
pub fn is_open(descriptor: i32) -> bool {
    unsafe { libc::fcntl(descriptor, libc::F_GETFD) >= 0 }
}

/// Lets this process have at most so many descriptors.
pub fn limit_descriptors(limit: u64) {
    let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
}

/// Has the kernel refuse a system call to this thread and those it starts, as the sandboxes of
/// containers do.
pub fn forbid(number: libc::c_long) {
    let step =
        |code: u32, jt, jf, k| libc::sock_filter { code: u16::try_from(code).unwrap(), jt, jf, k };
    let answer = libc::BPF_RET | libc::BPF_K;
    let program = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, u32::try_from(number).unwrap()),
        step(answer, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM.cast_unsigned()),
        step(answer, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: 4, filter: program.as_ptr().cast_mut() };
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let mode = libc::SECCOMP_MODE_FILTER;
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const filter), 0);
    }
}

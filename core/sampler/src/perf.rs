//! One perf event a thread: its task clock, counted by a timer of high resolution.
//!
//! An event is a descriptor, and a host may close what it has not opened (daemons close everything)
//! and get the number again for a file of its own. So nothing is done to a descriptor before it has
//! told its event's id, which no other has. The table of descriptors is apart from the slots: a
//! forked child closes what it has inherited without them.

use crate::arch;
use crate::clock::Clock;
use crate::errno::{Errno, check};
use crate::registration::MAX_SLOTS;
use crate::slot::SlotIndex;
use core::sync::atomic::{AtomicI32, AtomicU16, AtomicU32, AtomicU64, Ordering};

/// `si_code` of a signal that a descriptor sends when there is something to read.
/// Source: Linux `include/uapi/asm-generic/siginfo.h`.
pub(crate) const POLL_IN: i32 = 1;

/// The only signal that a perf event may send. What is still pending when a process becomes another
/// program meets the default there, which for this one is to be ignored; signals of timers are
/// discarded by `exec`, those of descriptors are not.
pub(crate) const SIGNAL: i32 = libc::SIGURG;

/// Descriptors from here on are used where the limit allows: `select` takes those below, which are
/// left to the host.
const FIRST_DESCRIPTOR: u64 = libc::FD_SETSIZE as u64;

/// The host is short of descriptors where of this many at most a quarter is free.
const RESERVE: usize = 32;

/// Larger descriptors are given back.
const MAX_DESCRIPTORS: usize = 1 << 16;

/// The descriptor of each slot's event plus one; 0 for none.
static DESCRIPTORS: [AtomicI32; MAX_SLOTS] = [const { AtomicI32::new(0) }; MAX_SLOTS];

/// The id of each slot's event.
static IDS: [AtomicU64; MAX_SLOTS] = [const { AtomicU64::new(0) }; MAX_SLOTS];

/// The slot of each descriptor plus one. Stays when the event is closed, so that a signal that comes
/// late is known as ours.
static SLOTS: [AtomicU16; MAX_DESCRIPTORS] = [const { AtomicU16::new(0) }; MAX_DESCRIPTORS];

/// Events that are open.
static OPEN: AtomicU32 = AtomicU32::new(0);

/// Whether the last event that was opened counts time in the kernel.
static COUNTS_KERNEL: AtomicU32 = AtomicU32::new(0);

/// The first 64 bytes of the kernel's `struct perf_event_attr`, which every version takes.
/// Source: Linux `include/uapi/linux/perf_event.h`.
#[derive(Debug, Default)]
#[repr(C)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    breakpoint: u32,
    config1: u64,
}

const TYPE_SOFTWARE: u32 = 1;
const TASK_CLOCK: u64 = 1;
const DISABLED: u64 = 1;
const EXCLUDE_KERNEL: u64 = 1 << 5;
const FD_CLOEXEC: usize = 8;

const IOC_ENABLE: usize = 0x2400;
const IOC_DISABLE: usize = 0x2401;
const IOC_PERIOD: usize = 0x4008_2404;
const IOC_ID: usize = 0x8008_2407;

const F_SETSIG: usize = 10;
const F_SETOWN_EX: usize = 15;
const F_GETOWN_EX: usize = 16;

/// The kernel's `struct f_owner_ex`, of which type 0 is a thread.
#[repr(C)]
struct Owner {
    kind: i32,
    id: i32,
}

/// Why a thread has no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenError {
    /// The kernel refuses.
    Refused(Errno),
    /// A quarter of RLIMIT_NOFILE is used.
    Descriptors,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It counts.
    Counting,
    /// Its thread has ended.
    Ended,
    /// Its descriptor was closed by others.
    Lost,
}

/// An open event; nothing closes it but [`close`](Event::close).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    descriptor: i32,
    id: u64,
}

impl Event {
    /// The event of a slot.
    pub(crate) fn of(index: SlotIndex) -> Option<Self> {
        let descriptor = DESCRIPTORS.get(index.index())?.load(Ordering::Acquire);
        let id = IDS.get(index.index())?.load(Ordering::Relaxed);
        (descriptor > 0).then_some(Self { descriptor: descriptor.wrapping_sub(1), id })
    }

    /// Opens an event on a thread and gives it to a slot: its signal goes to that thread alone,
    /// every `first` nanoseconds until [`set_period`](Self::set_period) says otherwise.
    pub(crate) fn start(index: SlotIndex, tid: i32, first: u64) -> Result<(), OpenError> {
        let limit = descriptor_limit();
        if u64::from(OPEN.fetch_add(1, Ordering::Relaxed)) >= limit / 4 {
            OPEN.fetch_sub(1, Ordering::Relaxed);
            return Err(OpenError::Descriptors);
        }
        Self::open(tid, first, limit).and_then(|event| event.enter(index, tid)).inspect_err(|_| {
            OPEN.fetch_sub(1, Ordering::Relaxed);
        })
    }

    /// Opens a stopped event, if it may be with the time that its thread spends in the kernel.
    fn open(tid: i32, first: u64, limit: u64) -> Result<Self, OpenError> {
        let opened = match open(tid, first, 0) {
            Err(Errno(libc::EACCES | libc::EPERM)) => {
                COUNTS_KERNEL.store(0, Ordering::Relaxed);
                open(tid, first, EXCLUDE_KERNEL)
            }
            opened => {
                COUNTS_KERNEL.store(1, Ordering::Relaxed);
                opened
            }
        };
        let low = opened.map_err(OpenError::Refused)?;
        let from = first_descriptor(limit);
        // SAFETY: takes numbers.
        let high = unsafe { fcntl(low, libc::F_DUPFD_CLOEXEC as usize, from as usize) };
        // SAFETY: the descriptor was made above and nobody else knows it.
        let _ = unsafe { arch::syscall(libc::SYS_close, [low as usize, 0, 0, 0]) };
        let descriptor = high.map_err(|_| OpenError::Descriptors)? as i32;
        let event = Self { descriptor, id: 0 };
        match event.read_id() {
            Some(id) if (descriptor as usize) < MAX_DESCRIPTORS => Ok(Self { id, ..event }),
            _ => {
                // SAFETY: as above.
                let _ = unsafe { arch::syscall(libc::SYS_close, [descriptor as usize, 0, 0, 0]) };
                Err(OpenError::Descriptors)
            }
        }
    }

    /// Tells the handler about the event and starts it.
    fn enter(self, index: SlotIndex, tid: i32) -> Result<(), OpenError> {
        let owner = Owner { kind: 0, id: tid };
        let flags = (libc::O_ASYNC | libc::O_NONBLOCK) as usize;
        // SAFETY: the pointer is to a local that outlives the call.
        unsafe { fcntl(self.descriptor, F_SETOWN_EX, &raw const owner as usize) }
            // SAFETY: takes numbers.
            .and_then(|_| unsafe { fcntl(self.descriptor, F_SETSIG, SIGNAL as usize) })
            // SAFETY: as above.
            .and_then(|_| unsafe { fcntl(self.descriptor, libc::F_SETFL as usize, flags) })
            .map_err(|errno| {
                self.close();
                OpenError::Refused(errno)
            })?;
        let number = u16::try_from(index.index()).unwrap_or(u16::MAX).saturating_add(1);
        if let (Some(descriptor), Some(id), Some(slot)) = (
            DESCRIPTORS.get(index.index()),
            IDS.get(index.index()),
            SLOTS.get(self.descriptor as usize),
        ) {
            id.store(self.id, Ordering::Relaxed);
            slot.store(number, Ordering::Release);
            descriptor.store(self.descriptor.wrapping_add(1), Ordering::Release);
        }
        self.control(IOC_ENABLE, 0).map(drop).map_err(|errno| {
            self.close();
            forget(index);
            OpenError::Refused(errno)
        })
    }

    /// Changes the period, in nanoseconds of CPU time, and begins a new one.
    pub(crate) fn set_period(self, nanos: u64) {
        if self.is_ours() {
            let _ = self.control(IOC_PERIOD, &raw const nanos as usize);
        }
    }

    /// What became of the event, which is the thread's `tid`.
    ///
    /// The event itself does not tell: polling one that has no buffer always finds it hung up. But
    /// the owner of its descriptor is the thread and not just a number, and is 0 once that has ended
    /// (since Linux 5.13). Before, the number must do.
    pub(crate) fn state(self, tid: i32) -> State {
        if !self.is_ours() {
            return State::Lost;
        }
        let mut owner = Owner { kind: 0, id: tid };
        // SAFETY: the pointer is to a local that outlives the call.
        let _ = unsafe { fcntl(self.descriptor, F_GETOWN_EX, &raw mut owner as usize) };
        let ended = owner.id != tid || Clock::Thread(tid).now().is_err();
        if ended { State::Ended } else { State::Counting }
    }

    /// Stops and closes the event, if the descriptor still stands for it. A copy of the descriptor
    /// in a child process keeps the event, so it is silenced first.
    fn close(self) {
        if !self.is_ours() {
            return;
        }
        // SAFETY: takes numbers.
        let _ =
            unsafe { fcntl(self.descriptor, libc::F_SETFL as usize, libc::O_NONBLOCK as usize) };
        let _ = self.control(IOC_DISABLE, 0);
        self.close_here();
    }

    /// Closes the descriptor, which must be the event's.
    fn close_here(self) {
        // SAFETY: the descriptor stands for the event, which nobody else closes.
        let _ = unsafe { arch::syscall(libc::SYS_close, [self.descriptor as usize, 0, 0, 0]) };
    }

    /// Whether the descriptor still stands for the event.
    pub(crate) fn is_ours(self) -> bool {
        self.read_id() == Some(self.id)
    }

    fn read_id(self) -> Option<u64> {
        let mut id = 0u64;
        self.control(IOC_ID, &raw mut id as usize).ok().map(|_| id)
    }

    /// An `ioctl`, by a number that only perf events know.
    fn control(self, request: usize, argument: usize) -> Result<usize, Errno> {
        let args = [self.descriptor as usize, request, argument, 0];
        // SAFETY: the argument is a number, or a pointer to a local of the caller.
        check(unsafe { arch::syscall(libc::SYS_ioctl, args) })
    }
}

fn open(tid: i32, period: u64, flags: u64) -> Result<i32, Errno> {
    let attributes = Attributes {
        kind: TYPE_SOFTWARE,
        size: size_of::<Attributes>() as u32,
        config: TASK_CLOCK,
        sample_period: period,
        flags: flags | DISABLED,
        wakeup_events: 1,
        ..Attributes::default()
    };
    let (any_processor, no_group) = (usize::MAX, usize::MAX);
    let args = [&raw const attributes as usize, tid as usize, any_processor, no_group, FD_CLOEXEC];
    // SAFETY: the pointer is to a local of the kernel's layout.
    let opened = check(unsafe { arch::syscall5(libc::SYS_perf_event_open, args) })?;
    Ok(i32::try_from(opened).unwrap_or(-1))
}

/// # Safety
/// The argument must be what the command takes.
unsafe fn fcntl(descriptor: i32, command: usize, argument: usize) -> Result<usize, Errno> {
    let args = [descriptor as usize, command, argument, 0];
    // SAFETY: the caller vouches for the argument.
    check(unsafe { arch::syscall(libc::SYS_fcntl, args) })
}

/// Whether hardly any descriptors are left to the host: it needs ours. As a rule nine system calls.
///
/// The kernel hands out the lowest number that is free, so few are where those right below ours and
/// the last ones are in use.
pub(crate) fn is_host_short() -> bool {
    let limit = host_limit();
    let first = first_descriptor(descriptor_limit());
    let is_free = |descriptor: &u64| {
        // SAFETY: takes numbers.
        unsafe { fcntl(*descriptor as i32, libc::F_GETFD as usize, 0) }.is_err()
    };
    let are_used =
        |end: u64| (0..end).rev().take(RESERVE).filter(is_free).nth(RESERVE / 4).is_none();
    are_used(first) && are_used(limit)
}

/// The first descriptor that an event may have.
fn first_descriptor(limit: u64) -> u64 {
    FIRST_DESCRIPTOR.min(limit.saturating_sub(limit / 4))
}

/// RLIMIT_NOFILE, at most what the table of descriptors holds.
fn descriptor_limit() -> u64 {
    host_limit().min(MAX_DESCRIPTORS as u64)
}

fn host_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    let args = [0, libc::RLIMIT_NOFILE as usize, 0, &raw mut limit as usize];
    // SAFETY: the pointer is to a local of the kernel's layout.
    let _ = unsafe { arch::syscall(libc::SYS_prlimit64, args) };
    limit.rlim_cur
}

/// Whether events count what their threads do in the kernel: the user's rights decide.
pub(crate) fn counts_kernel() -> bool {
    COUNTS_KERNEL.load(Ordering::Relaxed) != 0
}

/// The slot whose event has this descriptor.
pub(crate) fn slot_of(descriptor: i32) -> Option<SlotIndex> {
    let number = SLOTS.get(usize::try_from(descriptor).ok()?)?.load(Ordering::Acquire);
    let index = number.checked_sub(1)?;
    let own = DESCRIPTORS.get(usize::from(index))?.load(Ordering::Acquire);
    (own == descriptor.wrapping_add(1)).then_some(SlotIndex(u32::from(index)))
}

/// Whether the descriptor is, or was, that of an event.
pub(crate) fn was_event(descriptor: i32) -> bool {
    let entry = usize::try_from(descriptor).ok().and_then(|at| SLOTS.get(at));
    entry.is_some_and(|slot| slot.load(Ordering::Relaxed) != 0)
}

/// Ends a slot's event, if it has one.
pub(crate) fn stop(index: SlotIndex) {
    if let Some(event) = forget(index) {
        event.close();
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Takes the event from a slot.
fn forget(index: SlotIndex) -> Option<Event> {
    let event = Event::of(index)?;
    DESCRIPTORS.get(index.index())?.store(0, Ordering::Release);
    Some(event)
}

/// In a forked child: closes the copies of the parent's descriptors, whose events go on.
/// Async-signal-safe.
pub(crate) fn close_in_child() {
    // Not only slots in use: a thread may have been about to register at the fork.
    for index in 0..MAX_SLOTS as u32 {
        if let Some(event) = forget(SlotIndex(index)).filter(|event| event.is_ours()) {
            event.close_here();
        }
    }
    OPEN.store(0, Ordering::Relaxed);
}

//! A filter of system calls whose answer can change: a thread of the process decides each call.
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    reason = "the scenarios are the host's own system calls"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Refuses one system call with EPERM, or allows it.
#[derive(Clone)]
pub struct Filter {
    number: libc::c_long,
    allows: Arc<AtomicBool>,
}

/// Linux include/uapi/linux/seccomp.h.
const SET_MODE_FILTER: usize = 1;
const NEW_LISTENER: usize = 1 << 3;
const USER_NOTIF: u32 = 0x7fc0_0000;
const CONTINUE: u32 = 1;
const RECEIVE: libc::c_ulong = 0xc050_2100;
const SEND: libc::c_ulong = 0xc018_2101;

/// `struct seccomp_notif`: id, pid, flags, and the call.
type Notification = [u64; 10];

#[repr(C)]
struct Answer {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

impl Filter {
    /// A filter that refuses, once it is applied.
    pub fn of(number: libc::c_long) -> Self {
        Self { number, allows: Arc::new(AtomicBool::new(false)) }
    }

    pub fn allow(&self, allows: bool) {
        self.allows.store(allows, Relaxed);
    }

    /// Applies it to the calling thread, and those that it starts.
    pub fn apply(&self) {
        let (send, receive) = std::sync::mpsc::channel::<i32>();
        let allows = self.allows.clone();
        // Started before, so that its own calls are not filtered.
        std::thread::spawn(move || {
            let Ok(listener) = receive.recv() else { return };
            while decide(listener, &allows) {}
        });
        let step =
            |code: u32, jt, jf, k| libc::sock_filter { code: code.try_into().unwrap(), jt, jf, k };
        let answer = libc::BPF_RET | libc::BPF_K;
        let number = u32::try_from(self.number).unwrap();
        let program = [
            step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
            step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, number),
            step(answer, 0, 0, USER_NOTIF),
            step(answer, 0, 0, libc::SECCOMP_RET_ALLOW),
        ];
        let filter = libc::sock_fprog { len: 4, filter: program.as_ptr().cast_mut() };
        let listener = unsafe {
            assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
            libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, NEW_LISTENER, &raw const filter)
        };
        assert!(listener >= 0, "{}", std::io::Error::last_os_error());
        send.send(i32::try_from(listener).unwrap()).unwrap();
    }
}

/// Answers one call; `false` when there will be no more.
fn decide(listener: i32, allows: &AtomicBool) -> bool {
    let mut notification: Notification = [0; 10];
    if unsafe { libc::ioctl(listener, RECEIVE, notification.as_mut_ptr()) } != 0 {
        return std::io::Error::last_os_error().raw_os_error() == Some(libc::EINTR);
    }
    let mut answer = Answer { id: notification[0], value: 0, error: -libc::EPERM, flags: 0 };
    if allows.load(Relaxed) {
        (answer.error, answer.flags) = (0, CONTINUE);
    }
    unsafe { libc::ioctl(listener, SEND, &raw mut answer) };
    true
}

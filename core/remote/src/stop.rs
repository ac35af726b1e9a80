//! Stopping one thread for the time of a walk.

use crate::error::{Error, ErrorKind};
use crate::status;
use crate::sys::{self, Change};
use std::marker::PhantomData;
use std::time::{Duration, Instant};

/// How long a thread may take until it stops that waits in the kernel, for a disk.
const PATIENCE: Duration = Duration::from_millis(50);

/// How long any other may take: until the machine has a processor for it.
const LONG_PATIENCE: Duration = Duration::from_secs(1);

/// Looks at a thread that is about to stop before time is given up between them. To yield the
/// processor instead could give it away for milliseconds, in which the thread stays stopped.
const SPINS: u32 = 100;

/// Stops threads of other processes, one at a time. It stays on the thread that made it, which is
/// the tracer as the kernel sees it: when that ends, by whatever cause, every thread goes on.
///
/// Not for children of this process, whose end it would be told instead of who waits for it.
#[derive(Debug, Default)]
pub struct Tracer {
    /// Threads that did not stop in time: they do later, and are let go at once then.
    late: Vec<i32>,
    stays: PhantomData<*const ()>,
}

/// A thread that is stopped until this is dropped.
#[derive(Debug)]
pub struct Stopped<'t> {
    tid: i32,
    /// What interrupted it and is delivered when it goes on.
    signal: i32,
    since: Instant,
    tracer: &'t mut Tracer,
}

impl Tracer {
    /// One that has stopped nothing yet. The calling thread gets a better priority, where that is
    /// permitted: it is to be short that threads wait for it.
    pub fn new() -> Self {
        sys::be_quick();
        Self::default()
    }

    /// Stops a thread of the process `pid`. `None` if it has ended, or does not stop now.
    ///
    /// A thread that a signal of job control has stopped is only looked at, and stays so.
    ///
    /// # Errors
    /// [`Denied`](ErrorKind::Denied) where this process may not do that, and
    /// [`Traced`](ErrorKind::Traced) where a debugger does it.
    pub fn stop(&mut self, pid: u32, tid: i32) -> Result<Option<Stopped<'_>>, Error> {
        self.let_late_ones_go();
        if self.late.contains(&tid) {
            return Ok(None);
        }
        if let Err(error) = sys::seize(tid) {
            return match error.raw_os_error() {
                Some(libc::ESRCH) => Ok(None),
                Some(libc::EPERM) => refusal(pid, tid),
                _ => Err(Error::new(ErrorKind::Other, format!("process {pid}: {error}"))),
            };
        }
        let (since, mut patience) = (Instant::now(), PATIENCE);
        if sys::interrupt(tid).is_err() {
            // It is ending: there is nothing to let go but what is left of it.
            if sys::change(tid) != Change::Ended {
                self.late.push(tid);
            }
            return Ok(None);
        }
        for round in 0u32.. {
            match sys::change(tid) {
                Change::Stopped { signal } => {
                    return Ok(Some(Stopped { tid, signal, since, tracer: self }));
                }
                Change::Ended => return Ok(None),
                Change::None if since.elapsed() > patience => {
                    let waits = status::state(pid, tid) == Some('D');
                    if waits || patience == LONG_PATIENCE {
                        break;
                    }
                    patience = LONG_PATIENCE;
                }
                Change::None if round < SPINS => std::hint::spin_loop(),
                Change::None => std::thread::sleep(Duration::from_micros(20)),
            }
        }
        self.late.push(tid);
        Ok(None)
    }

    /// Lets threads go that have stopped after this had given up waiting for them. [`stop`](Self::stop)
    /// does it too; who does not call that for a while has to call this.
    pub fn let_late_ones_go(&mut self) {
        self.late.retain(|tid| match sys::change(*tid) {
            Change::None => true,
            Change::Ended => false,
            Change::Stopped { signal } => {
                let _ = sys::detach(*tid, signal);
                false
            }
        });
    }
}

impl Drop for Tracer {
    /// Waits for threads that are about to stop, for at most a second; the kernel lets go of what is
    /// left when this thread ends.
    fn drop(&mut self) {
        let until = Instant::now() + Duration::from_secs(1);
        while !self.late.is_empty() && Instant::now() < until {
            self.let_late_ones_go();
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Stopped<'_> {
    /// Its number.
    pub fn tid(&self) -> i32 {
        self.tid
    }

    /// Lets it go on and tells how long it was stopped.
    pub fn let_go(self) -> Duration {
        let since = self.since;
        drop(self);
        since.elapsed()
    }
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        // One that was killed meanwhile ends, and that has to be seen by its tracer before others.
        if sys::detach(self.tid, self.signal).is_err() {
            self.tracer.late.push(self.tid);
            self.tracer.let_late_ones_go();
        }
    }
}

/// Why a thread may not be stopped; nothing where it has just ended.
fn refusal(pid: u32, tid: i32) -> Result<Option<Stopped<'static>>, Error> {
    let tracer = status::number(pid, "TracerPid:").filter(|tracer| *tracer != 0);
    let of_thread = || status::of_thread(pid, tid)?.number("TracerPid:").filter(|it| *it != 0);
    if let Some(tracer) = tracer.or_else(of_thread) {
        // The kernel tells which of its threads it is.
        let tracer = status::number(tracer, "Tgid:").unwrap_or(tracer);
        let message = format!("process {pid} is traced by process {tracer} already");
        return Err(Error::new(ErrorKind::Traced, message));
    }
    match status::state(pid, tid) {
        None | Some('Z' | 'X') => Ok(None),
        Some(_) => Err(Error::denied(pid)),
    }
}

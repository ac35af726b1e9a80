//! What `/proc` says of processes and their threads.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

/// A `status` file.
#[derive(Debug)]
pub(crate) struct Status(String);

impl Status {
    /// All numbers of a line.
    pub(crate) fn numbers(&self, name: &str) -> Vec<u32> {
        let line = self.0.lines().find_map(|line| line.strip_prefix(name));
        let words = line.unwrap_or_default().split_whitespace();
        words.map_while(|word| word.parse().ok()).collect()
    }

    /// The first number of a line.
    pub(crate) fn number(&self, name: &str) -> Option<u32> {
        self.numbers(name).first().copied()
    }
}

/// That of a process.
pub(crate) fn of(pid: u32) -> Option<Status> {
    fs::read_to_string(format!("/proc/{pid}/status")).ok().map(Status)
}

/// That of a thread.
pub(crate) fn of_thread(pid: u32, tid: i32) -> Option<Status> {
    fs::read_to_string(format!("/proc/{pid}/task/{tid}/status")).ok().map(Status)
}

/// A number of a process.
pub(crate) fn number(pid: u32, name: &str) -> Option<u32> {
    of(pid)?.number(name)
}

/// The threads of a process, by number; none if it has ended.
pub(crate) fn threads(pid: u32) -> BTreeSet<i32> {
    let Ok(list) = fs::read_dir(format!("/proc/{pid}/task")) else { return BTreeSet::new() };
    list.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// A thread's number in the innermost namespace that it is in.
pub fn inner_number(pid: u32, tid: i32) -> i32 {
    let numbers = of_thread(pid, tid).map(|status| status.numbers("NSpid:")).unwrap_or_default();
    numbers.last().and_then(|number| i32::try_from(*number).ok()).unwrap_or(tid)
}

/// A thread's name.
pub(crate) fn name(pid: u32, tid: i32) -> String {
    let name = fs::read(format!("/proc/{pid}/task/{tid}/comm")).unwrap_or_default();
    String::from_utf8_lossy(&name).trim_end().to_owned()
}

/// What a thread is doing: `R` runs or could, `S` waits, `D` waits in the kernel, `T` is stopped by a
/// signal, `t` by a tracer. `None` if it has ended.
pub(crate) fn state(pid: u32, tid: i32) -> Option<char> {
    let stat = fs::read(format!("/proc/{pid}/task/{tid}/stat")).ok()?;
    // The name is in parentheses and may have any bytes.
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    stat.get(end + 2).map(|state| char::from(*state))
}

/// The CPU time that a thread has used. `None` if it has ended.
pub(crate) fn cpu(pid: u32, tid: i32) -> Option<Duration> {
    let by_scheduler = fs::read_to_string(format!("/proc/{pid}/task/{tid}/schedstat"));
    let nanos = by_scheduler.ok().and_then(|text| text.split(' ').next()?.parse().ok());
    nanos.map(Duration::from_nanos).or_else(|| cpu_in_ticks(pid, tid))
}

/// The CPU time that a process has used, with all threads that have ended.
pub(crate) fn cpu_of_all(pid: u32) -> Option<Duration> {
    times(&format!("/proc/{pid}/stat"))
}

/// A number that changes with the number of threads.
pub(crate) fn thread_count(pid: u32) -> u64 {
    fs::metadata(format!("/proc/{pid}/task")).map_or(0, |task| task.nlink())
}

/// The same in ticks of 10 ms, for kernels that do not count nanoseconds.
fn cpu_in_ticks(pid: u32, tid: i32) -> Option<Duration> {
    times(&format!("/proc/{pid}/task/{tid}/stat"))
}

/// Time in the program and in the kernel for it, by a `stat` file.
fn times(path: &str) -> Option<Duration> {
    let stat = fs::read(path).ok()?;
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let fields = String::from_utf8_lossy(stat.get(end + 2..)?).into_owned();
    let mut fields = fields.split(' ').skip(11).map_while(|field| field.parse::<u64>().ok());
    Some(Duration::from_millis((fields.next()? + fields.next()?) * 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_thread_runs_and_has_used_time() {
        let (pid, tid) = (std::process::id(), sondage_sampler::current_tid());
        assert_eq!(state(pid, tid), Some('R'));
        // The kernel counts at its ticks.
        let until = std::time::Instant::now() + Duration::from_secs(5);
        while cpu(pid, tid) == Some(Duration::ZERO) && std::time::Instant::now() < until {}
        assert!(cpu(pid, tid).unwrap() > Duration::ZERO);
        let before = cpu_in_ticks(pid, tid).unwrap();
        assert!(cpu(pid, tid).unwrap() + Duration::from_secs(1) > before);
        assert!(threads(pid).contains(&tid));
        assert_eq!(inner_number(pid, tid), tid);
        assert_eq!(number(pid, "Pid:"), Some(pid));
        assert_eq!((state(u32::MAX >> 1, 1), cpu(u32::MAX >> 1, 1)), (None, None));
    }
}

//! The records of the ring, as `struct record` in `bpf/sample.h`.

use std::time::Duration;

/// Bytes before the words.
const PREFIX: usize = 56;

/// What a record tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RecordKind {
    /// The thread runs.
    Sample,
    /// The thread runs, and nobody has said what its process' code is: the sample has its leaf alone,
    /// and behind it there may be a [`StackCopy`](crate::StackCopy).
    UnknownProcess,
    /// The thread stops running here.
    Blocked {
        /// The chance that this stop was looked at, up to 1.
        chance: f64,
        /// Whether it could run, and another thread took its processor.
        runnable: bool,
    },
    /// The thread runs again after a [`Blocked`](Self::Blocked).
    Resumed {
        /// The chance that the stop was looked at.
        chance: f64,
        /// How long the thread did not run.
        blocked: Duration,
    },
    /// The process runs another program from here on; its mappings are forgotten.
    Exec,
    /// The process' first thread has ended, and mostly the process.
    Exit,
    /// The labels of the goroutine that the sample of that thread and time ran, which follows: the
    /// bytes of the words are what [`GoLabelText`](crate::GoLabelText) reads.
    GoLabels,
    /// The attributes of the context that the thread of the sample of that time, which follows, has
    /// published: the bytes of the words are what
    /// [`ContextAttributes`](crate::ContextAttributes) reads. Its ids are in the sample.
    Context,
}

/// One record of the ring.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Record<'a> {
    /// What it tells.
    pub kind: RecordKind,
    /// The process, as this process' pid namespace numbers it.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// `CLOCK_MONOTONIC`, in nanoseconds.
    pub time: u64,
    /// The process' control group: the inode of its folder in the second hierarchy. Not of a
    /// [`Resumed`](RecordKind::Resumed) thread.
    pub cgroup: u64,
    /// The thread's name, padded with zeros. Not of a [`Resumed`](RecordKind::Resumed) thread.
    pub comm: [u8; 16],
    /// The words of a [`RawSample`](sondage_sampler::RawSample), where the kind has a stack.
    pub words: &'a [u64],
}

/// Reads one record, whose words are copied into `words`; `None` when it is not as long as it says
/// or of a kind that is not known.
pub(crate) fn read<'a>(record: &[u8], words: &'a mut Vec<u64>) -> Option<Record<'a>> {
    let (prefix, body) = record.split_at_checked(PREFIX)?;
    let number = |at: usize| Some(u32::from_ne_bytes(prefix.get(at..at + 4)?.try_into().ok()?));
    let long = |at: usize| Some(u64::from_ne_bytes(prefix.get(at..at + 8)?.try_into().ok()?));
    let length = usize::try_from(number(4)?).ok()?;
    let body = body.get(..length.checked_mul(8)?)?;
    words.clear();
    for word in body.chunks_exact(8) {
        words.push(u64::from_ne_bytes(word.try_into().ok()?));
    }
    let chance = chance(number(52)?);
    let kind = match number(0)? {
        0 => RecordKind::Sample,
        1 => RecordKind::UnknownProcess,
        2 => RecordKind::Blocked { chance, runnable: number(48)? == 0 },
        3 => {
            let blocked = Duration::from_nanos(words.pop()?);
            RecordKind::Resumed { chance, blocked }
        }
        4 => RecordKind::Exec,
        5 => RecordKind::Exit,
        6 => RecordKind::GoLabels,
        7 => RecordKind::Context,
        _ => return None,
    };
    let (pid, tid) = (number(8)?, number(12)?);
    let comm = prefix.get(32..48)?.try_into().ok()?;
    Some(Record { kind, pid, tid, time: long(16)?, cgroup: long(24)?, comm, words })
}

/// A share of 2^32; all ones is certain.
fn chance(share: u32) -> f64 {
    (f64::from(share) + 1.0) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(kind: u32, words: &[u64]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in [kind, words.len() as u32, 11, 12] {
            bytes.extend(number.to_ne_bytes());
        }
        for number in [1_000u64, 7] {
            bytes.extend(number.to_ne_bytes());
        }
        bytes.extend(b"thread\0\0\0\0\0\0\0\0\0\0");
        bytes.extend(0u32.to_ne_bytes());
        bytes.extend(0x3fff_ffffu32.to_ne_bytes());
        words.iter().for_each(|word| bytes.extend(word.to_ne_bytes()));
        bytes
    }

    #[test]
    fn a_record_that_is_shorter_than_it_says_is_refused() {
        let mut bytes = bytes(0, &[0x0102_0304_0506_0708, 9]);
        let mut words = vec![1, 2, 3];
        let record = read(&bytes, &mut words).unwrap();
        assert_eq!((record.kind, record.pid, record.tid), (RecordKind::Sample, 11, 12));
        assert_eq!((record.time, record.cgroup), (1_000, 7));
        assert_eq!(
            (&record.comm[..7], record.words),
            (&b"thread\0"[..], &[0x0102_0304_0506_0708, 9][..])
        );
        for length in 0..bytes.len() {
            assert_eq!(read(&bytes[..length], &mut words), None, "{length} bytes");
        }
        bytes[4..8].fill(0xff);
        assert_eq!(read(&bytes, &mut words), None);
    }

    #[test]
    fn each_kind_says_what_it_is_about() {
        let kind = |number, words: &[u64]| {
            read(&bytes(number, words), &mut Vec::new()).map(|record| record.kind)
        };
        assert_eq!(kind(1, &[1, 2]), Some(RecordKind::UnknownProcess));
        assert_eq!(kind(2, &[1, 2]), Some(RecordKind::Blocked { chance: 0.25, runnable: true }));
        let blocked = Duration::from_micros(5);
        assert_eq!(kind(3, &[5_000]), Some(RecordKind::Resumed { chance: 0.25, blocked }));
        assert_eq!(kind(3, &[]), None);
        assert_eq!((kind(4, &[]), kind(5, &[])), (Some(RecordKind::Exec), Some(RecordKind::Exit)));
        assert_eq!((kind(6, &[]), kind(8, &[])), (Some(RecordKind::GoLabels), None));
        assert_eq!(kind(7, &[1]), Some(RecordKind::Context));
        assert_eq!((chance(u32::MAX), chance(0) > 0.0), (1.0, true));
    }
}

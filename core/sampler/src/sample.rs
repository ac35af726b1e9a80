//! The sample as every engine writes it and the agent reads it.
//!
//! A sample is a run of 64-bit words: one header, one word for the label set, one word a frame, and
//! where there is a span, up to three for its ids.
//!
//! ```text
//! word 0   bits 0–15   number of frames
//!          bits 16–23  End: why the walk stopped
//!          bits 24–31  Source: which engine took it
//!          bits 32–63  weight, in periods
//! word 1   bits 0–31   label set id
//!          bits 32–33  words after the frames: 0, 1 (span), 2 (trace) or 3 (span and trace)
//!          bit  34     one more word after those: the thread's id
//!          bits 35–63  reserved, 0
//! word 2…  one frame each, leaf first. The top byte is the kind of frame; 0 is a native address
//! then     the span's id, if bit 32 is set; the trace's id, higher half first, if bit 33 is set
//! last     the thread's id, if bit 34 is set: where the ring does not tell the thread
//! ```
//!
//! The eBPF programs write the same words (`core/ebpf/bpf/sample.h`), without ids; changing them
//! means changing both and [`FORMAT_VERSION`]. A reader of version 1 would take the ids for the next
//! sample, and one of version 2 the thread's id: that is why they are new versions, although samples
//! without them are as they were.

use crate::labels::Labels;

/// Words before the frames.
pub(crate) const HEADER_WORDS: usize = 2;

/// Words of the ids after the frames, at most.
const MAX_ID_WORDS: usize = 4;

/// Words of a sample beside its frames, at most.
pub const MAX_EXTRA_WORDS: usize = HEADER_WORDS + MAX_ID_WORDS;

/// Version of the layout above.
pub const FORMAT_VERSION: u32 = 3;

const HAS_SPAN: u64 = 1 << 32;
const HAS_TRACE: u64 = 2 << 32;
const HAS_THREAD: u64 = 4 << 32;

/// Why a stack walk stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum End {
    /// The thread's first function: the stack is complete.
    Root = 0,
    /// The depth limit.
    Depth = 1,
    /// Code of which no module or unwind table is known.
    UnknownCode = 2,
    /// An unwind rule that the compact tables cannot express.
    Unsupported = 3,
    /// Memory that could not be read.
    Memory = 4,
    /// A frame that makes no sense: not above the last one, unaligned, or a null return address.
    Corrupt = 5,
}

impl End {
    /// The value with this number; an unknown number reads as [`End::Corrupt`].
    pub fn from_u8(number: u8) -> Self {
        match number {
            0 => Self::Root,
            1 => Self::Depth,
            2 => Self::UnknownCode,
            3 => Self::Unsupported,
            4 => Self::Memory,
            _ => Self::Corrupt,
        }
    }
}

/// Which engine took a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Source {
    /// A CPU timer's signal in this process.
    Timer = 0,
    /// An eBPF program.
    Ebpf = 1,
    /// A thread's perf event in this process.
    Perf = 2,
    /// The CPU timer of the whole process.
    Process = 3,
    /// An engine this version does not know.
    Unknown = 255,
}

impl Source {
    /// The value with this number.
    pub fn from_u8(number: u8) -> Self {
        match number {
            0 => Self::Timer,
            1 => Self::Ebpf,
            2 => Self::Perf,
            3 => Self::Process,
            _ => Self::Unknown,
        }
    }

    /// The name in a profile's list of sources.
    pub fn name(self) -> &'static str {
        match self {
            Self::Timer => "timer",
            Self::Ebpf => "ebpf",
            Self::Perf => "perf",
            Self::Process => "process-timer",
            Self::Unknown => "unknown",
        }
    }
}

/// One decoded sample; borrows its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawSample<'a> {
    /// How many periods the sample stands for (1 + timer overruns, capped).
    pub weight: u32,
    /// The label set and the span that were current.
    pub labels: Labels,
    /// Why the walk stopped.
    pub end: End,
    /// Which engine took it.
    pub source: Source,
    /// The thread, where the ring that the sample was in does not tell.
    pub tid: Option<i32>,
    /// The frames, leaf first.
    pub frames: &'a [u64],
}

/// What precedes the frames.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) frames: u16,
    pub(crate) end: End,
    pub(crate) source: Source,
    pub(crate) weight: u32,
    pub(crate) labels: Labels,
    pub(crate) tid: Option<i32>,
}

impl Header {
    pub(crate) fn words(self) -> [u64; HEADER_WORDS] {
        let first = u64::from(self.frames)
            | u64::from(self.end as u8) << 16
            | u64::from(self.source as u8) << 24
            | u64::from(self.weight) << 32;
        let span = if self.labels.span != 0 { HAS_SPAN } else { 0 };
        let trace = if self.labels.trace != 0 { HAS_TRACE } else { 0 };
        let thread = if self.tid.is_some() { HAS_THREAD } else { 0 };
        [first, u64::from(self.labels.set) | span | trace | thread]
    }
}

/// What follows the frames, and how many of the words count.
#[inline(always)]
pub(crate) fn id_words(labels: Labels, tid: Option<i32>) -> ([u64; MAX_ID_WORDS], usize) {
    let (high, low) = ((labels.trace >> 64) as u64, labels.trace as u64);
    let thread = u64::from(tid.unwrap_or(0).cast_unsigned());
    let (words, count) = match (labels.span, labels.trace) {
        (0, 0) => ([thread, 0, 0, 0], 0),
        (span, 0) => ([span, thread, 0, 0], 1),
        (0, _) => ([high, low, thread, 0], 2),
        (span, _) => ([span, high, low, thread], 3),
    };
    (words, usize::from(tid.is_some()).wrapping_add(count))
}

impl<'a> RawSample<'a> {
    /// Reads the sample at the start of `words`. Returns it and the number of words it takes, or
    /// `None` when `words` is too short.
    pub fn read(words: &'a [u64]) -> Option<(Self, usize)> {
        let [first, second, rest @ ..] = words else { return None };
        let (frames, mut rest) = rest.split_at_checked((first & 0xffff) as usize)?;
        let mut next = || {
            let (word, others) = rest.split_first()?;
            rest = others;
            Some(*word)
        };
        let span = if second & HAS_SPAN != 0 { next()? } else { 0 };
        let trace = if second & HAS_TRACE != 0 {
            u128::from(next()?) << 64 | u128::from(next()?)
        } else {
            0
        };
        let tid =
            if second & HAS_THREAD != 0 { Some((next()? as u32).cast_signed()) } else { None };
        let sample = RawSample {
            weight: (first >> 32) as u32,
            labels: Labels { set: *second as u32, span, trace },
            end: End::from_u8((first >> 16) as u8),
            source: Source::from_u8((first >> 24) as u8),
            tid,
            frames,
        };
        Some((sample, words.len().saturating_sub(rest.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: u128 = 0x0123_4567_89ab_cdef_0011_2233_4455_6677;

    fn labels(set: u32, span: u64, trace: u128) -> Labels {
        Labels { set, span, trace }
    }

    /// A sample as the handler writes it.
    fn written(frames: &[u64], labels: Labels, tid: Option<i32>) -> Vec<u64> {
        let header = Header {
            frames: frames.len() as u16,
            end: End::Memory,
            source: Source::Timer,
            weight: 7,
            labels,
            tid,
        };
        let (ids, count) = id_words(labels, tid);
        [&header.words(), frames, &ids[..count]].concat()
    }

    #[test]
    fn a_sample_reads_back_as_written_and_not_when_a_word_is_missing() {
        let set = 0xdead_beef;
        let all = [
            (labels(set, 0, 0), 4),
            (labels(set, 9, 0), 5),
            (labels(0, 0, TRACE), 6),
            (labels(0, 0, 1), 6),
            (labels(0, 0, 1 << 64), 6),
            (labels(set, u64::MAX, TRACE), 7),
        ];
        let with_thread = all.map(|(labels, len)| (labels, len + 1, Some(4_194_303)));
        let all = all.map(|(labels, len)| (labels, len, None)).into_iter().chain(with_thread);
        for (labels, len, tid) in all {
            let mut words = written(&[0x1000, 0x2000], labels, tid);
            assert_eq!(words.len(), len);
            (0..len).for_each(|cut| assert_eq!(RawSample::read(&words[..cut]), None));
            words.extend([99, 98]);
            let (sample, used) = RawSample::read(&words).unwrap();
            assert_eq!((used, sample.labels, sample.tid), (len, labels, tid));
            assert_eq!(sample.frames, [0x1000, 0x2000]);
            assert_eq!((sample.weight, sample.end, sample.source), (7, End::Memory, Source::Timer));
        }
    }

    #[test]
    fn a_sample_without_ids_has_the_words_of_version_1() {
        let first = 2 | 4 << 16 | 7 << 32;
        assert_eq!(
            written(&[10, 11], labels(0xdead_beef, 0, 0), None),
            [first, 0xdead_beef, 10, 11]
        );
    }

    #[test]
    fn noise_reads_as_samples_within_it_or_not_at_all() {
        let mut random = 1u64;
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            random >> 20
        };
        for round in 0..20_000usize {
            let mut words: Vec<u64> = (0..round % 40).map(|_| next() << 20 | next()).collect();
            // Mostly a count of frames that can be there.
            if let Some(first) = words.first_mut().filter(|_| round % 4 != 0) {
                *first = (*first & !0xffff) | (next() % 44);
            }
            let Some((sample, used)) = RawSample::read(&words) else { continue };
            let extra = ((words[1] >> 32 & 3) + (words[1] >> 34 & 1)) as usize;
            assert_eq!(used, HEADER_WORDS + sample.frames.len() + extra);
            assert_eq!(sample.frames, &words[HEADER_WORDS..used - extra]);
            assert!(used - sample.frames.len() <= MAX_EXTRA_WORDS);
        }
    }
}

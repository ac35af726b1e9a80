//! The sample as every engine writes it and the agent reads it.
//!
//! A sample is a run of 64-bit words: one header, one word for the label set, one word a frame.
//!
//! ```text
//! word 0   bits 0–15   number of frames
//!          bits 16–23  End: why the walk stopped
//!          bits 24–31  Source: which engine took it
//!          bits 32–63  weight, in periods
//! word 1   bits 0–31   label set id
//!          bits 32–63  reserved, 0
//! word 2…  one frame each, leaf first. The top byte is the kind of frame; 0 is a native address
//! ```
//!
//! The eBPF programs write the same words (`core/ebpf/bpf/sample.h`); changing them means
//! changing both and [`FORMAT_VERSION`].

/// Words before the frames.
pub(crate) const HEADER_WORDS: usize = 2;

/// Version of the layout above.
pub const FORMAT_VERSION: u32 = 1;

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
    /// An engine this version does not know.
    Unknown = 255,
}

impl Source {
    /// The value with this number.
    pub fn from_u8(number: u8) -> Self {
        match number {
            0 => Self::Timer,
            1 => Self::Ebpf,
            _ => Self::Unknown,
        }
    }
}

/// One decoded sample; borrows its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawSample<'a> {
    /// How many periods the sample stands for (1 + timer overruns, capped).
    pub weight: u32,
    /// The label set that was current; 0 is the empty set.
    pub labels: u32,
    /// Why the walk stopped.
    pub end: End,
    /// Which engine took it.
    pub source: Source,
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
    pub(crate) labels: u32,
}

impl Header {
    pub(crate) fn words(self) -> [u64; HEADER_WORDS] {
        let first = u64::from(self.frames)
            | u64::from(self.end as u8) << 16
            | u64::from(self.source as u8) << 24
            | u64::from(self.weight) << 32;
        [first, u64::from(self.labels)]
    }
}

impl<'a> RawSample<'a> {
    /// Reads the sample at the start of `words`. Returns it and the number of words it takes, or
    /// `None` when `words` is too short.
    pub fn read(words: &'a [u64]) -> Option<(Self, usize)> {
        let [first, second, rest @ ..] = words else { return None };
        let count = (first & 0xffff) as usize;
        let sample = RawSample {
            weight: (first >> 32) as u32,
            labels: *second as u32,
            end: End::from_u8((first >> 16) as u8),
            source: Source::from_u8((first >> 24) as u8),
            frames: rest.get(..count)?,
        };
        Some((sample, count.saturating_add(HEADER_WORDS)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_reads_back_as_written() {
        let header = Header {
            frames: 2,
            end: End::Memory,
            source: Source::Timer,
            weight: 7,
            labels: 0xdead_beef,
        };
        let mut words = header.words().to_vec();
        words.extend([0x1000, 0x2000, 99]);
        let (sample, used) = RawSample::read(&words).unwrap();
        assert_eq!(used, 4);
        assert_eq!(sample.frames, [0x1000, 0x2000]);
        assert_eq!((sample.weight, sample.labels), (7, 0xdead_beef));
        assert_eq!((sample.end, sample.source), (End::Memory, Source::Timer));
        assert!(RawSample::read(&words[..3]).is_none());
        assert!(RawSample::read(&words[..1]).is_none());
    }
}

//! One upload on disk.
//!
//! A record is a head of 32 bytes, the note, the body, and zeros up to a multiple of four. Numbers
//! are little-endian:
//!
//! | bytes | |
//! |---|---|
//! | 0..4 | CRC-32 of bytes 8..32 |
//! | 4..8 | the [`State`], the one word that changes |
//! | 8..12 | length of the note; all ones for none |
//! | 12..16 | length of the body |
//! | 16..24 | start of the profile, in nanoseconds since the Unix epoch |
//! | 24..28 | CRC-32 of note and body |
//! | 28..32 | 1 when there is a start, else 0 |
//!
//! What became of an upload is written over its state, and not behind it: a disk that is full or a
//! tail that is torn cannot hide that an upload was sent. The word is aligned, so that it never
//! spans two pages, between which the kernel may stop a write of a process that is killed.

use super::super::sink::Upload;

/// Bytes of a head.
pub(super) const HEAD: usize = 32;

/// Where the state is.
pub(super) const STATE: u64 = 4;

const NO_NOTE: u32 = u32::MAX;

/// Where an upload stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Not sent, or refused for the time being.
    Waiting,
    /// It is being sent: after a crash nobody knows whether it arrived.
    Trying,
    /// It has arrived.
    Done,
    /// It will not be sent any more.
    GaveUp,
    /// The word is damaged.
    Unknown,
}

impl State {
    /// Words that no single flipped bit turns into each other.
    pub(super) fn word(self) -> [u8; 4] {
        match self {
            Self::Waiting => *b"WAIT",
            Self::Trying => *b"try:",
            Self::Done => *b"done",
            Self::GaveUp | Self::Unknown => *b"GAVE",
        }
    }

    fn read(word: [u8; 4]) -> Self {
        let known = [Self::Waiting, Self::Trying, Self::Done, Self::GaveUp];
        known.into_iter().find(|state| state.word() == word).unwrap_or(Self::Unknown)
    }
}

/// What is known of a record without its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    note: Option<u32>,
    body: u32,
    start_unix_nanos: Option<u64>,
    checksum: u32,
}

/// The bytes of a record that waits; `None` when the upload is too large for one.
pub(super) fn encode(upload: &Upload) -> Option<(Head, Vec<u8>)> {
    let note = upload.note.as_deref().unwrap_or_default().as_bytes();
    let body = u32::try_from(upload.body.len()).ok()?;
    let length = u32::try_from(note.len()).ok().filter(|length| *length != NO_NOTE)?;
    let checksum = checksum(&[note, &upload.body]);
    let note_length = upload.note.as_ref().map(|_| length);
    let start_unix_nanos = upload.start_unix_nanos;
    let head = Head { note: note_length, body, start_unix_nanos, checksum };
    let mut bytes = Vec::with_capacity(usize::try_from(head.record_bytes()).ok()?);
    bytes.extend(head.bytes(State::Waiting));
    bytes.extend(note);
    bytes.extend(&upload.body);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    Some((head, bytes))
}

impl Head {
    fn bytes(&self, state: State) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        bytes[4..8].copy_from_slice(&state.word());
        bytes[8..12].copy_from_slice(&self.note.unwrap_or(NO_NOTE).to_le_bytes());
        bytes[12..16].copy_from_slice(&self.body.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.start_unix_nanos.unwrap_or(0).to_le_bytes());
        bytes[24..28].copy_from_slice(&self.checksum.to_le_bytes());
        bytes[28..32].copy_from_slice(&u32::from(self.start_unix_nanos.is_some()).to_le_bytes());
        let checksum = checksum(&[&bytes[8..]]);
        bytes[..4].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads a head; `None` when it is damaged, and with it all that follows.
    pub(super) fn read(bytes: &[u8; HEAD]) -> Option<(Self, State)> {
        let four = |at: usize| [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
        let number = |at| u32::from_le_bytes(four(at));
        if number(0) != checksum(&[&bytes[8..]]) {
            return None;
        }
        let start = u64::from(number(20)) << 32 | u64::from(number(16));
        let head = Self {
            note: Some(number(8)).filter(|length| *length != NO_NOTE),
            body: number(12),
            start_unix_nanos: (number(28) == 1).then_some(start),
            checksum: number(24),
        };
        Some((head, State::read(four(4))))
    }

    /// Bytes of note and body.
    pub(super) fn payload_bytes(&self) -> u64 {
        u64::from(self.note.unwrap_or(0)) + u64::from(self.body)
    }

    /// Bytes of the whole record.
    pub(super) fn record_bytes(&self) -> u64 {
        HEAD as u64 + self.payload_bytes().next_multiple_of(4)
    }

    /// The upload with this head and payload; `None` when it is damaged.
    pub(super) fn upload(&self, mut payload: Vec<u8>) -> Option<Upload> {
        if checksum(&[&payload]) != self.checksum {
            return None;
        }
        let body = payload.split_off(self.note.unwrap_or(0) as usize);
        let note = self.note.and_then(|_| String::from_utf8(payload).ok());
        Some(Upload { body, start_unix_nanos: self.start_unix_nanos, note })
    }
}

fn checksum(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_is_read_back_as_it_was() {
        for upload in [
            Upload::default(),
            Upload { body: vec![1, 2, 3], start_unix_nanos: Some(u64::MAX), note: None },
            Upload { body: vec![7; 5], start_unix_nanos: Some(0), note: Some("à la".into()) },
            Upload { body: Vec::new(), start_unix_nanos: None, note: Some(String::new()) },
        ] {
            let (head, bytes) = encode(&upload).unwrap();
            assert_eq!(bytes.len() as u64, head.record_bytes());
            let read = Head::read(bytes[..HEAD].try_into().unwrap()).unwrap();
            assert_eq!(read, (head, State::Waiting));
            let payload = bytes[HEAD..HEAD + head.payload_bytes() as usize].to_vec();
            assert!(head.upload(payload) == Some(upload));
        }
    }

    #[test]
    fn a_flipped_bit_never_turns_one_state_into_another() {
        let states = [State::Waiting, State::Trying, State::Done, State::GaveUp];
        for state in states {
            assert_eq!(State::read(state.word()), state);
            for bit in 0..32 {
                let flipped = u32::from_le_bytes(state.word()) ^ 1 << bit;
                assert_eq!(State::read(flipped.to_le_bytes()), State::Unknown);
            }
        }
    }
}

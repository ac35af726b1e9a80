//! What `bpf/python.h` is told of a process's interpreter, and the frames that it tells of.

use sondage_sampler::walk::python::{
    Entry, Instruction, Layout, Outside, PythonFrame, RecordedFrame, Root, ThreadSlot, UNUSED,
};

/// Words of `struct python_process`.
pub const PYTHON_PROCESS_WORDS: usize = 9;

/// `PYTHON_PART` in `bpf/python.h`: bytes of a frame, or of a code object, that are read at once.
const MAX_PART: u16 = 160;

/// From the first to the last word of `PYTHON_TEXT_HEAD` and of `PYTHON_TABLE_HEAD`.
const MAX_HEAD: u16 = 16;

/// Kinds of words, in the top byte, that are in the program's records only.
const PLACE: u64 = 0xf1;
const INSTRUCTION: u64 = 0xf2;
const KIND_SHIFT: u32 = 56;

/// An interpreter as the program is told of it: the value of its process in a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PythonProcess([u64; PYTHON_PROCESS_WORDS]);

impl PythonProcess {
    /// Describes an interpreter. `None` for a layout that the program cannot read: fields that are
    /// not where the processor would have them, or too far apart.
    pub fn new(python: &Outside, slot: ThreadSlot) -> Option<Self> {
        let layout = python.layout();
        let halves = offsets(&layout, slot)?;
        let mut words = [0; PYTHON_PROCESS_WORDS];
        let [code_type, places, rest @ ..] = &mut words;
        *code_type = python.code_type();
        *places = u64::from(slot.slot) | u64::from(slot.base.unwrap_or(u32::MAX)) << 32;
        for (word, four) in rest.iter_mut().zip(halves.chunks(4)) {
            *word = four.iter().rev().fold(0, |word, half| word << 16 | u64::from(*half));
        }
        Some(Self(words))
    }

    /// Its words, for the map.
    pub fn words(&self) -> &[u64; PYTHON_PROCESS_WORDS] {
        &self.0
    }
}

/// `struct python_layout` as 16-bit numbers.
fn offsets(layout: &Layout, slot: ThreadSlot) -> Option<[u16; 28]> {
    let at = layout.offsets;
    let frame = Part::around(&[
        (at.frame_code, 8),
        (at.frame_previous, 8),
        (at.frame_instruction, if layout.instruction == Instruction::Pointer { 8 } else { 4 }),
        (at.frame_owner, 1),
        (at.frame_entry, 1),
    ])?;
    let code = Part::around(&[
        (at.object_type, 8),
        (at.code_first_line, 4),
        (at.code_name, 8),
        (at.code_file, 8),
        (at.code_line_table, 8),
    ])?;
    let words = [at.thread_frame, slot.thread_id, at.cframe_frame, at.cframe_previous];
    let texts = [at.text_length, at.text_state, at.text_ascii, at.text_compact];
    let bytes = [at.object_size, at.bytes_start];
    if words.iter().chain(&texts).chain(&bytes).any(|offset| *offset != UNUSED && offset % 8 != 0) {
        return None;
    }
    // The head of a text and that of a line table are read in one piece each.
    let heads = [(at.text_length, at.text_state), (at.object_size, at.bytes_start)];
    if heads.iter().any(|(first, last)| !(8..=MAX_HEAD).contains(&last.wrapping_sub(*first))) {
        return None;
    }
    if at.text_ascii.min(at.text_compact) < at.text_length {
        return None;
    }
    let (entry, last_owner) = match layout.entry {
        Entry::Always => (0, 0),
        Entry::Flag => (1, 0),
        Entry::Below(last) => (2, last),
    };
    let root = match layout.root {
        Root::ThreadState => 0,
        Root::CFrame => 1,
    };
    let instruction = match layout.instruction {
        Instruction::Bytes => 0,
        Instruction::Units => 1,
        Instruction::Pointer => 2u16,
    };
    Some([
        at.thread_frame,
        slot.thread_id,
        at.cframe_frame,
        at.cframe_previous,
        frame.start,
        frame.bytes,
        frame.place(at.frame_code),
        frame.place(at.frame_previous),
        frame.place(at.frame_instruction),
        frame.place(at.frame_owner),
        frame.place(at.frame_entry),
        code.start,
        code.bytes,
        code.place(at.object_type),
        code.place(at.code_first_line),
        code.place(at.code_name),
        code.place(at.code_file),
        code.place(at.code_line_table),
        at.code_start,
        at.text_length,
        at.text_state,
        at.text_ascii,
        at.text_compact,
        at.object_size,
        at.bytes_start,
        root | instruction << 8,
        entry | u16::from(last_owner) << 8,
        u16::from(layout.tag_bits) | u16::from(layout.text_kind_shift) << 8,
    ])
}

/// A part of a structure, of whole words.
#[derive(Clone, Copy, Debug)]
struct Part {
    start: u16,
    bytes: u16,
}

impl Part {
    /// The part that has these fields, each an offset and a size.
    fn around(fields: &[(u16, u16)]) -> Option<Self> {
        let used = || fields.iter().filter(|(offset, _)| *offset != UNUSED);
        if used().any(|(offset, size)| offset % size != 0) {
            return None;
        }
        let start = used().map(|(offset, _)| offset & !7).min()?;
        let end = used().map(|(offset, size)| offset.saturating_add(*size)).max()?;
        let bytes = end.checked_next_multiple_of(8)? - start;
        (bytes <= MAX_PART).then_some(Self { start, bytes })
    }

    fn place(self, offset: u16) -> u16 {
        if offset == UNUSED { UNUSED } else { offset - self.start }
    }
}

/// A Python frame of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordedPython {
    /// A frame of a code object.
    Code(RecordedFrame),
    /// Frames that could not be read, or those beyond the limit.
    Other(PythonFrame),
}

/// The Python frames at the end of a record's words, and where they begin; the words before are
/// those of native frames.
///
/// ```
/// use sondage_ebpf::{RecordedPython, python_frames};
/// use sondage_sampler::walk::python::RecordedFrame;
///
/// let words = [0x55d0_0000_1234, 0xf1abc000_0000_0123, 0xf2000000_0800_0007];
/// let (start, mut frames) = python_frames(&words);
/// assert_eq!(start, 1);
/// let frame = RecordedFrame { address: 0x123 * 8, check: 0xabc, unit: 7, entry: true };
/// assert_eq!(frames.next(), Some(RecordedPython::Code(frame)));
/// ```
pub fn python_frames(words: &[u64]) -> (usize, impl Iterator<Item = RecordedPython> + '_) {
    let is_python =
        |word: &u64| *word >> KIND_SHIFT == PLACE || PythonFrame::from_word(*word).is_some();
    let start = words.iter().position(is_python).unwrap_or(words.len());
    let mut rest = words.get(start..).unwrap_or_default();
    let frames = std::iter::from_fn(move || {
        let (&word, after) = rest.split_first()?;
        let [second, ..] = after else {
            rest = after;
            return PythonFrame::from_word(word).map(RecordedPython::Other);
        };
        match code(word, *second) {
            Some(frame) => {
                rest = after.get(1..).unwrap_or_default();
                Some(frame)
            }
            None => {
                rest = after;
                Some(RecordedPython::Other(
                    PythonFrame::from_word(word).unwrap_or(PythonFrame::Unreadable),
                ))
            }
        }
    });
    (start, frames)
}

fn code(place: u64, instruction: u64) -> Option<RecordedPython> {
    if place >> KIND_SHIFT != PLACE || instruction >> KIND_SHIFT != INSTRUCTION {
        return None;
    }
    Some(RecordedPython::Code(RecordedFrame {
        address: (place & ((1 << 44) - 1)) << 3,
        check: place >> 44 & 0xfff | (instruction >> 28 & 0xfff_ffff) << 36,
        unit: instruction as u32 & 0x7ff_ffff,
        entry: instruction & 1 << 27 != 0,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sondage_sampler::walk::python::{CodeIdentity, layouts};

    const SLOT: ThreadSlot = ThreadSlot { base: None, slot: 0x318, thread_id: 176 };

    #[test]
    fn every_layout_fits_and_fields_keep_their_places() {
        for minor in 8..=15 {
            for layout in layouts(minor) {
                let numbers = offsets(layout, SLOT).unwrap();
                let at = layout.offsets;
                assert_eq!(numbers[4] + numbers[6], at.frame_code, "3.{minor}");
                assert_eq!(numbers[4] + numbers[8], at.frame_instruction);
                assert_eq!(numbers[11] + numbers[17], at.code_line_table);
                assert!(numbers[5] <= MAX_PART && numbers[12] <= MAX_PART);
            }
        }
    }

    #[test]
    fn a_layout_with_fields_at_odd_places_or_far_apart_is_refused() {
        let good = layouts(12)[0];
        for change in [
            |layout: &mut Layout| layout.offsets.frame_code += 4,
            |layout: &mut Layout| layout.offsets.frame_previous += 800,
            |layout: &mut Layout| layout.offsets.thread_frame += 1,
            |layout: &mut Layout| layout.offsets.text_length += 2,
        ] {
            let mut layout = good;
            change(&mut layout);
            assert_eq!(offsets(&layout, SLOT), None);
        }
    }

    #[test]
    fn frames_are_read_from_their_words_whatever_these_are() {
        let words = [
            0x7f00_0000_1000,
            PLACE << 56 | 0x123 << 44 | 0x7_0000,
            INSTRUCTION << 56 | 0xabc_def0 << 28 | 1 << 27 | 9,
            PythonFrame::Unreadable.to_word(),
        ];
        let (start, frames) = python_frames(&words);
        let frames: Vec<_> = frames.collect();
        let check = 0xabc_def0 << 36 | 0x123;
        let code =
            RecordedPython::Code(RecordedFrame { address: 0x38_0000, check, unit: 9, entry: true });
        assert_eq!(check & CodeIdentity::RECORDED, check);
        assert_eq!(
            (start, &frames[..]),
            (1, &[code, RecordedPython::Other(PythonFrame::Unreadable)][..])
        );
        assert_eq!(python_frames(&words[..1]).0, 1);
        // Cut in the middle of a frame.
        assert_eq!(python_frames(&words[..2]).1.count(), 0);
        let twice = [words[1], words[1], words[2]];
        let frames: Vec<_> = python_frames(&twice).1.collect();
        assert_eq!(frames, [RecordedPython::Other(PythonFrame::Unreadable), code]);
    }
}

//! The walk over hand-made frames; the self-test runs it on real ones.

use super::fake::{Fake, THREAD, interpreter};
use super::frames::{Frames, Thread, WalkedPython, walk};
use super::interpreter::Interpreter;
use super::layout::{Entry, Root};
use super::word::PythonFrame;
use std::vec::Vec;

/// Gives code objects their addresses as numbers.
#[derive(Default)]
struct Seen(Vec<u64>);

impl Frames<Fake> for Seen {
    fn code(&mut self, _: &mut Fake, _: u64, code: u64) -> Option<u32> {
        u32::try_from(code).ok()
    }

    fn put(&mut self, index: usize, word: u64) {
        self.0.truncate(index);
        assert_eq!(self.0.len(), index);
        self.0.push(word);
    }
}

fn walked(
    python: &Interpreter,
    memory: &mut Fake,
    limit: usize,
) -> (Vec<PythonFrame>, WalkedPython) {
    walked_from(python, memory, &[], limit)
}

fn walked_from(
    python: &Interpreter,
    memory: &mut Fake,
    registers: &[u64],
    limit: usize,
) -> (Vec<PythonFrame>, WalkedPython) {
    let mut seen = Seen::default();
    let thread = Thread { state: THREAD, registers };
    let walked = walk(python, memory, thread, limit, &mut seen);
    let frames: Vec<_> = seen
        .0
        .iter()
        .take(walked.frames)
        .filter_map(|word| PythonFrame::from_word(*word))
        .collect();
    assert_eq!(frames.len(), walked.frames);
    (frames, walked)
}

fn frame(code: u64, unit: u32, entry: bool) -> PythonFrame {
    PythonFrame::Code { code: code as u32, unit, entry }
}

/// Three frames: `inner` was called by `middle` in the same evaluation, which C code called from
/// `outer`. Returns their codes and frames.
fn three(python: &Interpreter, memory: &mut Fake) -> ([u64; 3], [u64; 3]) {
    let layout = &python.layout;
    let codes = ["inner", "middle", "outer"].map(|name| memory.code(layout, name, 3));
    let outer = memory.frame(layout, codes[2], 7, 0);
    memory.enter(layout, outer, 0);
    let middle = memory.frame(layout, codes[1], 300, outer);
    memory.enter(layout, middle, outer);
    let inner = memory.frame(layout, codes[0], -1, middle);
    memory.run(layout, inner, outer);
    (codes, [inner, middle, outer])
}

#[test]
fn frames_of_every_version_are_read_with_instruction_and_entry() {
    for minor in 8..=14 {
        let (python, mut memory) = (interpreter(minor), Fake::new());
        let (codes, _) = three(&python, &mut memory);
        let (frames, walked) = walked(&python, &mut memory, 100);
        let always = python.layout.entry == Entry::Always;
        let expected =
            [frame(codes[0], 0, always), frame(codes[1], 300, true), frame(codes[2], 7, true)];
        assert_eq!(frames, expected, "3.{minor}");
        assert_eq!(walked, WalkedPython { frames: 3, ..WalkedPython::default() }, "3.{minor}");
    }
}

#[test]
fn a_thread_that_runs_no_function_has_no_frames() {
    for minor in 8..=14 {
        let (python, mut memory) = (interpreter(minor), Fake::new());
        memory.run(&python.layout, 0, 0);
        assert_eq!(walked(&python, &mut memory, 9), (Vec::new(), WalkedPython::default()));
        let thread_frame = THREAD + u64::from(python.layout.offsets.thread_frame);
        memory.forget(thread_frame);
        assert_eq!(walked(&python, &mut memory, 9).0, [PythonFrame::Unreadable]);
    }
}

#[test]
fn what_cannot_be_read_ends_the_stack_with_one_unknown_frame() {
    for minor in [9, 10, 13, 14] {
        let python = interpreter(minor);
        let offsets = python.layout.offsets;
        let leaf = |memory: &mut Fake| {
            let (frames, walked) = walked(&python, memory, 100);
            assert!(walked.lost && !walked.truncated);
            assert_eq!((frames.len(), frames[1]), (2, PythonFrame::Unreadable), "3.{minor}");
            frames[0]
        };
        let mut memory = Fake::new();
        let (codes, frames) = three(&python, &mut memory);
        memory.forget((frames[1] + u64::from(offsets.frame_instruction)) & !7);
        assert_eq!(leaf(&mut memory), frame(codes[0], 0, python.layout.entry == Entry::Always));
        let (_, frames) = three(&python, &mut memory);
        memory.put(frames[1] + u64::from(offsets.frame_code), frames[2]);
        leaf(&mut memory);
        let (codes, _) = three(&python, &mut memory);
        memory.put(codes[1] + 8, super::fake::TEXT_TYPE);
        leaf(&mut memory);
        if minor > 10 {
            let (_, frames) = three(&python, &mut memory);
            memory.put_bytes(frames[1] + u64::from(offsets.frame_owner), &[9]);
            leaf(&mut memory);
            let (codes, frames) = three(&python, &mut memory);
            let inside = codes[1] + u64::from(offsets.code_start) + 5;
            memory.put(frames[1] + u64::from(offsets.frame_instruction), inside);
            leaf(&mut memory);
        }
    }
}

#[test]
fn a_structure_that_is_just_being_filled_in_is_left_for_the_call_before() {
    for minor in [11, 12] {
        let python = interpreter(minor);
        let layout = &python.layout;
        assert_eq!(layout.root, Root::CFrame);
        for garbage in 0..4 {
            let mut memory = Fake::new();
            let (codes, frames) = three(&python, &mut memory);
            // Stacks grow down.
            let entered = memory.cframe(layout, 0, 0);
            let running = memory.run(layout, frames[0], frames[2]);
            // No frame, no memory, a frame that is right but not of this call, and nothing.
            let top = [codes[0], 0x777, frames[2], 0][garbage];
            memory.put(entered + u64::from(layout.offsets.cframe_frame), top);
            memory.put(entered + u64::from(layout.offsets.cframe_previous), running);
            memory.put(THREAD + u64::from(layout.offsets.thread_frame), entered);
            let (read, walked) = walked(&python, &mut memory, 100);
            assert!(walked.restarted && !walked.lost, "3.{minor}");
            assert_eq!(read.len(), 3);
            assert_eq!(read[0], frame(codes[0], 0, false));
            // And without the call before, nothing is known.
            memory.put(entered + u64::from(layout.offsets.cframe_previous), 0x1233);
            let (read, walked) = self::walked(&python, &mut memory, 100);
            assert_eq!((read, walked.lost), ([PythonFrame::Unreadable].to_vec(), true));
            // Unless a register still holds it.
            let registers = [0, 0x1233, entered, codes[0], running, frames[0]];
            let (read, walked) = walked_from(&python, &mut memory, &registers, 100);
            assert!(walked.restarted && !walked.lost, "3.{minor}");
            assert_eq!((read.len(), read[0]), (3, frame(codes[0], 0, false)));
        }
    }
}

#[test]
fn a_greenlet_that_starts_has_no_frames_and_has_lost_none() {
    for minor in [11, 12] {
        let python = interpreter(minor);
        let mut memory = Fake::new();
        let (codes, frames) = three(&python, &mut memory);
        let first = memory.run(&python.layout, 0, 0);
        let of_greenlet = memory.cframe(&python.layout, 0, first);
        memory.put(THREAD + u64::from(python.layout.offsets.thread_frame), of_greenlet);
        assert_eq!(walked(&python, &mut memory, 100), (vec![], WalkedPython::default()));
        // The same a call deeper is a call that is just entered.
        let running = memory.run(&python.layout, frames[0], frames[2]);
        let entered = memory.cframe(&python.layout, 0, running);
        memory.put(THREAD + u64::from(python.layout.offsets.thread_frame), entered);
        let (read, walked) = walked(&python, &mut memory, 100);
        assert!(walked.restarted && read[0] == frame(codes[0], 0, false), "3.{minor}");
    }
}

#[test]
fn frames_beyond_the_limit_are_cut_with_a_word_that_says_so() {
    for minor in 8..=14 {
        let (python, mut memory) = (interpreter(minor), Fake::new());
        three(&python, &mut memory);
        for limit in 0..3 {
            let (frames, walked) = walked(&python, &mut memory, limit);
            assert_eq!(frames.len(), limit + 1, "3.{minor}");
            assert_eq!(frames[limit], PythonFrame::Truncated);
            assert!(walked.truncated);
        }
        assert!(!walked(&python, &mut memory, 3).1.truncated);
    }
}

#[test]
fn frames_in_a_circle_end_at_the_limit() {
    for minor in 8..=14 {
        let (python, mut memory) = (interpreter(minor), Fake::new());
        let layout = &python.layout;
        let (_, frames) = three(&python, &mut memory);
        let previous = u64::from(layout.offsets.frame_previous);
        memory.put(frames[2] + previous, frames[0]);
        let (read, walked) = walked(&python, &mut memory, 50);
        assert!(walked.truncated, "3.{minor}");
        assert_eq!(read.len(), 51);
        if let Entry::Below(_) = layout.entry {
            let shim = memory.object(160, 0);
            memory.put_bytes(shim + u64::from(layout.offsets.frame_owner), &[3]);
            memory.put(shim + previous, shim);
            memory.run(layout, shim, shim);
            assert!(self::walked(&python, &mut memory, 50).1.truncated);
        }
    }
}

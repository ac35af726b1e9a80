use super::*;
use crate::pipeline::interpreted::Showing;
use crate::resolve::Modules;
use sondage_sampler::walk::python::{CodeShape, LineTable};

#[test]
fn spans_give_way_before_stacks_are_lost_and_the_profile_tells_how_much() {
    let mut assembly = Assembly::new(Columns::Time { wall: false }, 10, 100);
    for number in 0..400u32 {
        let labels = Labels { set: 0, span: u64::from(number) + 1, trace: 7 };
        let frames =
            assembly.frames.native(u64::from(number % 20), &Modules::default(), Detail::Lines);
        let (frames, thread) = (Box::from([frames]), ThreadNameId(0));
        let key = StackKey { frames, labels, thread, missing: Missing::default() };
        assembly.add(key, Amounts::Time { samples: 1, cpu: 10, waited: 0 });
    }
    let (threads, mut symbols) = (Threads::new(), Symbols::new(Default::default()));
    let profile = assembly.finish(&Modules::default(), &threads, &mut symbols, &[]);
    let (mut in_spans, mut all) = (0, 0);
    for sample in profile.samples() {
        let mut labels = profile.labels(sample.labels).map(|(key, _)| key);
        let ids = labels.by_ref().collect::<Vec<_>>();
        assert!(ids.is_empty() || ids == ["span_id", "trace_id"], "{ids:?}");
        in_spans += if ids.is_empty() { 0 } else { sample.values[1] };
        all += sample.values[1];
    }
    assert_eq!((all, in_spans), (4_000, 750));
    let losses: Vec<_> = profile.losses().iter().map(|loss| (loss.cause, loss.value)).collect();
    assert_eq!(losses, [(LossCause::LabelOverflow, 3_250)]);
}

/// Code objects named by their numbers: 0 is `f0` in `/app/shop.py`, 9 is one of Sondage's own.
struct Codes(Vec<Vec<u8>>);

impl Codes {
    fn new() -> Self {
        let code = |number: u32| {
            let name = format!("f{number}");
            let file = if number == 9 { "/site/sondage/wraps.py" } else { "/app/shop.py" };
            let shape = CodeShape {
                first_line: 10,
                format: LineTable::Ranges,
                name: (1, name.len() as u32),
                file: (1, file.len() as u32),
                line_table: 2,
            };
            let header = shape.header().into_iter().flat_map(u64::to_ne_bytes);
            header.chain(name.bytes()).chain(file.bytes()).chain([200, 3]).collect()
        };
        Self((0..10).map(code).collect())
    }
}

impl CodeSource for Codes {
    fn code(&self, id: u32) -> Option<&[u8]> {
        self.0.get(id as usize).map(Vec::as_slice)
    }

    fn generation(&self) -> u64 {
        1
    }
}

fn code(code: u32) -> u64 {
    PythonFrame::Code { code, unit: 4, entry: true }.to_word()
}

/// The names of the only stack of a profile made of these words, and its losses.
fn assembled(words: &[u64], complete: bool) -> (Vec<String>, Vec<LossCause>) {
    let (mut modules, codes) = (Modules::default(), Codes::new());
    let showing = Showing { hidden: vec!["/site/sondage/".to_owned()], ..Showing::default() };
    let mut interpreted = Interpreted::new(None, showing);
    let (modules, interpreted) = (&mut modules, &mut interpreted);
    let mut reading = Reading { modules, interpreted, managed: None, codes: &codes };
    let mut assembly = Assembly::new(Columns::Time { wall: false }, 10, 100);
    let (labels, thread) = (Labels::NONE, ThreadNameId(0));
    let stack = RawStack { frames: words, complete, labels, thread };
    let key = assembly.key(&stack, &mut reading, &mut Seen::new());
    assembly.add(key, Amounts::cpu(10));
    let (threads, mut symbols) = (Threads::new(), Symbols::new(Default::default()));
    let profile = assembly.finish(&Modules::default(), &threads, &mut symbols, &[]);
    let [sample] = profile.samples() else { panic!("one stack") };
    let names = profile.frames(sample.stack).iter().map(|location| {
        let location = &profile.locations()[location.index()];
        match location.lines.as_slice() {
            [] => format!("{:#x}", location.address),
            [line] => profile.text(profile.functions()[line.function.index()].name).to_owned(),
            _ => panic!("nothing is inlined"),
        }
    });
    (names.collect(), profile.losses().iter().map(|loss| loss.cause).collect())
}

/// Names of frames, and losses.
type Shown = (&'static [&'static str], &'static [LossCause]);

#[test]
fn python_frames_are_named_and_those_of_the_profiler_are_hidden_unless_they_are_the_leaf() {
    let lost = PythonFrame::Unreadable.to_word();
    let cut = PythonFrame::Truncated.to_word();
    let cases: [(&[u64], bool, Shown); 7] = [
        (&[code(0), code(1)], true, (&["f0", "f1"], &[])),
        (&[code(0), code(9), code(1)], true, (&["f0", "f1"], &[])),
        (&[code(9), code(9), code(1)], true, (&["f9", "f1"], &[])),
        (&[0x10, 0x21, code(9), code(1)], false, (&["0x10", "0x20", "f1"], &[])),
        (&[code(0), lost], true, (&["f0", LOST], &[LossCause::PythonLost])),
        (&[code(77), code(1)], true, (&[LOST, "f1"], &[LossCause::PythonLost])),
        (&[code(0), cut], true, (&["f0", "[truncated]"], &[LossCause::Truncated])),
    ];
    for (words, complete, (names, losses)) in cases {
        let names = names.iter().map(ToString::to_string).collect();
        assert_eq!(assembled(words, complete), (names, losses.to_vec()), "{words:x?}");
    }
    let native = assembled(&[0x10, 0x21], false);
    let names = ["0x10", "0x20", "[truncated]"].map(str::to_owned).to_vec();
    assert_eq!(native, (names, vec![LossCause::Truncated]), "without an interpreter as ever");
}

#[inline(never)]
fn evaluation(number: u64) -> u64 {
    std::hint::black_box(number) + 1
}

#[inline(never)]
fn internal(number: u64) -> u64 {
    std::hint::black_box(number) + 2
}

#[test]
fn samples_anywhere_in_a_function_of_the_interpreter_are_one_stack() {
    let mut modules = Modules::default();
    modules.refresh();
    let [evaluation, internal] =
        [evaluation, internal].map(|it: fn(u64) -> u64| it as usize as u64);
    let mut interpreted = Interpreted::new(Some(evaluation), Showing::default());
    interpreted.find_code(&mut modules);
    let (modules, interpreted) = (&mut modules, &mut interpreted);
    let mut reading = Reading { modules, interpreted, managed: None, codes: &Codes::new() };
    let mut assembly = Assembly::new(Columns::Time { wall: false }, 10, 100);
    let mut key = |leaf| {
        let frames = [leaf, evaluation + 4, code(0)];
        let (labels, thread) = (Labels::NONE, ThreadNameId(0));
        let stack = RawStack { frames: &frames, complete: false, labels, thread };
        assembly.key(&stack, &mut reading, &mut Seen::new())
    };
    let first = key(internal + 1);
    assert_eq!((first.frames.len(), &first), (2, &key(internal + 2)));
    assert_ne!(first, key(evaluation + 1));
}

#[test]
fn a_python_frame_has_its_line_and_its_functions_first_line() {
    let mut assembly = Assembly::new(Columns::Time { wall: false }, 10, 100);
    let (mut modules, mut interpreted) = (Modules::default(), Interpreted::default());
    let codes = Codes::new();
    let (modules, interpreted) = (&mut modules, &mut interpreted);
    let mut reading = Reading { modules, interpreted, managed: None, codes: &codes };
    let frame = PythonFrame::from_word(code(3)).unwrap();
    let number = assembly.python(frame, &mut reading).number;
    let frame =
        SourceFrame { name: "f3".into(), file: "/app/shop.py".into(), start_line: 10, line: 13 };
    assert_eq!(assembly.frames.number(Frame::Source(frame)), number);
}

//! A sampled process whose functions use known CPU time.

use super::super::gate;
use super::{Program, interpreters};
use aya::maps::{Array, MapData, RingBuf};
use aya::programs::PerfEvent;
use aya::programs::perf_event::{PerfEventConfig, PerfEventScope, SamplePolicy, SoftwareEvent};
use aya::util::online_cpus;
use aya::{Ebpf, EbpfLoader};
use sondage::resolve::Codes;
use sondage_ebpf::{PYTHON_PROCESS_WORDS, PythonProcess, RecordedPython, python_frames};
use sondage_remote::{PythonInfo, RemoteCodes, RemoteMemory};
use sondage_sampler::walk::python::PythonFrame;
use std::collections::HashMap;
use std::os::linux::fs::MetadataExt;
use std::path::Path;

const OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bpf/python.x86_64.o"));

/// Words of a record before its frames.
const PREFIX_WORDS: usize = 9;

/// The program of `python.bpf.c`, sampling one process.
struct Sampling {
    ring: RingBuf<MapData>,
    _ebpf: Ebpf,
}

impl Sampling {
    fn start(pid: u32, python: &PythonInfo, hertz: u64) -> Self {
        let namespace = std::fs::metadata("/proc/self/ns/pid").unwrap();
        let (major, minor) = (libc::major(namespace.st_dev()), libc::minor(namespace.st_dev()));
        let device = u64::from(major) << 20 | u64::from(minor);
        let mut ebpf = EbpfLoader::new()
            .override_global("target_tgid", &pid, true)
            .override_global("pid_namespace_device", &device, true)
            .override_global("pid_namespace_inode", &namespace.st_ino(), true)
            .load(OBJECT)
            .unwrap();
        let process = PythonProcess::new(&python.outside, python.slot.unwrap()).unwrap();
        let mut processes: Array<_, [u64; PYTHON_PROCESS_WORDS]> =
            Array::try_from(ebpf.map_mut("processes").unwrap()).unwrap();
        processes.set(0, process.words(), 0).unwrap();
        let ring = RingBuf::try_from(ebpf.take_map("ring").unwrap()).unwrap();
        let program: &mut PerfEvent =
            ebpf.program_mut("python_on_cpu").unwrap().try_into().unwrap();
        program.load().unwrap();
        for cpu in online_cpus().unwrap() {
            let event = PerfEventConfig::Software(SoftwareEvent::CpuClock);
            let scope = PerfEventScope::AllProcessesOneCpu { cpu };
            program.attach(event, scope, SamplePolicy::Frequency(hertz), false).unwrap();
        }
        Self { ring, _ebpf: ebpf }
    }
}

/// A function and a line of it.
type Named = (String, u32);

#[derive(Debug, Default)]
struct Samples {
    stacks: Vec<Vec<Named>>,
    lost: usize,
    restarted: usize,
    truncated: usize,
    none: usize,
}

impl Samples {
    fn drain(
        &mut self,
        ring: &mut RingBuf<MapData>,
        (python, memory): (&PythonInfo, &RemoteMemory),
        (remote, codes): (&mut RemoteCodes, &mut Codes),
        script: &str,
    ) {
        let now = || {
            memory.forget();
            memory.clone()
        };
        while let Some(record) = ring.next() {
            let words: Vec<u64> = record
                .chunks_exact(8)
                .map(|word| u64::from_ne_bytes(word.try_into().unwrap()))
                .collect();
            self.restarted += usize::from(words[7] != 0);
            let (start, frames) = python_frames(&words[PREFIX_WORDS..]);
            assert_eq!(start, 0);
            let mut stack = Vec::new();
            for frame in frames {
                let recorded = match frame {
                    RecordedPython::Code(recorded) => recorded,
                    RecordedPython::Other(PythonFrame::Truncated) => {
                        self.truncated += 1;
                        continue;
                    }
                    RecordedPython::Other(_) => {
                        self.lost += 1;
                        continue;
                    }
                };
                let frame = remote.frame(&python.outside, now, recorded);
                let PythonFrame::Code { code, unit, .. } = frame else { panic!("{frame:?}") };
                let (function, line) = codes.resolve(remote, code, unit).unwrap();
                let name = function.name.rsplit('.').next().unwrap().to_owned();
                let is_here = function.file.ends_with(script);
                stack
                    .push((if is_here { name } else { format!("{}:{name}", function.file) }, line));
            }
            self.none += usize::from(stack.is_empty());
            self.stacks.push(stack);
        }
    }

    fn share(&self, function: &str) -> f64 {
        let has = |stack: &&Vec<Named>| stack.iter().any(|(name, _)| name == function);
        self.stacks.iter().filter(has).count() as f64 / self.stacks.len() as f64
    }
}

/// `{"a": 1.5, "b": 2}`.
fn numbers(json: &str) -> HashMap<String, f64> {
    let inner = json.trim().trim_start_matches('{').trim_end_matches('}');
    let pair = |pair: &str| {
        let (name, number) = pair.split_once(':').unwrap();
        (name.trim().trim_matches('"').to_owned(), number.trim().parse().unwrap())
    };
    inner.split(',').map(pair).collect()
}

/// The lines that end with a remark.
fn lines_with(source: &str, remark: &str) -> Vec<u32> {
    (1..).zip(source.lines()).filter(|(_, line)| line.ends_with(remark)).map(|it| it.0).collect()
}

fn sampled(interpreter: &Path, script: &str, hertz: u64) -> (Samples, String, u64) {
    let mut program = Program::start(interpreter, script);
    let mut sampling = Sampling::start(program.pid(), &program.python, hertz);
    let (mut remote, mut codes) = (RemoteCodes::new(), Codes::default());
    let mut samples = Samples::default();
    let told = program.go(|python, memory| {
        let named = (&mut remote, &mut codes);
        samples.drain(&mut sampling.ring, (python, memory), named, script);
    });
    (samples, told, remote.lost_frames())
}

fn check_shares(minor: u8, interpreter: &Path) {
    let (samples, told, lost) = sampled(interpreter, "share.py", 997);
    let spent = numbers(&told);
    let all: f64 = spent.values().sum();
    let mut worst = 0f64;
    for (function, seconds) in &spent {
        let share = samples.share(function);
        worst = worst.max((share - seconds / all).abs());
        println!("3.{minor} {function}: {:.3}, sampled {share:.3}", seconds / all);
    }
    let Samples { stacks, lost: unread, restarted, truncated, none } = &samples;
    println!(
        "3.{minor}, {}: {} samples, worst error {worst:.3}, {unread} unread, {lost} frames gone, \
         {restarted} restarted, {truncated} cut, {none} without frames",
        interpreter.display(),
        stacks.len(),
    );
    assert!(worst <= 0.05, "3.{minor}: {worst}");
    assert!(stacks.len() > 1000 && unread * 100 <= stacks.len() && *truncated == 0);
    assert!(none * 20 <= stacks.len());

    check_stacks(stacks);
}

/// Callers are the right ones, at the right lines.
fn check_stacks(stacks: &[Vec<Named>]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/share.py");
    let source = std::fs::read_to_string(script).unwrap();
    let line = |remark: &str| lines_with(&source, remark)[0];
    let mut seen = HashMap::new();
    for stack in stacks {
        let place = |name: &str| stack.iter().position(|(known, _)| known == name);
        for (callee, caller, line) in [
            ("recursion", "recursion", Some(line("# recurses"))),
            ("awaited", "coroutine", None),
            ("by_key", "sorting", None),
            ("produce", "generator", None),
            ("hashing", "timed", Some(line("# times"))),
            ("decoding", "timed", Some(line("# times"))),
            ("method", "timed", Some(line("# times"))),
        ] {
            let Some(at) = place(callee) else { continue };
            // Where a function just calls itself for the first time, there is one of it.
            if callee == caller && place("until").is_none() {
                continue;
            }
            let (name, found) = &stack[at + 1];
            assert_eq!(name, caller, "{stack:?}");
            assert!(line.is_none_or(|line| line == *found), "{stack:?}");
            *seen.entry(callee).or_insert(0) += 1;
        }
        for (part, remark) in [("plain", "# calls plain"), ("recursion", "# calls recursion")] {
            if place(part).is_some() {
                let at = place("rounds").unwrap();
                assert_eq!(stack[at].1, line(remark), "{stack:?}");
            }
        }
        let depth = stack.iter().filter(|(name, _)| name == "recursion").count();
        assert!(depth == 0 || place("until").is_none() || depth == 61, "{stack:?}");
    }
    println!("{seen:?}");
    assert_eq!(seen.len(), 7);
}

#[test]
fn functions_of_every_version_have_their_share_their_callers_and_their_lines() {
    let Some(_turn) = gate::enter("functions_of_every_version_have_their_share") else { return };
    for (minor, interpreter) in interpreters() {
        check_shares(*minor, interpreter);
    }
}

#[test]
fn code_that_is_gone_is_lost_and_never_named_after_what_took_its_place() {
    let Some(_turn) = gate::enter("code_that_is_gone_is_lost") else { return };
    for (minor, interpreter) in interpreters() {
        let (samples, told, lost) = sampled(interpreter, "made.py", 1997);
        let (mut named, mut last, mut reused) = (0, 0, 0);
        for (function, line) in samples.stacks.iter().flatten() {
            // `<made 12>:made12`, of lines 12 and 13.
            let Some((file, name)) = function.split_once(">:made") else { continue };
            let number: u32 = name.parse().unwrap();
            assert_eq!(file, format!("<made {number}"), "{function}");
            assert!((number..=number + 1).contains(line), "{function}: {line}");
            assert!(number >= last, "3.{minor}: {number} after {last}");
            reused += usize::from(number > last);
            last = number;
            named += 1;
        }
        println!(
            "3.{minor}: {} made, {reused} of them seen in {named} frames, {lost} frames gone",
            told.trim()
        );
        assert!(named > 100 && reused > 10 && lost > 100 && samples.lost == 0);
        let places = told.trim().split(' ').nth(1).unwrap().parse::<usize>().unwrap();
        assert!(places < 100, "addresses are used again");
    }
}

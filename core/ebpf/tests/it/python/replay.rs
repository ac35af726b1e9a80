//! `bpf/python.h`, compiled for this machine, over the memory of stopped processes: it finds the
//! frames that the walk in Rust finds, also where words of that memory are changed at random.

use super::frozen::{Frozen, Stack, walk};
use super::{Program, interpreters};
use sondage_ebpf::{PythonProcess, RecordedPython, python_frames};
use sondage_sampler::MemoryReader;
use sondage_sampler::walk::python::{PythonFrame, Root};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

const REGISTERS: usize = 16;

/// Frames of one stack, as in the engine.
const LIMIT: u64 = 128;

/// The program's walk as a process of its own: what it does wrong to memory ends it.
struct Replay {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
}

struct Walked {
    stack: Stack,
    reads: u64,
    thread: u64,
}

impl Replay {
    fn build() -> PathBuf {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/replay.c");
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python_replay");
        let mut compiler = Command::new("cc");
        compiler.args(["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror"]);
        compiler.args(["-Wno-unused-parameter", "-Wno-unused-function"]);
        // The end of a text lies anywhere, which neither this processor nor the verifier minds.
        compiler.args(["-fsanitize=undefined", "-fno-sanitize=alignment"]);
        compiler.arg("-fno-sanitize-recover=all");
        let status = compiler.arg("-o").arg(&target).arg(source).status().unwrap();
        assert!(status.success());
        target
    }

    fn start(program: &Path) -> Self {
        let mut child =
            Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, input, output }
    }

    fn send(&mut self, words: &[u64]) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        self.input.write_all(&bytes).unwrap();
    }

    fn receive(&mut self, count: usize) -> Vec<u64> {
        let mut bytes = vec![0; count * 8];
        self.output.read_exact(&mut bytes).expect("the walk ended its process");
        bytes.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap())).collect()
    }

    fn set_image(&mut self, memory: &Frozen) {
        let pages: Vec<_> =
            memory.pages.iter().filter_map(|(at, page)| Some((*at, page.as_ref()?))).collect();
        self.send(&[1, pages.len() as u64]);
        for (address, page) in pages {
            self.send(&[address]);
            self.send(page);
        }
    }

    fn walk(
        &mut self,
        process: &PythonProcess,
        [pointer, thread, limit]: [u64; 3],
        registers: &[u64],
        patches: &[(u64, u64)],
    ) -> Walked {
        let mut contents = [0; REGISTERS];
        contents[..registers.len()].copy_from_slice(registers);
        self.send(&[2]);
        self.send(process.words());
        self.send(&[pointer, thread, limit]);
        self.send(&contents);
        self.send(&[patches.len() as u64]);
        patches.iter().for_each(|(address, word)| self.send(&[*address, *word]));
        let head = self.receive(4);
        let [restarted, reads, thread, count] = head[..] else { panic!() };
        let words = self.receive(count as usize);
        let (start, frames) = python_frames(&words);
        assert_eq!(start, 0);
        let stack = Stack { frames: frames.collect(), restarted: restarted != 0 };
        Walked { stack, reads, thread }
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

/// Stops a process, between any two instructions of each of its threads.
fn stop(pid: u32) {
    signal(pid, "-STOP");
    let is_stopped = |task: &str| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/task/{task}/stat"));
        text.map_or(true, |text| {
            text.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
        })
    };
    let tasks = || std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    while !tasks().all(|task| is_stopped(&task.unwrap().file_name().to_string_lossy())) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Threads, each a pointer and a state.
fn threads(program: &Program, memory: &mut Frozen) -> Vec<(u64, u64)> {
    let slot = program.python.slot.unwrap();
    let mut states = Vec::new();
    program.python.outside.each_state(memory, |_, state| {
        states.push(state);
        states.len() > 100
    });
    let pointer = |memory: &mut Frozen, state| memory.word(state + u64::from(slot.thread_id));
    states.into_iter().filter_map(|state| Some((pointer(memory, state)?, state))).collect()
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % limit as u64) as usize
    }
}

#[derive(Debug, Default)]
struct Seen {
    stacks: usize,
    frames: usize,
    /// Frames of the deepest stack.
    deepest: usize,
    whole: usize,
    restarted: usize,
    changed: usize,
    refused: usize,
    most_reads: u64,
}

/// A process that was stopped, and both walks over it.
struct Scene<'s> {
    program: &'s Program,
    process: PythonProcess,
    replay: &'s mut Replay,
    memory: Frozen,
    seen: &'s mut Seen,
}

impl Scene<'_> {
    /// Both walks over one thread, whose frames both must see in the same way.
    fn both(&mut self, thread: [u64; 3], registers: &[u64], patches: &[(u64, u64)]) -> Stack {
        let python = &self.program.python.outside;
        let [_, state, limit] = thread;
        let before: Vec<_> =
            patches.iter().map(|(at, word)| (*at, self.memory.put(*at, *word))).collect();
        let stack = walk(python, &mut self.memory, (state, registers), limit as usize);
        for (address, word) in before.into_iter().rev() {
            self.memory.put(address, word);
        }
        let walked = self.replay.walk(&self.process, thread, registers, patches);
        assert_eq!(walked.stack, stack, "{patches:x?}");
        self.seen.most_reads = self.seen.most_reads.max(walked.reads);
        stack
    }

    /// The threads as they are.
    fn compare(&mut self) -> Vec<[u64; 3]> {
        let slot = self.program.python.slot.unwrap();
        let python = self.program.python.outside;
        let mut found = Vec::new();
        let threads = threads(self.program, &mut self.memory);
        for (pointer, state) in &threads {
            slot.state(&mut self.memory, *pointer);
            walk(&python, &mut self.memory, (*state, &[]), LIMIT as usize);
        }
        self.memory.seal();
        self.replay.set_image(&self.memory);
        for (pointer, state) in threads {
            let stack = self.both([pointer, state, LIMIT], &[], &[]);
            let bound = slot.state(&mut self.memory, pointer);
            let walked = self.replay.walk(&self.process, [pointer, 0, LIMIT], &[], &[]);
            assert_eq!(walked.thread, bound.unwrap_or(0));
            // A thread that is just starting is not bound to its state yet.
            if bound.is_some() {
                assert_eq!((bound, &walked.stack), (Some(state), &stack));
            }
            self.seen.stacks += 1;
            self.seen.frames += stack.frames.len();
            self.seen.deepest = self.seen.deepest.max(stack.frames.len());
            self.seen.restarted += usize::from(stack.restarted);
            let is_lost =
                |frame: &RecordedPython| *frame == RecordedPython::Other(PythonFrame::Unreadable);
            self.seen.whole += usize::from(!stack.frames.iter().any(is_lost));
            found.push([pointer, state, LIMIT]);
        }
        found
    }

    /// The threads, with words changed that a walk reads.
    fn corrupt(&mut self, threads: &[[u64; 3]], random: &mut Random, rounds: usize) {
        let python = self.program.python.outside;
        for thread in threads {
            self.memory.read.clear();
            let whole = walk(&python, &mut self.memory, (thread[1], &[]), LIMIT as usize);
            let mut read: Vec<u64> = self.memory.read.iter().copied().collect();
            read.sort_unstable();
            let values: Vec<u64> =
                read.iter().filter_map(|address| self.memory.word(*address)).collect();
            let start =
                self.memory.word(thread[1] + u64::from(python.layout().offsets.thread_frame));
            for _ in 0..rounds {
                let count = 1 + random.below(3);
                let patches: Vec<(u64, u64)> = (0..count)
                    .map(|_| {
                        let address = read[random.below(read.len())];
                        let value = values[random.below(values.len())];
                        let wild = random.0;
                        let words =
                            [0, value, value ^ 1 << random.below(64), address, value + 8, wild];
                        (address, words[random.below(words.len())])
                    })
                    .collect();
                // Registers that hold what the running call was found by, among others.
                let mut registers = [0; REGISTERS];
                for register in &mut registers {
                    *register = values[random.below(values.len())];
                }
                registers[random.below(REGISTERS)] = start.unwrap_or(0);
                let limit = [1, 5, LIMIT][random.below(3)];
                let stack = self.both([thread[0], thread[1], limit], &registers, &patches);
                self.seen.changed += 1;
                self.seen.refused += usize::from(stack != whole);
                self.seen.restarted += usize::from(stack.restarted);
            }
            if python.layout().root == Root::CFrame {
                self.begin_call(*thread, random);
            }
        }
    }

    /// The moment in which a call has its structure on the C stack, and has not filled it in.
    fn begin_call(&mut self, thread: [u64; 3], random: &mut Random) {
        let offsets = self.program.python.outside.layout().offsets;
        let place = thread[1] + u64::from(offsets.thread_frame);
        let Some(running) = self.memory.word(place) else { return };
        let whole = self.both(thread, &[], &[]);
        let new = running.wrapping_sub(64);
        if self.memory.word(new).is_none()
            || self.memory.word(new + 16).is_none()
            || whole.frames.is_empty()
        {
            return;
        }
        for garbage in [0, 0x1234_5678, running, place] {
            let mut registers = [0x77; REGISTERS];
            registers[random.below(REGISTERS)] = running;
            let frame = (new + u64::from(offsets.cframe_frame), garbage);
            let previous = (new + u64::from(offsets.cframe_previous), garbage);
            let stack = self.both(thread, &registers, &[(place, new), frame, previous]);
            assert_eq!(stack.frames, whole.frames);
            assert!(stack.restarted);
            self.seen.restarted += 1;
            let lost = self.both(thread, &[], &[(place, new), frame, previous]);
            // Without the registers it is found only where it is named by chance.
            assert_eq!(lost.frames == whole.frames, garbage == running);
        }
    }
}

fn replay(minor: u8, interpreter: &Path, stops: usize, rounds: usize) -> Seen {
    let mut replay = Replay::start(&Replay::build());
    let program = Program::start(interpreter, "work.py");
    assert_eq!(program.python.minor, minor);
    let process =
        PythonProcess::new(&program.python.outside, program.python.slot.unwrap()).unwrap();
    let mut seen = Seen::default();
    let mut random = Random(u64::from(minor));
    for number in 0..10 * stops {
        // How deep a thread is at a stop is chance, and more so on a busy machine.
        if number >= stops && seen.deepest as u64 >= LIMIT {
            break;
        }
        std::thread::sleep(Duration::from_millis(7 + number as u64 % 5));
        stop(program.pid());
        let memory = Frozen::of(program.pid());
        let mut scene =
            Scene { program: &program, process, replay: &mut replay, memory, seen: &mut seen };
        let threads = scene.compare();
        scene.corrupt(&threads, &mut random, rounds);
        signal(program.pid(), "-CONT");
    }
    println!("3.{minor}, {}: {seen:?}", interpreter.display());
    seen
}

#[test]
fn both_walks_find_the_same_python_frames_in_stopped_processes() {
    for (minor, interpreter) in interpreters() {
        let seen = replay(*minor, interpreter, 15, 30);
        assert!(seen.stacks > 100 && seen.frames > 4 * seen.stacks, "{seen:?}");
        assert!(seen.deepest as u64 >= LIMIT, "{seen:?}");
        assert!(seen.whole * 100 >= seen.stacks * 99, "{seen:?}");
        assert!(seen.refused * 4 > seen.changed, "{seen:?}");
        // A walk is bounded whatever it reads: 18 starts of at most 258 steps of 12 reads.
        assert!(seen.most_reads < 18 * 258 * 12, "{seen:?}");
    }
}

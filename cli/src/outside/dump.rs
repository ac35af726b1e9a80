//! `sondage dump`.

use std::collections::HashMap;
use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;
use sondage::resolve::{Budget, Symbols};
use sondage::{OutsideProcess, OutsideSample};
use sondage_remote::{Process, ThreadInfo};
use sondage_sampler::Labels;

use super::frames::{self, Frame};
use crate::args;
use crate::error::Error;
use crate::output;

/// Threads whose stacks are named at once.
const AT_ONCE: usize = 200;

#[derive(Debug, Serialize)]
struct Dump {
    pid: u32,
    program: String,
    threads: Vec<Thread>,
}

#[derive(Debug, Serialize)]
struct Thread {
    tid: i32,
    name: String,
    state: &'static str,
    /// How long it was stopped, in microseconds; none where it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped_us: Option<u64>,
    /// Leaf first.
    frames: Vec<Frame>,
}

/// Prints one stack of each thread.
pub(crate) fn run(options: &args::Dump) -> Result<u8, Error> {
    let pid = options.pid;
    let mut process = super::open(pid)?;
    let runtimes = process.runtimes(options.internals);
    let mut stacks = Stacks {
        names: OutsideProcess::new(Duration::from_millis(10), false, runtimes),
        symbols: Symbols::new(Budget::default()),
        stopped: HashMap::new(),
    };
    let infos = process.threads();
    let mut threads = Vec::with_capacity(infos.len());
    for infos in infos.chunks(AT_ONCE) {
        threads.extend(stacks.of(&mut process, infos)?);
    }
    if threads.is_empty() {
        return Err(Error::new(format!("process {pid} has ended")));
    }
    let dump = Dump { pid, program: super::program(pid), threads };
    if options.json {
        let json = serde_json::to_string_pretty(&dump);
        return output::print(&(json.map_err(|error| Error::new(error.to_string()))? + "\n"));
    }
    output::print(&text(&dump))
}

struct Stacks {
    names: OutsideProcess,
    symbols: Symbols,
    stopped: HashMap<i32, Duration>,
}

impl Stacks {
    /// Takes the stack of each thread and names the frames of all.
    fn of(&mut self, process: &mut Process, infos: &[ThreadInfo]) -> Result<Vec<Thread>, Error> {
        for info in infos {
            let Some(taken) = process.take(info.tid).map_err(super::failed)? else { continue };
            self.stopped.insert(info.tid, taken.stopped);
            self.names.add(&OutsideSample {
                words: taken.words,
                end: taken.end,
                weight: 1,
                labels: Labels::NONE,
                thread: &info.tid.to_string(),
            });
        }
        let (mappings, codes) = process.for_names();
        let profile = self.names.finish(mappings, &codes, &mut self.symbols, Duration::ZERO);
        let mut found = HashMap::new();
        for sample in profile.samples() {
            let tid = profile.labels(sample.labels).find(|(key, _)| *key == "thread");
            let Some(tid) = tid.and_then(|(_, tid)| tid.parse::<i32>().ok()) else { continue };
            found.insert(tid, frames::of(&profile, profile.frames(sample.stack)));
        }
        Ok(infos.iter().map(|info| self.thread(info, &mut found)).collect())
    }

    fn thread(&self, info: &ThreadInfo, found: &mut HashMap<i32, Vec<Frame>>) -> Thread {
        let stopped = self.stopped.get(&info.tid);
        Thread {
            tid: info.tid,
            name: info.name.clone(),
            state: state(info.state),
            stopped_us: stopped.map(|it| u64::try_from(it.as_micros()).unwrap_or(u64::MAX)),
            frames: found.remove(&info.tid).unwrap_or_default(),
        }
    }
}

fn state(letter: char) -> &'static str {
    match letter {
        'R' => "running",
        'S' | 'I' => "waiting",
        'D' => "waiting in the kernel",
        'T' => "stopped",
        't' => "traced",
        'Z' | 'X' => "ended",
        _ => "unknown",
    }
}

fn text(dump: &Dump) -> String {
    let mut out = format!("process {}, {}\n", dump.pid, dump.program.escape_debug());
    for thread in &dump.threads {
        let name = thread.name.escape_debug();
        // Writing to a string does not fail.
        let _ = writeln!(out, "\nthread {} \"{name}\", {}", thread.tid, thread.state);
        if thread.frames.is_empty() {
            let _ = writeln!(out, "    [no stack: the thread has ended or could not be stopped]");
        }
        for frame in &thread.frames {
            let _ = writeln!(out, "    {}", frame.to_line());
        }
    }
    out
}

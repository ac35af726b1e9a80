//! A machine that is watched, and the stacks of its processes by name.

use sondage::profile::{LocationId, Profile};
use sondage_host::{Machine, MachineOptions};
use std::num::NonZeroU32;
use std::path::Path;
use std::time::{Duration, Instant};

/// Many samples in little time.
const HERTZ: u32 = 199;

pub(crate) fn options() -> MachineOptions {
    let mut options = MachineOptions::default();
    options.sampling.hertz = NonZeroU32::new(HERTZ).unwrap();
    options
}

/// Watches every process, each with its number as label.
pub(crate) fn watch(options: MachineOptions) -> Machine {
    Machine::start(options, |pid, _, _| Some(labels(pid))).unwrap()
}

/// Watches the processes of one program.
pub(crate) fn watch_only(program: &Path, options: MachineOptions) -> Machine {
    let program = program.to_owned();
    let runs_it =
        move |pid| std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|path| path == program);
    Machine::start(options, move |pid, _, _| runs_it(pid).then(|| labels(pid))).unwrap()
}

fn labels(pid: u32) -> Vec<(String, String)> {
    vec![("pid".to_owned(), pid.to_string())]
}

pub(crate) fn work_for(machine: &mut Machine, time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        machine.wait(Duration::from_millis(20));
        machine.work();
    }
}

/// Works until a process has used so much CPU time more: on a busy machine that takes longer.
pub(crate) fn work_until_used(machine: &mut Machine, pid: u32, time: Duration) {
    let goal = used_by(pid) + time;
    work_until(machine, || used_by(pid) >= goal);
}

/// Works until it is so, for a minute at most.
pub(crate) fn work_until(machine: &mut Machine, mut it_is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !it_is_so() && Instant::now() < end {
        work_for(machine, Duration::from_millis(20));
    }
}

/// CPU time of a process in user space and in the kernel.
pub(crate) fn used_by(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name = stat.rsplit_once(") ").unwrap().1;
    // Fields 14 and 15 of proc(5), in hundredths of a second.
    let ticks = after_name.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().unwrap());
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

/// One stack, the leaf first, and how often it was seen.
#[derive(Debug)]
pub(crate) struct Stack {
    pub(crate) names: Vec<String>,
    pub(crate) samples: i64,
}

impl Stack {
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.iter().any(|it| it == name)
    }

    /// It has these functions in this order, the leaf first, and is whole.
    pub(crate) fn is_whole_with(&self, names: &[&str]) -> bool {
        let mut left = names.iter().peekable();
        for name in &self.names {
            left.next_if(|wanted| **wanted == name.as_str());
        }
        left.peek().is_none() && !self.has("[truncated]")
    }
}

/// The stacks of one process.
pub(crate) fn of(profile: &Profile, pid: u32) -> Vec<Stack> {
    let samples = profile.column("samples").unwrap();
    let pid = pid.to_string();
    let parts = profile.split_by(|key| key == "pid");
    let own = |part: &&Profile| part.meta.labels.contains(&("pid".to_owned(), pid.clone()));
    let Some(part) = parts.iter().find(own) else { return Vec::new() };
    let stack = |sample: &sondage::profile::Sample| Stack {
        names: part.frames(sample.stack).iter().flat_map(|it| names(part, *it)).collect(),
        samples: sample.values[samples],
    };
    part.samples().iter().map(stack).collect()
}

fn names(profile: &Profile, location: LocationId) -> Vec<String> {
    let location = &profile.locations()[location.index()];
    let name = |line: &sondage::profile::Line| {
        profile.text(profile.functions()[line.function.index()].name).to_owned()
    };
    location.lines.iter().map(name).collect()
}

/// How many samples there are, and the share of those for which `is_right`.
pub(crate) fn share(stacks: &[Stack], is_right: impl Fn(&Stack) -> bool) -> (i64, f64) {
    let count = |some: &mut dyn Iterator<Item = &Stack>| some.map(|it| it.samples).sum::<i64>();
    let all = count(&mut stacks.iter());
    let right = count(&mut stacks.iter().filter(|stack| is_right(stack)));
    (all, right as f64 / all.max(1) as f64)
}

/// Most of a process' samples have these functions in this order, the leaf first, and are whole.
pub(crate) fn assert_mostly(stacks: &[Stack], names: &[&str], least: f64) {
    let (all, right) = share(stacks, |stack| stack.is_whole_with(names));
    assert!(all >= 30 && right >= least, "{right} of {all} with {names:?}: {stacks:#?}");
}

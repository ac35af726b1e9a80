//! One process, watched by a machine.

use sondage::profile::{Line, Profile};
use sondage_host::{Identities, Machine, MachineOptions, MachineStats, Recipe};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::process::Child;
use std::time::{Duration, Instant};

/// Ends a program with the test.
pub(crate) struct Program(pub(crate) Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A machine that watches one process.
pub(crate) struct Watched(pub(crate) Machine);

impl Watched {
    pub(crate) fn start(watched: u32, off_cpu: bool) -> Self {
        let mut options = MachineOptions::default();
        options.sampling.hertz = NonZeroU32::new(499).unwrap();
        options.sampling.off_cpu = off_cpu;
        let mut identities = Identities::new(Recipe::default());
        let machine = Machine::start(options, move |pid, _, context| {
            if pid != watched {
                return None;
            }
            let attributes = context.map(|context| context.resource.iter().cloned().collect());
            identities.set_context(pid, attributes.unwrap_or_default());
            Some(identities.describe(pid)?.labels.clone())
        });
        Self(machine.unwrap())
    }

    pub(crate) fn period(&mut self, time: Duration) -> (Profile, MachineStats) {
        let begin = Instant::now();
        while begin.elapsed() < time {
            self.0.wait(Duration::from_millis(50));
            self.0.work();
        }
        let profile = self.0.flush();
        let stats = self.0.stats();
        println!("{stats:?}");
        (profile, stats)
    }
}

/// One stack of a profile.
pub(crate) struct Sample {
    pub(crate) functions: Vec<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) count: i64,
    pub(crate) wall: i64,
}

/// The stacks of a profile, each with all of its labels; what is no process' is left out.
pub(crate) fn samples(profile: &Profile) -> Vec<Sample> {
    let common = profile.meta.labels.iter().map(|(key, value)| (key.clone(), value.clone()));
    let common: BTreeMap<String, String> = common.collect();
    let wall = profile.sample_types().iter().position(|column| column.kind == "wall");
    let read = |sample: &sondage::profile::Sample| {
        let own = profile.labels(sample.labels);
        let own = own.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let frames = profile.frames(sample.stack).iter();
        let lines = frames.flat_map(|id| &profile.locations()[id.index()].lines);
        let name = |line: &Line| profile.functions()[line.function.index()].name;
        Sample {
            functions: lines.map(|line| profile.text(name(line)).to_owned()).collect(),
            labels: common.clone().into_iter().chain(own).collect(),
            count: sample.values[0],
            wall: wall.map_or(0, |column| sample.values[column]),
        }
    };
    profile.samples().iter().map(read).collect()
}

//! One process of the machine: its code, its labels and its stacks.

use crate::own_word::OwnWord;
use crate::runtimes::{Programs, Runtimes, labels_of_context};
use crate::tables::Tables;
use sondage::context::ProcessContext;
use sondage::profile::Profile;
use sondage::resolve::{FileIndex, Files, Mappings, Symbols};
use sondage::{OutsideProcess, OutsideRuntimes, OutsideSample};
use sondage_ebpf::{Error, Host, Mapping};
use sondage_sampler::End;
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// Mappings that the programs can know of one process.
const MAX_MAPPINGS: usize = 2048;

/// Between two looks at a process' mappings because code was met of which nothing is known; it
/// doubles each time that nothing new was found, up to the other.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
const LOOK_SELDOM: Duration = Duration::from_secs(30);

/// Tells the labels of a process: from its number, the name of a thread, and its process context.
pub(crate) type Describe =
    dyn FnMut(u32, &str, Option<&ProcessContext>) -> Option<Vec<(String, String)>> + Send;

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Process {
    pid: u32,
    name: String,
    /// `None` for a process whose profile nobody wants.
    labels: Option<Vec<(String, String)>>,
    word: OwnWord,
    mappings: Mappings,
    runtimes: Runtimes,
    stacks: OutsideProcess,
    interval: Duration,
    wall: bool,
    /// Its list of mappings has changed since it was published.
    changed: bool,
    /// When its mappings may be looked at again, and how long it will be until then the next time.
    next_look: Instant,
    pause: Duration,
    /// The same for what it says of itself, because a thread's context had an unknown key.
    next_word: Instant,
    word_pause: Duration,
    samples: u64,
    last_sample: Instant,
    /// It has ended: it is forgotten with the next profile.
    pub(crate) ended: bool,
}

impl Process {
    /// Looks at a process that was just sampled. One that is gone already has no mappings.
    pub(crate) fn learn(
        (pid, name): (u32, &str),
        (word, labels): (OwnWord, Option<Vec<(String, String)>>),
        (interval, wall): (Duration, bool),
        files: &mut Files,
        programs: &mut Programs,
    ) -> Self {
        let now = Instant::now();
        let mut mappings = Mappings::of(pid);
        let ended = mappings.refresh(files).is_err();
        let runtimes = match labels {
            Some(_) => Runtimes::find(pid, &mappings, &word, programs),
            None => Runtimes::default(),
        };
        Self {
            pid,
            name: name.to_owned(),
            labels,
            word,
            mappings,
            stacks: stacks(interval, wall, &runtimes),
            runtimes,
            interval,
            wall,
            changed: true,
            next_look: now + LOOK_AGAIN,
            pause: LOOK_AGAIN,
            next_word: now,
            word_pause: LOOK_AGAIN,
            samples: 0,
            last_sample: now,
            ended,
        }
    }

    /// Tells the programs of its mappings, if that was not done since they changed.
    pub(crate) fn publish(&mut self, tables: &mut Tables, host: &mut Host) -> Result<(), Error> {
        if !std::mem::take(&mut self.changed) || self.ended {
            return Ok(());
        }
        let modules = self.mappings.iter().take(MAX_MAPPINGS);
        let mut mappings = Vec::new();
        for module in modules {
            let table = self.mappings.known(module.file).and_then(|file| tables.of(file));
            let (range, bias) = (module.range.clone(), module.bias);
            mappings.push(Mapping { range, bias, table });
        }
        host.set_runtimes(self.pid, self.runtimes.for_programs())?;
        host.set_process(self.pid, &mappings)
    }

    /// Has its mappings published again if it has one of these files.
    pub(crate) fn has_new_tables(&mut self, built: &HashSet<FileIndex>) {
        self.changed |= self.mappings.files().any(|file| built.contains(&file.index));
    }

    /// Adds a sample, and looks for new code or for a table where its walk ended early.
    pub(crate) fn add(
        &mut self,
        sample: &OutsideSample<'_>,
        files: &mut Files,
        tables: &mut Tables,
    ) {
        self.last_sample = Instant::now();
        if self.labels.is_none() {
            return;
        }
        self.samples += 1;
        match self.runtimes.words(sample.words) {
            Some(words) => self.stacks.add(&OutsideSample { words: &words, ..*sample }),
            None => self.stacks.add(sample),
        }
        self.look_at_end(sample, files, tables);
    }

    /// Adds waiting time.
    pub(crate) fn add_waited(&mut self, sample: &OutsideSample<'_>, waited: Duration) {
        if self.labels.is_some() {
            self.samples += 1;
            self.stacks.add_waited(sample, waited);
        }
    }

    fn look_at_end(&mut self, sample: &OutsideSample<'_>, files: &mut Files, tables: &mut Tables) {
        if sample.end == End::Root {
            return;
        }
        let native = |word: &&u64| **word >> 56 == 0;
        let Some(last) = sample.words.iter().rev().find(native) else { return };
        match self.mappings.find(last.saturating_sub(1)) {
            Some(module) => {
                if let Some(file) = self.mappings.known(module.file) {
                    tables.want(file);
                }
            }
            None if sample.end == End::UnknownCode => self.look_for_code(files),
            None => {}
        }
    }

    /// Reads the mappings again, unless that was done lately.
    fn look_for_code(&mut self, files: &mut Files) {
        let now = Instant::now();
        if now < self.next_look || self.ended {
            return;
        }
        // What was sampled before is read by the list of that time.
        self.stacks.settle(&mut self.mappings, self.runtimes.codes());
        match self.mappings.refresh(files) {
            Ok(true) => {
                self.changed = true;
                self.pause = LOOK_AGAIN;
            }
            Ok(false) => self.pause = (self.pause * 2).min(LOOK_SELDOM),
            Err(_) => self.ended = true,
        }
        self.next_look = now + self.pause;
    }

    /// How long it was not sampled.
    pub(crate) fn idle(&self) -> Duration {
        self.last_sample.elapsed()
    }

    /// The profile since the last one, with the labels of the process; `None` where nothing was
    /// sampled. Its mappings are looked at again for what was mapped in place of something else.
    pub(crate) fn finish(
        &mut self,
        files: &mut Files,
        symbols: &mut Symbols,
        programs: &mut Programs,
    ) -> Option<Profile> {
        let labels = self.labels.clone()?;
        if std::mem::take(&mut self.samples) == 0 {
            return None;
        }
        let mut profile =
            self.stacks.finish(&mut self.mappings, self.runtimes.codes(), symbols, Duration::ZERO);
        profile.meta.labels = labels;
        self.runtimes.turn();
        self.mappings.forget_unmapped();
        if !self.ended {
            match self.mappings.refresh(files) {
                Ok(changed) => self.changed |= changed,
                Err(_) => self.ended = true,
            }
        }
        if self.runtimes.is_unfinished() {
            self.find_runtimes(programs);
        }
        Some(profile)
    }

    fn find_runtimes(&mut self, programs: &mut Programs) {
        self.runtimes = Runtimes::find(self.pid, &self.mappings, &self.word, programs);
        self.stacks = stacks(self.interval, self.wall, &self.runtimes);
        self.changed = true;
    }

    /// Goes on with other labels: more may be known of its container by now, and it may say more of
    /// itself.
    pub(crate) fn describe_again(
        &mut self,
        describe: &mut Describe,
        files: &mut Files,
        programs: &mut Programs,
    ) {
        self.word.look_again(self.pid);
        let before = self.labels.take();
        if !self.samples_itself() {
            self.labels = describe(self.pid, &self.name, self.word.context());
        }
        if before.is_none() && self.labels.is_some() {
            self.ended |= self.mappings.refresh(files).is_err();
            self.find_runtimes(programs);
        } else if self.labels.is_some() {
            let Self { pid, mappings, word, .. } = self;
            self.changed |= self.runtimes.find_context(*pid, mappings, word, programs);
        }
    }

    /// Whether it is left out because a Sondage of its own samples it.
    pub(crate) fn samples_itself(&self) -> bool {
        self.word.samples_itself()
    }

    /// What the attributes of a thread's context say. New keys may have come since the process was
    /// looked at.
    pub(crate) fn labels_of_context(&mut self, words: &[u64]) -> Vec<(String, String)> {
        let keys = self.word.thread_keys().unwrap_or_default();
        let (pairs, unknown) = labels_of_context(words, keys);
        let now = Instant::now();
        if !unknown || now < self.next_word {
            return pairs;
        }
        let changed = self.word.look(self.pid);
        self.word_pause = if changed { LOOK_AGAIN } else { (self.word_pause * 2).min(LOOK_SELDOM) };
        self.next_word = now + self.word_pause;
        labels_of_context(words, self.word.thread_keys().unwrap_or_default()).0
    }

    /// The labels of the process.
    pub(crate) fn labels(&self) -> &[(String, String)] {
        self.labels.as_deref().unwrap_or_default()
    }
}

fn stacks(interval: Duration, wall: bool, runtimes: &Runtimes) -> OutsideProcess {
    let python = runtimes.evaluation();
    OutsideProcess::new(interval, wall, OutsideRuntimes { python, ..OutsideRuntimes::default() })
}

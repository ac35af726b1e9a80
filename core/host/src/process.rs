//! One process of the machine: its code, its labels and its stacks.

use crate::machine::monotonic;
use crate::own_word::OwnWord;
use crate::runtimes::{Programs, Runtimes, labels_of_context};
use crate::tables::Tables;
use crate::unwalked::Unwalked;
use sondage::context::ProcessContext;
use sondage::profile::Profile;
use sondage::resolve::{FileIndex, Files, KnownFile, Mappings, Module, Symbols};
use sondage::{OutsideProcess, OutsideRuntimes, OutsideSample};
use sondage_ebpf::{Error, Host, Mapping};
use sondage_sampler::End;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Mappings that the programs can know of one process.
const MAX_MAPPINGS: usize = 2048;

/// Until a process' mappings are looked at again because code was met of which nothing is known. It was
/// perhaps sampled before its libraries were there.
const FIRST_LOOK: Duration = Duration::from_millis(20);

/// The same when something new has been found; it doubles each time that nothing was, up to the other.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
const LOOK_SELDOM: Duration = Duration::from_secs(30);

/// Samples of one process that may wait for its unwind tables: 8 KiB each.
const MAX_UNWALKED: usize = 32;

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
    /// Empty while it is left out.
    mappings: Mappings,
    runtimes: Runtimes,
    stacks: OutsideProcess,
    unwalked: Vec<Unwalked>,
    /// One of those may be walked further than when that was tried last.
    walkable: bool,
    interval: Duration,
    wall: bool,
    /// Its list of mappings has changed since it was published.
    changed: bool,
    /// When its mappings were read last, on the clock of records.
    looked: u64,
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
        // The files of one that is left out are nobody's.
        let ended = match labels {
            Some(_) => mappings.refresh(files).is_err(),
            None => std::fs::metadata(format!("/proc/{pid}")).is_err(),
        };
        let looked = monotonic();
        let runtimes = Runtimes::find(pid, &mappings, &word, programs);
        Self {
            pid,
            name: name.to_owned(),
            labels,
            word,
            mappings,
            stacks: stacks(interval, wall, &runtimes),
            unwalked: Vec::new(),
            walkable: false,
            runtimes,
            interval,
            wall,
            changed: true,
            looked,
            next_look: now + FIRST_LOOK,
            pause: FIRST_LOOK,
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
        let mappings = self.list(tables);
        host.set_runtimes(self.pid, self.runtimes.for_programs())?;
        host.set_process(self.pid, &mappings)
    }

    /// Its mappings, with the tables that there are. What is missing is built. None are known of one
    /// that is left out: its stacks are not walked.
    fn list(&self, tables: &mut Tables) -> Vec<Mapping> {
        let modules = self.mappings.iter().take(MAX_MAPPINGS);
        let with_table = |module: &Module| {
            let table = self.mappings.known(module.file).and_then(|file| tables.of(file));
            Mapping { range: module.range.clone(), bias: module.bias, table }
        };
        modules.map(with_table).collect()
    }

    /// Has its mappings published again if it has one of these files.
    pub(crate) fn has_new_tables(&mut self, built: &HashSet<FileIndex>) {
        if self.mappings.files().any(|file| built.contains(&file.index)) {
            self.changed = true;
            self.walkable = true;
        }
    }

    /// Keeps a sample until its stack can be walked. False where that gains nothing, or too many are
    /// kept.
    pub(crate) fn keep(&mut self, sample: Unwalked) -> bool {
        let keep = !self.is_left_out() && !self.ended && self.unwalked.len() < MAX_UNWALKED;
        if keep {
            self.unwalked.push(sample);
            self.walkable = true;
        }
        keep
    }

    /// Walks the stacks of kept samples: those whose code has all the tables that it will get, or, if it
    /// is the last time, all. Returns how many reach their root.
    pub(crate) fn walk_kept(
        &mut self,
        last: bool,
        host: &Host,
        files: &mut Files,
        tables: &mut Tables,
    ) -> u64 {
        let mut complete = 0;
        if self.unwalked.is_empty() || !(std::mem::take(&mut self.walkable) || last) {
            return complete;
        }
        let mappings = self.list(tables);
        for sample in std::mem::take(&mut self.unwalked) {
            let mut words = sample.kernel.clone();
            let end = host.walk(&sample.copy, &mappings, &mut words);
            if !last && self.lacks_table(&words, end, tables) {
                self.unwalked.push(sample);
                continue;
            }
            complete += u64::from(end == End::Root);
            let Unwalked { weight, labels, thread, .. } = &sample;
            let (weight, labels) = (*weight, *labels);
            self.add(&OutsideSample { words: &words, end, weight, labels, thread }, files, tables);
        }
        complete
    }

    /// Whether a table is being built of a file that these frames are in. Where the walk ended early, one
    /// is now.
    fn lacks_table(&self, words: &[u64], end: End, tables: &mut Tables) -> bool {
        if end != End::Root
            && let Some(file) = last_native(words).and_then(|address| self.file_at(address))
        {
            tables.want(file);
        }
        let native = words.iter().filter(|word| is_native(word));
        native.filter_map(|address| self.file_at(*address)).any(|file| tables.is_queued(file))
    }

    /// The file with the code that returns to this address.
    fn file_at(&self, address: u64) -> Option<&Arc<KnownFile>> {
        self.mappings.known(self.mappings.find(address.saturating_sub(1))?.file)
    }

    /// Adds a sample, and looks for new code or for a table where its walk ended early.
    pub(crate) fn add(
        &mut self,
        sample: &OutsideSample<'_>,
        files: &mut Files,
        tables: &mut Tables,
    ) {
        self.last_sample = Instant::now();
        if self.is_left_out() {
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
        if !self.is_left_out() {
            self.samples += 1;
            self.stacks.add_waited(sample, waited);
        }
    }

    fn look_at_end(&mut self, sample: &OutsideSample<'_>, files: &mut Files, tables: &mut Tables) {
        if sample.end == End::Root {
            return;
        }
        let Some(last) = last_native(sample.words) else { return };
        match self.file_at(last) {
            Some(file) => tables.want(file),
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
        self.pause = match self.refresh(files) {
            true => LOOK_AGAIN,
            false => (self.pause * 2).min(LOOK_SELDOM),
        };
        self.next_look = now + self.pause;
    }

    /// Reads the mappings again. Returns whether they have changed.
    fn refresh(&mut self, files: &mut Files) -> bool {
        let refreshed = self.mappings.refresh(files);
        self.looked = monotonic();
        self.ended |= refreshed.is_err();
        let changed = refreshed.unwrap_or(false);
        self.changed |= changed;
        changed
    }

    /// It runs another program since then. What was sampled before is not named by mappings that were read
    /// later: they may be the other one's.
    pub(crate) fn replaced(&mut self, time: u64) {
        self.ended = true;
        if self.looked > time {
            self.mappings = Mappings::of(self.pid);
        }
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
            self.refresh(files);
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
        match (before.is_some(), self.labels.is_some()) {
            (false, true) => {
                self.refresh(files);
                self.find_runtimes(programs);
            }
            (true, true) => {
                let Self { pid, mappings, word, .. } = self;
                self.changed |= self.runtimes.find_context(*pid, mappings, word, programs);
            }
            (true, false) => {
                self.mappings = Mappings::of(self.pid);
                self.runtimes = Runtimes::default();
                self.changed = true;
            }
            (false, false) => {}
        }
    }

    /// Whether nobody wants its profile.
    pub(crate) fn is_left_out(&self) -> bool {
        self.labels.is_none()
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

/// Whether a word of a sample is an address in user space.
fn is_native(word: &u64) -> bool {
    word >> 56 == 0
}

/// The outermost frame in user space.
fn last_native(words: &[u64]) -> Option<u64> {
    words.iter().rev().find(|word| is_native(word)).copied()
}

fn stacks(interval: Duration, wall: bool, runtimes: &Runtimes) -> OutsideProcess {
    let python = runtimes.evaluation();
    OutsideProcess::new(interval, wall, OutsideRuntimes { python, ..OutsideRuntimes::default() })
}

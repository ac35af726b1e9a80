//! The machine: from records to one profile of all processes.

use crate::own_word::OwnWord;
use crate::process::{Describe, Process};
use crate::runtimes::{LabelSets, Programs, labels_of_go};
use crate::series::SeriesKeys;
use crate::tables::Tables;
use crate::unwalked::Unwalked;
use crate::waiting::{Stop, Stops};
use sondage::OutsideSample;
use sondage::context::ProcessContext;
use sondage::profile::{LossCause, Profile, ValueType};
use sondage::resolve::{Budget, Files, Symbols};
use sondage_ebpf::{Error, Host, HostOptions, Losses, Record, RecordKind};
use sondage_sampler::{End, Labels, RawSample};
use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A process that was not sampled for so long is forgotten, and learned again with its next sample.
const IDLE: Duration = Duration::from_secs(600);

/// Different files of all processes together.
const MAX_FILES: usize = 16_384;

/// How a process' profile is labelled. `None` leaves it out.
pub type Described = Option<Vec<(String, String)>>;

/// How to watch a machine.
#[derive(Clone, Debug, Default)]
pub struct MachineOptions {
    /// How to sample.
    pub sampling: HostOptions,
    /// How much memory names may take.
    pub symbols: Budget,
    /// Shorter stops of threads are left out.
    pub shortest_wait: Duration,
}

/// What has happened since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineStats {
    /// Samples of running threads, but for those of processes that are left out.
    pub samples: u64,
    /// Of those, stacks that reach their root. Those of processes that were not known yet count when
    /// they have been walked.
    pub complete: u64,
    /// Processes that are known now.
    pub processes: usize,
    /// Of those, processes that are left out because a Sondage of their own samples them.
    pub self_sampled: usize,
    /// Bytes that unwind tables take.
    pub table_bytes: usize,
    /// Unwind tables.
    pub tables: usize,
    /// How often a table found no room. It is tried again after each profile.
    pub refused_tables: u64,
    /// What was lost.
    pub losses: Losses,
    /// The last thing that went wrong.
    pub last_error: Option<String>,
}

/// Watches all processes until it is dropped. To be used on one thread.
pub struct Machine {
    host: Host,
    options: MachineOptions,
    processes: HashMap<u32, Process>,
    files: Files,
    tables: Tables,
    symbols: Symbols,
    stops: Stops,
    programs: Programs,
    label_sets: LabelSets,
    /// Processes that run another program now: what was sampled before is in the next profile.
    gone: Vec<Process>,
    keys: SeriesKeys,
    describe: Box<Describe>,
    interval: Duration,
    stats: MachineStats,
    accounted: Losses,
    start: SystemTime,
}

impl Machine {
    /// Starts sampling. `describe` tells the labels of a process by its number, the name of a
    /// thread of it, and what it says of itself (OTEP 4719). A process whose own Sondage samples it is
    /// left out.
    ///
    /// # Errors
    /// Those of [`Host::start`].
    pub fn start(
        options: MachineOptions,
        describe: impl FnMut(u32, &str, Option<&ProcessContext>) -> Described + Send + 'static,
    ) -> Result<Self, Error> {
        let hertz = options.sampling.hertz.get();
        Ok(Self {
            host: Host::start(&options.sampling)?,
            processes: HashMap::new(),
            files: Files::with_limit(MAX_FILES),
            tables: Tables::default(),
            symbols: Symbols::new(options.symbols.clone()),
            stops: Stops::default(),
            programs: Programs::default(),
            label_sets: LabelSets::default(),
            gone: Vec::new(),
            keys: SeriesKeys::default(),
            describe: Box::new(describe),
            interval: Duration::from_secs(1) / hertz,
            stats: MachineStats::default(),
            accounted: Losses::default(),
            start: SystemTime::now(),
            options,
        })
    }

    /// The labels that profiles of processes have: what [`BySeries`](crate::BySeries) goes by.
    pub fn series_keys(&self) -> SeriesKeys {
        self.keys.clone()
    }

    /// Waits until something has come that should not wait, or for this long.
    pub fn wait(&self, timeout: Duration) {
        self.host.wait(timeout);
    }

    /// Reads what has come, and learns of new processes and new code. Returns how many records there
    /// were.
    pub fn work(&mut self) -> usize {
        let (mut records, mut words) = (Vec::new(), Vec::new());
        let taken = self.host.drain(|record| {
            let first = words.len();
            words.extend_from_slice(record.words);
            let Record { kind, pid, tid, time, cgroup, comm, .. } = *record;
            let record = Record { kind, pid, tid, time, cgroup, comm, words: &[] };
            records.push((record, first..words.len()));
        });
        for (record, range) in records {
            let words = words.get(range).unwrap_or_default();
            self.take(&Record { words, ..record });
        }
        let built = self.tables.build(&mut self.host);
        if !built.is_empty() {
            let all = self.gone.iter_mut().chain(self.processes.values_mut());
            all.for_each(|process| process.has_new_tables(&built));
        }
        for process in self.processes.values_mut() {
            if let Err(error) = process.publish(&mut self.tables, &mut self.host) {
                self.stats.last_error = Some(error.to_string());
            }
        }
        self.walk_kept(false);
        taken
    }

    /// Walks the stacks that were copied before the code of their process was known.
    fn walk_kept(&mut self, last: bool) {
        let Self { host, files, tables, stats, .. } = self;
        for process in self.gone.iter_mut().chain(self.processes.values_mut()) {
            stats.complete += process.walk_kept(last, host, files, tables);
        }
    }

    fn take(&mut self, record: &Record<'_>) {
        match record.kind {
            RecordKind::Sample | RecordKind::UnknownProcess => self.take_sample(record),
            RecordKind::Blocked { chance, .. } => {
                let Record { pid, comm, words, time, .. } = *record;
                let set = self.label_sets.take(record.tid, time);
                self.stops.begin(record.tid, Stop::new((pid, comm), set, words, chance, time));
            }
            RecordKind::Resumed { blocked, .. } => {
                let ended = self.stops.end(record.tid, blocked);
                if let Some((stop, waited)) =
                    ended.filter(|_| blocked >= self.options.shortest_wait)
                {
                    add_waited(&mut self.processes, &stop, waited);
                }
            }
            RecordKind::Exec => self.take_exec(record.pid, record.time),
            RecordKind::GoLabels => {
                self.label_sets.put(record.tid, record.time, &labels_of_go(record.words));
            }
            RecordKind::Context => {
                if let Some(process) = self.processes.get_mut(&record.pid) {
                    let pairs = process.labels_of_context(record.words);
                    self.label_sets.put(record.tid, record.time, &pairs);
                }
            }
            RecordKind::Exit => self.take_exit(record.pid),
        }
    }

    fn take_sample(&mut self, record: &Record<'_>) {
        let Some((sample, _)) = RawSample::read(record.words) else { return };
        let thread = name_of(&record.comm);
        let process = self.processes.entry(record.pid).or_insert_with(|| {
            let word = OwnWord::of(record.pid);
            let labels = match word.samples_itself() {
                true => None,
                false => (self.describe)(record.pid, &thread, word.context()),
            };
            let columns = (self.interval, self.options.sampling.off_cpu);
            let known = (record.pid, thread.as_str());
            Process::learn(known, (word, labels), columns, &mut self.files, &mut self.programs)
        });
        if !process.is_left_out() {
            self.stats.samples += 1;
            self.stats.complete += u64::from(sample.end == End::Root);
        }
        let set = self.label_sets.take(record.tid, record.time);
        let labels = Labels { set, ..sample.labels };
        if let Some(unwalked) = Unwalked::of(record, labels, &thread)
            && process.keep(unwalked)
        {
            return;
        }
        let RawSample { frames: words, end, weight, .. } = sample;
        let sample = OutsideSample { words, end, weight, labels, thread: &thread };
        process.add(&sample, &mut self.files, &mut self.tables);
    }

    /// The programs have forgotten the process already; its next sample is that of a new one.
    fn take_exec(&mut self, pid: u32, time: u64) {
        if let Some(mut process) = self.processes.remove(&pid) {
            process.replaced(time);
            self.gone.push(process);
            self.host.forget_process(pid);
        }
    }

    fn take_exit(&mut self, pid: u32) {
        // The other threads of a process may go on without the first.
        let lives = std::fs::metadata(format!("/proc/{pid}/maps")).is_ok();
        if !lives && let Some(process) = self.processes.get_mut(&pid) {
            process.ended = true;
        }
        if !lives {
            self.stops.forget(pid);
        }
    }

    /// The profile of all processes since the last one. Labels in which processes differ are those
    /// of samples.
    pub fn flush(&mut self) -> Profile {
        self.work();
        self.walk_kept(true);
        let now = monotonic();
        let processes = &mut self.processes;
        self.stops.charge(now, |stop, waited| add_waited(processes, stop, waited));
        let mut all = Profile::new(Vec::new());
        let Self { files, symbols, programs, describe, .. } = self;
        for process in self.gone.iter_mut().chain(self.processes.values_mut()) {
            let profile = process.finish(files, symbols, programs);
            if let Some(profile) = &profile {
                self.keys.add(process.labels());
                all.merge(profile);
            }
            if !process.ended && (profile.is_some() || process.samples_itself()) {
                process.describe_again(describe, files, programs);
            }
        }
        self.gone.clear();
        self.forget();
        let start = std::mem::replace(&mut self.start, SystemTime::now());
        all.meta.duration = start.elapsed().unwrap_or_default();
        let since_epoch = start.duration_since(UNIX_EPOCH).unwrap_or_default();
        all.meta.start_unix_nanos = u64::try_from(since_epoch.as_nanos()).ok();
        all.meta.sources = vec!["ebpf".to_owned()];
        self.account_losses(&mut all);
        all
    }

    /// Forgets processes that have ended or are not sampled, with their files and tables.
    fn forget(&mut self) {
        let host = &mut self.host;
        self.processes.retain(|pid, process| {
            let keep = !process.ended && process.idle() < IDLE;
            if !keep {
                host.forget_process(*pid);
            }
            keep
        });
        self.tables.drop_unused(&mut self.files, &mut self.host);
        let files = &self.files;
        self.programs.forget(|index| files.get(index).is_some());
        self.tables.try_again(&self.files);
    }

    /// Puts what was lost since the last profile into this one.
    fn account_losses(&mut self, all: &mut Profile) {
        let Ok(losses) = self.host.losses() else { return };
        let period = self.interval.as_nanos() as u64;
        let before = std::mem::replace(&mut self.accounted, losses);
        self.stats.losses = losses;
        let dropped = losses.ring_full.saturating_sub(before.ring_full);
        let missed = losses.modules_changed.saturating_sub(before.modules_changed);
        for (cause, name, samples) in
            [(LossCause::Dropped, "[dropped]", dropped), (LossCause::Missed, "[missed]", missed)]
        {
            if samples > 0 {
                all.add_loss(cause, samples * period);
                add_placeholder(all, name, samples, samples * period);
            }
        }
    }

    /// What has happened since the start.
    pub fn stats(&self) -> MachineStats {
        let (table_bytes, tables) = self.host.tables();
        let last_error = self.tables.last_error.clone().or_else(|| self.stats.last_error.clone());
        let processes = self.processes.len();
        let own = self.processes.values().filter(|process| process.samples_itself());
        let (self_sampled, stats) = (own.count(), self.stats.clone());
        let refused_tables = self.tables.refused;
        let stats = MachineStats { processes, self_sampled, refused_tables, ..stats };
        MachineStats { table_bytes, tables, last_error, ..stats }
    }

    /// The programs, for those who measure them.
    pub fn host(&mut self) -> &mut Host {
        &mut self.host
    }
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

fn add_waited(processes: &mut HashMap<u32, Process>, stop: &Stop, waited: Duration) {
    let Some((sample, _)) = RawSample::read(&stop.words) else { return };
    if let Some(process) = processes.get_mut(&stop.pid) {
        let thread = name_of(&stop.comm);
        let (words, end) = (sample.frames, sample.end);
        let labels = Labels { set: stop.set, ..sample.labels };
        let sample = OutsideSample { words, end, weight: 0, labels, thread: &thread };
        process.add_waited(&sample, waited);
    }
}

/// A stack of one frame that says what it stands for.
fn add_placeholder(profile: &mut Profile, name: &str, samples: u64, cpu: u64) {
    let value = |of: &ValueType| match of.kind.as_str() {
        "samples" => samples as i64,
        "cpu" | "wall" => cpu as i64,
        _ => 0,
    };
    let values: Vec<i64> = profile.sample_types().iter().map(value).collect();
    let location = profile.named_location(name);
    let stack = profile.stack(&[location]);
    let none: [(&str, &str); 0] = [];
    let labels = profile.label_set(none);
    profile.add(stack, labels, &values);
}

fn name_of(comm: &[u8; 16]) -> String {
    let end = comm.iter().position(|byte| *byte == 0).unwrap_or(comm.len());
    String::from_utf8_lossy(&comm[..end]).into_owned()
}

/// `CLOCK_MONOTONIC`, which the kernel stamps records with.
pub(crate) fn monotonic() -> u64 {
    let Ok(uptime) = sondage_sampler::Clock::Monotonic.now() else { return 0 };
    u64::try_from(uptime.as_nanos()).unwrap_or(u64::MAX)
}

//! What the recorded processes wrote, as one profile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget};
use sondage::profile::{LabelSetId, LossCause, Profile};

use crate::file;

/// With more processes than this, their numbers are no labels: the commands stay.
const MAX_PIDS: usize = 256;

/// Lines about processes that could not be recorded.
const MAX_FAILURES: usize = 8;

/// Merged profiles.
#[derive(Debug)]
pub(crate) struct Collected {
    pub(crate) profile: Profile,
    /// Processes in it, each image that a process ran counted.
    pub(crate) processes: usize,
    /// Why processes were not recorded, one line for each kind.
    pub(crate) failures: Vec<String>,
    /// CPU time of the program and its descendants, the profiler's share in it, and what of the
    /// rest no profile holds.
    pub(crate) cpu: Cpu,
}

/// CPU times of a recording.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cpu {
    pub(crate) total: Duration,
    pub(crate) agent: Duration,
    pub(crate) unseen: Duration,
}

impl Collected {
    /// Reads every file of a recording. A file that cannot be read counts as a failure.
    pub(crate) fn read(directory: &Path) -> Self {
        let mut collected = Self {
            profile: Profile::new(Vec::new()),
            processes: 0,
            failures: Vec::new(),
            cpu: Cpu::default(),
        };
        let images = images(directory, &mut collected.failures);
        collected.processes = images.len();
        let bar = ProgressBar::with_draw_target(
            Some(images.len() as u64),
            ProgressDrawTarget::stderr_with_hz(4),
        );
        for files in images.values() {
            collected.add_image(files, images.len() <= MAX_PIDS);
            bar.inc(1);
        }
        bar.finish_and_clear();
        collected
    }

    /// Whether no sample was taken.
    pub(crate) fn is_empty(&self) -> bool {
        let samples = self.profile.column("samples");
        samples.is_none_or(|samples| self.profile.total(samples) == 0)
    }

    /// Adds what one process wrote.
    fn add_image(&mut self, files: &[PathBuf], with_pid: bool) {
        for path in files {
            let decoded = file::read(path).map_err(|error| error.message).and_then(|bytes| {
                let decoded = sondage::profile::pprof::decode(&bytes);
                decoded.map_err(|error| format!("{}: {error}", path.display()))
            });
            match decoded {
                Ok(mut profile) => {
                    self.cpu.agent += profile.meta.cost.unwrap_or_default();
                    if !with_pid {
                        profile.meta.labels.retain(|(key, _)| key != "pid");
                    }
                    self.profile.merge(&profile);
                }
                Err(message) => fail(&mut self.failures, message),
            }
        }
    }

    /// Adds the CPU time that no process accounted for: that of processes and parts of processes
    /// without a profiler.
    pub(crate) fn add_unseen(&mut self, total: Duration) {
        let Some(cpu) = self.profile.column("cpu") else {
            self.cpu = Cpu { total, unseen: total, ..self.cpu };
            return;
        };
        let seen = u64::try_from(self.profile.total(cpu)).unwrap_or(0);
        let unseen = total.saturating_sub(self.cpu.agent + Duration::from_nanos(seen));
        self.cpu = Cpu { total, unseen, ..self.cpu };
        let nanos = u64::try_from(unseen.as_nanos()).unwrap_or(u64::MAX);
        let frame = self.profile.named_location("[unsampled]");
        let stack = self.profile.stack(&[frame]);
        let mut values = vec![0; self.profile.sample_types().len()];
        values[cpu] = i64::try_from(nanos).unwrap_or(i64::MAX);
        if nanos > 0 {
            self.profile.add(stack, LabelSetId::default(), &values);
            self.profile.add_loss(LossCause::Unsampled, nanos);
        }
    }

    /// Labels the whole profile.
    pub(crate) fn label(&mut self, program: &str, labels: &[(String, String)]) {
        let service = ("service_name".to_owned(), program.to_owned());
        let own = &mut self.profile.meta.labels;
        own.retain(|(key, _)| key != "service_name");
        for (key, value) in std::iter::once(&service).chain(labels) {
            own.retain(|(known, _)| known != key);
            own.push((key.clone(), value.clone()));
        }
    }
}

/// The profiles in a directory, by what tells the processes apart.
fn images(directory: &Path, failures: &mut Vec<String>) -> BTreeMap<String, Vec<PathBuf>> {
    let mut images: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    let listing = match std::fs::read_dir(directory) {
        Ok(listing) => listing,
        Err(error) => {
            fail(failures, format!("{}: {error}", directory.display()));
            return images;
        }
    };
    for path in listing.filter_map(|entry| Some(entry.ok()?.path())) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some((image, _part)) = name.strip_suffix(".pb.gz").and_then(|n| n.rsplit_once('-')) {
            images.entry(image.to_owned()).or_default().push(path);
        } else if name.ends_with(".failed") {
            let line = file::read(&path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            let line = line.unwrap_or_else(|error| error.message);
            fail(failures, line.trim_end().escape_debug().to_string());
        }
    }
    images
}

fn fail(failures: &mut Vec<String>, line: String) {
    if failures.len() < MAX_FAILURES {
        failures.push(line);
    }
}

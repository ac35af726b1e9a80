//! Profiles from where the user says: files, directories of them, running processes.

mod directory;
mod room;

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use sondage::Config;
use sondage::export::{FileKind, FileName, Source};
use sondage::profile::Profile;
use sondage::profile::limits::MAX_SAMPLE_TYPES;

use crate::args::{Period, Place, Selection};
use crate::error::{Error, shown};
use crate::format;
use crate::output;
use room::Room;

/// What is read, and which part of it.
#[derive(Clone, Debug)]
pub(crate) struct Inputs {
    places: Vec<Place>,
    selection: Selection,
    /// A quantity that was asked for.
    kind: Option<String>,
}

/// One profile that was read.
#[derive(Debug)]
pub(crate) struct Input {
    /// The profile's own name for its service, or the file's.
    pub(crate) service: String,
    pub(crate) profile: Profile,
}

/// Who takes the profiles that are read.
pub(crate) trait Keeper {
    fn take(&mut self, input: Input);

    /// What it holds by now.
    fn held(&self) -> impl Iterator<Item = &Profile>;
}

/// Adds everything up.
impl Keeper for Option<Profile> {
    fn take(&mut self, input: Input) {
        match self {
            Some(sum) => sum.merge(&input.profile),
            None => *self = Some(input.profile),
        }
    }

    fn held(&self) -> impl Iterator<Item = &Profile> {
        self.iter()
    }
}

impl Inputs {
    pub(crate) fn new(places: &[Place], selection: &Selection, kind: Option<&str>) -> Self {
        let kind = kind.map(str::to_owned);
        Self { places: places.to_vec(), selection: selection.clone(), kind }
    }

    /// Whether a directory is among them.
    pub(crate) fn has_directory(&self) -> bool {
        self.places.iter().any(|place| matches!(place, Place::Path(path) if path.is_dir()))
    }

    /// The longest that asking running processes takes; zero without any.
    pub(crate) fn fetching(&self) -> Duration {
        let patience = |place: &Place| match place {
            Place::Url(url) => Some(source(url, self.selection.seconds).ok()?.patience()),
            Place::Path(_) => None,
        };
        self.places.iter().filter_map(patience).sum()
    }

    /// Reads one profile after the other, those of a directory in order of time. What cannot be read
    /// in a directory is named and left out. It is an error where the keeper holds too much.
    pub(crate) fn each(&self, keeper: &mut impl Keeper) -> Result<(), Error> {
        let (mut taken, mut refused) = (0, None);
        let mut room = Room::default();
        let mut kinds = HashSet::new();
        let mut take = |input: Input| {
            let types = input.profile.sample_types();
            let further = types.iter().filter(|kind| !kinds.contains(*kind)).count();
            // Each file is bounded; the sum of many that have nothing in common would not be.
            if kinds.len() + further > MAX_SAMPLE_TYPES {
                let service = input.service.escape_debug();
                output::say(&format!("left out: {service}: yet other quantities"));
                return Ok(());
            }
            kinds.extend(types.iter().cloned());
            taken += 1;
            let bytes = input.profile.heap_bytes();
            keeper.take(input);
            room.take(bytes, || keeper.held().map(Profile::heap_bytes).sum())
        };
        for place in &self.places {
            match place {
                Place::Path(path) if path.is_dir() => {
                    refused = self.directory(path, &mut take)?.or(refused);
                }
                Place::Path(path) => {
                    let profile = format::read(path)?;
                    if self.is_then(&profile, path)? {
                        self.admit(profile, path).map_or(Ok(()), &mut take)?;
                    }
                }
                Place::Url(url) if !self.selection.period().is_all() => {
                    return Err(Error::usage(format!("{url}: a running process has no past")));
                }
                Place::Url(url) => {
                    let profile = self.fetch(url)?;
                    self.admit(profile, Path::new("profile")).map_or(Ok(()), &mut take)?;
                }
            }
        }
        match (taken, refused) {
            (0, Some(error)) => Err(error),
            (0, None) => Err(Error::new(format!("{}: no such profile is there", self.shown()))),
            _ => Ok(()),
        }
    }

    /// Their sum.
    pub(crate) fn sum(&self) -> Result<Profile, Error> {
        let mut sum = None;
        self.each(&mut sum)?;
        sum.ok_or_else(|| Error::usage("no file is given"))
    }

    /// The profiles of a directory, and why the last of those that cannot be read cannot.
    fn directory(
        &self,
        dir: &Path,
        take: &mut impl FnMut(Input) -> Result<(), Error>,
    ) -> Result<Option<Error>, Error> {
        let (mut refused, mut timeless) = (None, 0);
        let (period, kind) = (self.selection.period(), self.file_kind());
        for file in directory::files(dir)? {
            if file.told.as_ref().is_some_and(|told| !self.may_be_in(told, period, kind)) {
                continue;
            }
            match format::read(&file.path) {
                Ok(profile) if file.told.is_none() && !is_of(&profile, period, kind) => {
                    timeless += usize::from(profile.meta.start_unix_nanos.is_none());
                }
                Ok(profile) => {
                    self.admit(profile, &file.path).map_or(Ok(()), &mut *take)?;
                }
                Err(error) => {
                    output::say(&format!("left out: {}", error.message));
                    refused = Some(error);
                }
            }
        }
        if timeless > 0 && !period.is_all() {
            output::say(&format!("{}: left out: {timeless} without a time", shown(dir)));
        }
        Ok(refused)
    }

    /// The kind of files that have the quantity that is asked for.
    fn file_kind(&self) -> FileKind {
        self.kind.as_deref().map_or(FileKind::Cpu, FileKind::of_column)
    }

    /// Whether a file's name says that it may have what is asked for.
    fn may_be_in(&self, told: &directory::Told, period: Period, kind: FileKind) -> bool {
        let service = self.selection.service.as_deref();
        told.kind == kind
            && service.is_none_or(|service| told.is_of(service))
            && period.contains(told.start_unix_seconds)
    }

    /// Whether the profile of a file began in the period that is asked for.
    fn is_then(&self, profile: &Profile, path: &Path) -> Result<bool, Error> {
        let period = self.selection.period();
        match profile.meta.start_unix_nanos {
            _ if period.is_all() => Ok(true),
            Some(nanos) => Ok(period.contains(nanos / 1_000_000_000)),
            None => Err(Error::usage(format!("{}: the file tells no time", path.display()))),
        }
    }

    /// What of a profile is asked for.
    fn admit(&self, profile: Profile, path: &Path) -> Option<Input> {
        let service = service(&profile, path);
        let asked = self.selection.service.as_ref();
        let as_file = |asked: &String| FileName::file_service(asked) == service;
        if asked.is_some_and(|asked| *asked != service && !as_file(asked)) {
            return None;
        }
        if self.selection.labels.is_empty() {
            return Some(Input { service, profile });
        }
        let profile = profile.labelled(&self.selection.labels);
        (!profile.samples().is_empty()).then_some(Input { service, profile })
    }

    fn fetch(&self, url: &str) -> Result<Profile, Error> {
        let source = source(url, self.selection.seconds)?;
        source.fetch().map_err(|error| Error::new(error.to_string()))
    }

    fn shown(&self) -> String {
        let shown = self.places.iter().map(|place| match place {
            Place::Path(path) => shown(path),
            Place::Url(url) => url.clone(),
        });
        shown.collect::<Vec<_>>().join(", ")
    }
}

/// A running process, asked with the credentials of the environment.
pub(crate) fn source(url: &str, seconds: u64) -> Result<Source, Error> {
    let config = Config::builder().process_environment().targets([]).build();
    let source = config.and_then(|config| Source::new(url, seconds, &config.http));
    source.map_err(|error| Error::usage(error.to_string()))
}

/// Whether a profile whose file's name tells nothing is asked for.
fn is_of(profile: &Profile, period: Period, kind: FileKind) -> bool {
    let start = profile.meta.start_unix_nanos.map(|nanos| nanos / 1_000_000_000);
    let is_then = period.is_all() || start.is_some_and(|at| period.contains(at));
    is_then && FileKind::of_columns(profile.sample_types()) == kind
}

fn service(profile: &Profile, path: &Path) -> String {
    let labels = &profile.meta.labels;
    if let Some((_, service)) = labels.iter().find(|(key, _)| key == "service_name") {
        return service.clone();
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let told = FileName::parse(&name).map(|told| told.service.to_owned());
    told.unwrap_or_else(|| name.split('.').next().unwrap_or_default().to_owned())
}

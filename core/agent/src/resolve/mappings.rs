//! The executable mappings of one process.

use super::error::ResolveError;
use super::files::FileIndex;
use super::files::Files;
use super::files::KnownFile;
use super::files::Process;
use super::jitdump::Marker;
use super::maps::MapLine;
use super::module_file::ModuleFile;
use super::perf_map::PerfMap;
use sondage_sampler::MARKER_PREFIX;
use std::collections::HashMap;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

/// Executable mappings of another process that are looked at: each of the most it may have.
const MAX_MAPPINGS: usize = 65_536;

/// Different files of one other process: what uses up the room of all is a process by itself.
const MAX_FILES_EACH: usize = 1024;

/// Dumps of code made at run time that are read: one of each runtime in the process.
const MAX_MARKERS: usize = 4;

/// One executable mapping.
#[derive(Clone, Debug)]
pub struct Module {
    /// Its addresses.
    pub range: Range<u64>,
    /// Address minus address in the file.
    pub bias: u64,
    /// Offset in the file of the first address.
    pub file_offset: u64,
    /// Which file; see [`Mappings::file`].
    pub file: FileIndex,
}

/// The executable mappings of a process, as of the last [`refresh`](Self::refresh).
///
/// ```
/// use sondage::resolve::{Files, Mappings};
///
/// let mut files = Files::default();
/// let mut mappings = Mappings::of(std::process::id());
/// assert!(mappings.refresh(&mut files).unwrap());
/// for module in mappings.iter() {
///     println!("{:x?} {}", module.range, mappings.file(module.file).path.display());
/// }
/// ```
#[derive(Debug, Default)]
pub struct Mappings {
    /// Another process; our own where there is none.
    process: Option<Process>,
    list: Vec<Module>,
    files: HashMap<FileIndex, Arc<KnownFile>>,
    wanted: HashSet<FileIndex>,
    main_stack: Range<u64>,
    markers: Vec<Marker>,
    revision: u64,
    /// The version of a copy of Sondage that runs in the process: in our own, another one.
    pub other_agent: Option<String>,
    /// What could not be read or built, for `stats()` and `doctor`.
    pub last_error: Option<String>,
}

impl Mappings {
    /// Of this process.
    pub fn own() -> Self {
        Self::default()
    }

    /// Of the process `pid`, whose files are reached by its mappings or under its root.
    pub fn of(pid: u32) -> Self {
        Self { process: Some(Process::new(pid)), ..Self::default() }
    }

    /// Reads `/proc/PID/maps` again. Returns whether the list changed.
    ///
    /// # Errors
    /// When it cannot be read, as that of a process that is gone: the list stays as it was.
    pub fn refresh(&mut self, files: &mut Files) -> std::io::Result<bool> {
        let path = match self.process {
            None => "/proc/self/maps".to_owned(),
            Some(process) => format!("/proc/{}/maps", process.pid),
        };
        let text = std::fs::read(path)?;
        let text = String::from_utf8_lossy(&text);
        let mut list = Vec::new();
        self.markers.clear();
        for line in text.lines().filter_map(MapLine::parse) {
            if line.name == "[stack]" {
                self.main_stack = line.range.clone();
            } else if let Some(agent) = line.name.strip_prefix(MARKER_PREFIX) {
                self.other_agent = self.version_if_here(agent);
            }
            if let Some(marker) = Marker::of(&line) {
                // Mapped to be found: nothing runs there.
                if self.markers.len() < MAX_MARKERS {
                    self.markers.push(marker);
                }
            } else if line.executable
                && list.len() < MAX_MAPPINGS
                && let Some(module) = self.module(&line, files)
            {
                list.push(module);
            }
        }
        let same = |(a, b): (&Module, &Module)| a.range == b.range && a.file == b.file;
        let changed = list.len() != self.list.len() || !list.iter().zip(&self.list).all(same);
        self.list = list;
        self.revision += u64::from(changed);
        Ok(changed)
    }

    /// A number that grows whenever the list changes.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The mappings, by address.
    pub fn iter(&self) -> impl Iterator<Item = &Module> {
        self.list.iter()
    }

    /// The mappings of a file.
    pub fn of_file(&self, file: FileIndex) -> impl Iterator<Item = &Module> {
        self.list.iter().filter(move |module| module.file == file)
    }

    /// Lets go of the files that are not mapped any more. What was sampled in them must have its
    /// names before.
    pub fn forget_unmapped(&mut self) {
        let mapped: HashSet<FileIndex> = self.list.iter().map(|module| module.file).collect();
        self.files.retain(|file, _| mapped.contains(file));
        self.wanted.retain(|file| mapped.contains(file));
    }

    /// The files that are mapped or were, in no order.
    pub fn files(&self) -> impl Iterator<Item = &Arc<KnownFile>> {
        self.files.values()
    }

    /// The file of that number, if it is or was mapped.
    pub fn known(&self, index: FileIndex) -> Option<&Arc<KnownFile>> {
        self.files.get(&index)
    }

    /// The main thread's stack; empty before the first refresh.
    pub fn main_stack(&self) -> Range<u64> {
        self.main_stack.clone()
    }

    /// The mapping that holds an address.
    pub fn find(&self, address: u64) -> Option<&Module> {
        let after = self.list.partition_point(|module| module.range.start <= address);
        self.list[..after].last().filter(|module| address < module.range.end)
    }

    /// The file of a mapping.
    ///
    /// # Panics
    /// For a number that no mapping of this process has had, or that was forgotten.
    pub fn file(&self, index: FileIndex) -> &ModuleFile {
        &self.files[&index].module
    }

    /// Asks for the table of a large file, because a sample met it.
    pub fn want_table(&mut self, index: FileIndex) {
        self.wanted.insert(index);
    }

    /// Whether it was asked for.
    pub fn wants_table(&self, index: FileIndex) -> bool {
        self.wanted.contains(&index)
    }

    /// The names that a runtime in the process writes for its code.
    pub(crate) fn perf_map(&self) -> Result<PerfMap, ResolveError> {
        match self.process {
            None => PerfMap::open(),
            Some(process) => PerfMap::open_of(process.pid),
        }
    }

    /// The dumps of code that runtimes in the process write, and its number.
    pub(super) fn dumps(&self) -> (u32, &[Marker]) {
        (self.process.map_or_else(std::process::id, |process| process.pid), &self.markers)
    }

    fn module(&mut self, line: &MapLine<'_>, files: &mut Files) -> Option<Module> {
        let known = files.of_line(line, self.process);
        if let Some(error) = files.take_error() {
            self.last_error = Some(error);
        }
        let known = known?;
        let file = known.index;
        let bias = line.range.start.wrapping_sub(known.address_of(line)?);
        if self.process.is_some()
            && self.files.len() >= MAX_FILES_EACH
            && !self.files.contains_key(&file)
        {
            self.last_error = Some(format!("more than {MAX_FILES_EACH} files are mapped"));
            return None;
        }
        if self.wanted.is_empty() && known.module.path.starts_with("/") {
            // The executable comes first; its table is built whatever its size.
            self.wanted.insert(file);
        }
        self.files.insert(file, known);
        Some(Module { range: line.range.clone(), bias, file_offset: line.offset, file })
    }

    /// `PID:VERSION (deleted)` of this process; a marker of another one was inherited over a fork.
    fn version_if_here(&self, marker: &str) -> Option<String> {
        let (pid, version) = marker.split_once(':')?;
        let version = version.trim_end_matches(" (deleted)");
        let own = self.process.map_or_else(std::process::id, |process| process.pid);
        (pid == own.to_string()).then(|| version.to_owned())
    }
}

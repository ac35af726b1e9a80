//! Files whose code runs in processes, each known once.

use super::elf::Segment;
use super::error::ResolveError;
use super::image::Image;
use super::maps::MapLine;
use super::module_file::ModuleFile;
use super::own_memory::read_memory;
use super::reach::Reach;
use super::source::FileIdentity;
use super::tables::MAX_EH_FRAME;
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// The vDSO is two pages on every kernel so far.
const MAX_VDSO: u64 = 64 << 10;

/// Different files that are remembered, unless another limit is given.
const MAX_FILES: usize = 2048;

/// Names by which a file is found again, for each file that may be remembered.
const NAMES_EACH: usize = 8;

/// Files that are held open because no path of this process leads to them.
const MAX_HELD: usize = 256;

/// The name of executable memory that has none: code made at run time.
pub const ANONYMOUS: &str = "[anonymous]";

/// Names a file of one [`Files`]; never used again once the file is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileIndex(u64);

/// What was read of a file when it was first met.
#[derive(Debug)]
pub struct KnownFile {
    /// Its number.
    pub index: FileIndex,
    /// Where it is, and which.
    pub module: ModuleFile,
    /// Its loaded segments; empty for what is no ELF file.
    pub segments: Vec<Segment>,
    /// Bytes of its `.eh_frame`, 0 where it has none or too much for a table.
    pub eh_frame: u64,
}

impl KnownFile {
    /// Opens the file, checked to be the one that is mapped.
    ///
    /// # Errors
    /// As [`Image::open`], and when it cannot be reached any more.
    pub fn open(&self) -> Result<Image, ResolveError> {
        self.module.open()
    }

    /// Whether there is something to make an unwind table of: an ELF file, which Go's tables may be in
    /// without an `.eh_frame`, or the vDSO.
    pub fn may_have_table(&self) -> bool {
        !self.segments.is_empty() || self.module.bytes.is_some()
    }

    /// Where a line of `/proc/PID/maps` that maps this file begins in the file's own address space;
    /// `None` for bytes that no executable segment has.
    pub(super) fn address_of(&self, line: &MapLine<'_>) -> Option<u64> {
        if self.module.bytes.is_some() {
            return Some(0);
        }
        if self.segments.is_empty() {
            // No file to look into: addresses stand for themselves, frame pointers are followed.
            return Some(line.range.start);
        }
        let holds = |segment: &&Segment| {
            let start = segment.offset & !0xfff;
            (start..segment.offset.saturating_add(segment.file_size)).contains(&line.offset)
        };
        let executable = self.segments.iter().filter(|segment| segment.is_executable());
        let segment = executable.into_iter().find(holds)?;
        Some(segment.address.wrapping_add(line.offset).wrapping_sub(segment.offset))
    }
}

/// Another process: by its number, and by the mount namespace that its paths are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: u32,
    namespace: u64,
}

impl Process {
    pub(super) fn new(pid: u32) -> Self {
        // Where it cannot be looked at, its paths are of a namespace of its own.
        let namespace = std::fs::metadata(format!("/proc/{pid}/ns/mnt")).map(|meta| meta.ino());
        Self { pid, namespace: namespace.unwrap_or(u64::MAX - u64::from(pid)) }
    }
}

/// How a line of `/proc/PID/maps` names a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Name {
    namespace: Option<u64>,
    identity: Option<FileIdentity>,
    path: PathBuf,
}

/// An opened file, so that processes with other paths to it share it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Opened {
    identity: FileIdentity,
    size: u64,
    modified: (i64, i64),
}

impl Opened {
    fn new(file: &File) -> Option<Self> {
        let meta = file.metadata().ok()?;
        Some(Self {
            identity: FileIdentity { device: meta.dev(), inode: meta.ino() },
            size: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
        })
    }
}

/// The files that processes have mapped, shared among their [`Mappings`](super::Mappings).
///
/// A file is opened once, when it is first met, and remembered until [`drop_unused`] finds no
/// process that has it. Which file it is follows from what was opened and not from its build id,
/// which a file may make up.
///
/// [`drop_unused`]: Self::drop_unused
#[derive(Debug)]
pub struct Files {
    known: HashMap<FileIndex, Arc<KnownFile>>,
    by_name: HashMap<Name, FileIndex>,
    by_opened: HashMap<Opened, FileIndex>,
    next: u64,
    limit: usize,
    held: usize,
    error: Option<String>,
}

impl Default for Files {
    fn default() -> Self {
        Self::with_limit(MAX_FILES)
    }
}

impl Files {
    /// Of at most `limit` files. The default is 2,048.
    pub fn with_limit(limit: usize) -> Self {
        Self {
            known: HashMap::new(),
            by_name: HashMap::new(),
            by_opened: HashMap::new(),
            next: 0,
            limit,
            held: 0,
            error: None,
        }
    }

    /// The file of that number, unless it was dropped.
    pub fn get(&self, index: FileIndex) -> Option<&Arc<KnownFile>> {
        self.known.get(&index)
    }

    /// All files, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<KnownFile>> {
        self.known.values()
    }

    /// Forgets the files that nothing but this holds, and tells their numbers.
    pub fn drop_unused(&mut self) -> Vec<FileIndex> {
        let used = |file: &Arc<KnownFile>| Arc::strong_count(file) > 1;
        let mut dropped = Vec::new();
        self.known.retain(|index, file| {
            let keep = used(file);
            if !keep {
                dropped.push(*index);
                self.held -= usize::from(is_held(&file.module));
            }
            keep
        });
        self.by_name.retain(|_, index| self.known.contains_key(index));
        self.by_opened.retain(|_, index| self.known.contains_key(index));
        dropped
    }

    /// The last thing that could not be read, once.
    pub fn take_error(&mut self) -> Option<String> {
        self.error.take()
    }

    /// The file of a line of `process`' maps, or of our own where there is none.
    pub(super) fn of_line(
        &mut self,
        line: &MapLine<'_>,
        process: Option<Process>,
    ) -> Option<Arc<KnownFile>> {
        if line.name == "[vdso]" {
            return self.vdso(line, process);
        }
        let nameless = process.is_some() && !line.name.starts_with(['/', '[']);
        let named = process.is_some() && line.name.starts_with("[anon:");
        let name = if line.name.is_empty() || nameless || named { ANONYMOUS } else { line.name };
        let path = PathBuf::from(name.trim_end_matches(" (deleted)"));
        let namespace = process.filter(|_| line.identity.is_some()).map(|it| it.namespace);
        let name = Name { namespace, identity: line.identity, path };
        if let Some(index) = self.by_name.get(&name) {
            return self.known.get(index).cloned();
        }
        let reach = process.filter(|_| line.identity.is_some()).map(|process| Reach {
            pid: process.pid,
            range: line.range.clone(),
            held: None,
        });
        let path = name.path.clone();
        let module =
            ModuleFile { path, identity: line.identity, build_id: None, bytes: None, reach };
        if !name.path.starts_with("/") {
            return self.remember(Some(name), module, None);
        }
        match module.open() {
            Ok(image) => self.opened(name, module, &image),
            Err(error) => {
                self.error = Some(format!("{}: {error}", line.name));
                self.remember(Some(name), module, None)
            }
        }
    }

    fn opened(
        &mut self,
        name: Name,
        mut module: ModuleFile,
        image: &Image,
    ) -> Option<Arc<KnownFile>> {
        let mut opened = None;
        if let (Some(reach), Some(file)) = (&mut module.reach, image.source.file()) {
            opened = Opened::new(file);
            let known = opened.as_ref().and_then(|opened| self.by_opened.get(opened)).copied();
            if let Some(index) = known {
                self.make_room_for_names();
                self.by_name.insert(name, index);
                return self.known.get(&index).cloned();
            }
            let ours = File::open(&module.path).ok().as_ref().and_then(Opened::new);
            if (ours.is_none() || ours != opened) && self.held < MAX_HELD {
                reach.held = Some(file.clone());
            }
        }
        let known = self.remember(Some(name), module, Some(image))?;
        if let Some(opened) = opened {
            self.by_opened.insert(opened, known.index);
        }
        Some(known)
    }

    /// The vDSO as it is in the process' memory: a process can change its own.
    fn vdso(&mut self, line: &MapLine<'_>, process: Option<Process>) -> Option<Arc<KnownFile>> {
        let size = line.range.end.checked_sub(line.range.start).filter(|size| *size <= MAX_VDSO)?;
        let pid = process.map(|process| process.pid);
        let bytes = read_memory(pid, line.range.start, usize::try_from(size).ok()?)?;
        let same = |file: &&Arc<KnownFile>| file.module.bytes.as_deref() == Some(&bytes);
        if let Some(known) = self.known.values().find(same) {
            return Some(known.clone());
        }
        let path = PathBuf::from(line.name);
        let module = ModuleFile { path, bytes: Some(Arc::from(bytes)), ..ModuleFile::default() };
        let image = module.open();
        if let Err(error) = &image {
            self.error = Some(format!("{}: {error}", line.name));
        }
        self.remember(None, module, image.ok().as_ref())
    }

    fn remember(
        &mut self,
        name: Option<Name>,
        mut module: ModuleFile,
        image: Option<&Image>,
    ) -> Option<Arc<KnownFile>> {
        if self.known.len() >= self.limit {
            self.drop_unused();
        }
        if self.known.len() >= self.limit {
            self.error = Some(format!("more than {} different files are mapped", self.limit));
            return None;
        }
        let (mut segments, mut eh_frame) = (Vec::new(), 0);
        if let Some(image) = image {
            module.build_id = image.build_id();
            segments = image.load_segments().copied().collect();
            let size = image.section(".eh_frame").map_or(0, |section| section.size);
            eh_frame = Some(size).filter(|size| *size <= MAX_EH_FRAME).unwrap_or(0);
        }
        self.held += usize::from(is_held(&module));
        let index = FileIndex(self.next);
        self.next += 1;
        let file = Arc::new(KnownFile { index, module, segments, eh_frame });
        self.known.insert(index, file.clone());
        if let Some(name) = name {
            self.make_room_for_names();
            self.by_name.insert(name, index);
        }
        Some(file)
    }

    /// Names are found again by opening their file.
    fn make_room_for_names(&mut self) {
        if self.by_name.len() >= self.limit.saturating_mul(NAMES_EACH) {
            self.by_name.clear();
        }
    }
}

fn is_held(module: &ModuleFile) -> bool {
    module.reach.as_ref().is_some_and(|reach| reach.held.is_some())
}

/// Whether a path names memory without a file.
pub(crate) fn is_anonymous(path: &Path) -> bool {
    path.as_os_str() == ANONYMOUS
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;

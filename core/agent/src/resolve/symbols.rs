use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::cache::Cache;
use super::cache::ModuleId;
use super::debug_file;
use super::dwarf::DebugFrame;
use super::dwarf::DebugFrames;
use super::dwarf::DebugInfo;
use super::dwarf::SourceLine;
use super::error::ResolveError;
use super::error::ResolveErrorKind;
use super::go;
use super::go::GoFrame;
use super::image::Image;
use super::jitdump::Dumps;
use super::kernel::KernelSymbols;
use super::mappings::Mappings;
use super::module_file::ModuleFile;
use super::names;
use super::paged::Pages;
use super::symtab;
use super::symtab::Symbol;

/// How much memory names may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Bytes of names kept between calls. Default 24 MiB.
    pub cache_bytes: usize,
    /// Bytes that a file's compressed debug sections may take for the time of one call, and each
    /// of `.debug_line` and `.debug_abbrev` in any form; a file with more gets names from its
    /// symbol table only. 0 never reads debug sections. Default 64 MiB.
    ///
    /// Separate debug files that are compressed, as distributions make them, only give their
    /// symbol table whatever this says: the inlined frames of a C library are not worth 9 MB and
    /// 30 ms at every call with a new address.
    pub debug_bytes: u64,
    /// Where separate debug files stand. Default `/usr/lib/debug`.
    pub debug_directory: PathBuf,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            cache_bytes: 24 << 20,
            debug_bytes: 64 << 20,
            debug_directory: PathBuf::from("/usr/lib/debug"),
        }
    }
}

/// One function at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SymbolFrame {
    /// Demangled name.
    pub name: Arc<str>,
    /// Name as the linker knows it; equals `name` where there is no mangling.
    pub system_name: Arc<str>,
    /// Path of the source file, as the compiler wrote it.
    pub file: Option<Arc<str>>,
    /// Line in `file` that runs, or that holds the inlined call; counted from 1.
    pub line: Option<u32>,
    /// Line the function is declared at.
    pub start_line: Option<u32>,
}

/// What stands at an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// Innermost inlined function first, the function that was really called last; empty when
    /// nothing is known.
    pub frames: Arc<[SymbolFrame]>,
}

impl Resolved {
    /// A function by the name that a runtime wrote down for it.
    pub(super) fn written_down(name: Arc<str>, place: Option<(Arc<str>, Option<u32>)>) -> Self {
        let (file, line) = place.map_or((None, None), |(file, line)| (Some(file), line));
        let system_name = name.clone();
        let frame = SymbolFrame { name, system_name, file, line, start_line: None };
        Self { frames: Arc::from([frame]) }
    }
}

/// How much is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Detail {
    /// The function that covers an address in the symbol table: without what reading debug
    /// information costs.
    Names,
    /// Inlined functions, files and lines too.
    Lines,
}

/// What [`Symbols`] did since it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SymbolCounters {
    /// Addresses looked up in files.
    pub looked_up: u64,
    /// Addresses answered from the cache.
    pub cached: u64,
    /// Addresses looked up without finding a name.
    pub unresolved: u64,
    /// Addresses whose names were dropped to keep the budget.
    pub evicted: u64,
    /// Files, or parts of files, that could not be used.
    pub errors: u64,
    /// The last of those errors, with the path of the file.
    pub last_error: Option<String>,
    /// Bytes the cache takes now.
    pub cache_bytes: usize,
}

impl SymbolCounters {
    /// These counters and those of a cache that came after.
    pub(crate) fn and(&self, later: Self) -> Self {
        Self {
            looked_up: self.looked_up + later.looked_up,
            cached: self.cached + later.cached,
            unresolved: self.unresolved + later.unresolved,
            evicted: self.evicted + later.evicted,
            errors: self.errors + later.errors,
            last_error: later.last_error.or_else(|| self.last_error.clone()),
            cache_bytes: later.cache_bytes,
        }
    }
}

/// Turns addresses into names, files and lines.
///
/// Files are opened when an address is asked for the first time, read in bounded ranges and
/// closed again; results are kept in a bounded cache. It blocks on the disk and takes
/// milliseconds per new file: it belongs on the agent's thread, never in a handler. A file of another
/// process is opened as its [`Reach`](super::Reach) says.
///
/// ```
/// use sondage::resolve::{Budget, ModuleFile, Symbols};
///
/// let mut symbols = Symbols::new(Budget::default());
/// let module = ModuleFile { path: "/proc/self/exe".into(), ..ModuleFile::default() };
/// let frames = symbols.resolve(&module, &[0x1337]).remove(0).frames;
/// for frame in frames.iter() {
///     println!("{} at {:?}:{:?}", frame.name, frame.file, frame.line);
/// }
/// assert_eq!(symbols.counters().looked_up, 1);
/// ```
#[derive(Debug)]
pub struct Symbols {
    budget: Budget,
    cache: Cache,
    kernel: KernelSymbols,
    dumps: Dumps,
    counters: SymbolCounters,
}

impl Symbols {
    /// An empty cache.
    pub fn new(budget: Budget) -> Self {
        let cache = Cache::new(budget.cache_bytes);
        Self {
            budget,
            cache,
            kernel: KernelSymbols::default(),
            dumps: Dumps::default(),
            counters: SymbolCounters::default(),
        }
    }

    /// The function of the running kernel at an address, and the kernel's module that it is in;
    /// `None` where the kernel keeps that to itself.
    pub(crate) fn kernel(&mut self, address: u64) -> Option<(Arc<str>, Arc<str>)> {
        self.kernel.name(address)
    }

    /// Resolves addresses of code that a runtime made, by what it writes down: a jitdump, which may
    /// have lines, else a perf map.
    pub(crate) fn jitted(&mut self, mappings: &Mappings, addresses: &[u64]) -> Vec<Resolved> {
        let (mut found, error) = self.dumps.resolve(mappings, addresses);
        if let Some(error) = error {
            self.counters.errors += 1;
            self.counters.last_error = Some(error.to_string());
        }
        if found.iter().any(|resolved| resolved.frames.is_empty())
            && let Ok(map) = mappings.perf_map().and_then(|map| map.names_at(addresses))
        {
            for (resolved, name) in found.iter_mut().zip(map.names) {
                if let Some(name) = name.filter(|_| resolved.frames.is_empty()) {
                    *resolved = Resolved::written_down(name.into(), None);
                }
            }
        }
        found
    }

    /// Resolves `addresses` (in the module's own address space: what its symbol table says, not
    /// where it is loaded) in order.
    ///
    /// For a return address ask for the address minus one: the call, not what follows it.
    /// A module that cannot be read gives empty results and is counted in
    /// [`counters`](Self::counters).
    pub fn resolve(&mut self, module: &ModuleFile, addresses: &[u64]) -> Vec<Resolved> {
        self.resolve_as(module, addresses, Detail::Lines)
    }

    /// As [`resolve`](Self::resolve), with as much as is asked for.
    pub(crate) fn resolve_as(
        &mut self,
        module: &ModuleFile,
        addresses: &[u64],
        detail: Detail,
    ) -> Vec<Resolved> {
        let id = self.cache.begin(&module.key());
        let mut known: HashMap<u64, Resolved> = HashMap::new();
        let mut missing = Vec::new();
        for &address in addresses {
            match self.cache.get(id, detail, address) {
                Some(resolved) => {
                    self.counters.cached += 1;
                    known.insert(address, resolved);
                }
                None => missing.push(address),
            }
        }
        missing.sort_unstable();
        missing.dedup();
        if !missing.is_empty() {
            self.counters.looked_up += missing.len() as u64;
            let (found, keep) = self.look_up(module, id, &missing, detail);
            for (&address, resolved) in missing.iter().zip(found) {
                self.counters.unresolved += u64::from(resolved.frames.is_empty());
                if keep {
                    self.cache.insert(id, detail, address, resolved.clone());
                }
                known.insert(address, resolved);
            }
        }
        self.cache.trim();
        addresses.iter().map(|address| known.get(address).cloned().unwrap_or_default()).collect()
    }

    /// What happened so far.
    pub fn counters(&self) -> SymbolCounters {
        SymbolCounters {
            evicted: self.cache.evicted(),
            cache_bytes: self.cache.bytes(),
            ..self.counters.clone()
        }
    }

    /// Names for distinct addresses, and whether the answer will be the same next time.
    fn look_up(
        &mut self,
        module: &ModuleFile,
        id: ModuleId,
        addresses: &[u64],
        detail: Detail,
    ) -> (Vec<Resolved>, bool) {
        let image = match module.open() {
            Ok(image) => image,
            Err(error) => {
                // Out of descriptors now does not mean out of names for good.
                let keep = error.kind() != ResolveErrorKind::Unreadable;
                self.note(module, error);
                return (vec![Resolved::default(); addresses.len()], keep);
            }
        };
        let go = self.go_frames(id, &image, addresses, detail);
        if let Some(all) = go.iter().cloned().collect::<Option<Vec<_>>>() {
            return (all, true);
        }
        let (found, keep) =
            self.look_up_in(&Opened { module, id, image: &image }, addresses, detail);
        let found = go.into_iter().zip(found).map(|(go, found)| go.unwrap_or(found));
        (found.collect(), keep)
    }

    /// What the table of a Go program tells, which has all that debug information has, at less
    /// cost and also where the program is stripped. `None` where it knows nothing.
    fn go_frames(
        &mut self,
        id: ModuleId,
        image: &Image,
        addresses: &[u64],
        detail: Detail,
    ) -> Vec<Option<Resolved>> {
        let place = self.cache.go_place(id, || go::Place::find(image));
        let Some(place) = place else { return vec![None; addresses.len()] };
        let pages = Pages::new(&image.source);
        let names = go::Names::new(image, &pages, &place);
        let mut text = Names { cache: &mut self.cache, demangled: HashMap::new() };
        let found = addresses.iter().map(|address| {
            let frames = names.frames_at(*address, detail)?;
            Some(Resolved { frames: frames.iter().map(|frame| text.go_frame(frame)).collect() })
        });
        found.collect()
    }

    /// What the symbol table and debug information tell.
    fn look_up_in(
        &mut self,
        opened: &Opened<'_>,
        addresses: &[u64],
        detail: Detail,
    ) -> (Vec<Resolved>, bool) {
        let Opened { module, id, image } = *opened;
        let separate = if DebugInfo::is_in(image) {
            None
        } else {
            debug_file::find(image, &module.path, &self.budget.debug_directory)
        };
        let table = match &separate {
            Some(separate) if !symtab::has_full_table(image) => separate,
            _ => image,
        };
        let symbols = symtab::symbols_at(table, addresses).unwrap_or_else(|error| {
            self.note(module, error);
            vec![None; addresses.len()]
        });
        let described_in = match &separate {
            _ if detail == Detail::Names => None,
            Some(separate) => Some(separate).filter(|separate| DebugInfo::is_plain(separate)),
            None => Some(image),
        };
        let debug = described_in.and_then(|image| self.debug(module, id, image, addresses));
        let debug = debug.unwrap_or_else(|| vec![DebugFrames::default(); addresses.len()]);
        let mut names = Names { cache: &mut self.cache, demangled: HashMap::new() };
        let found = symbols
            .iter()
            .zip(&debug)
            .map(|(symbol, debug)| names.frames(symbol.as_ref(), debug))
            .collect();
        (found, true)
    }

    /// What debug information tells of the addresses, where the file has any that may be read.
    fn debug(
        &mut self,
        module: &ModuleFile,
        id: ModuleId,
        image: &Image,
        addresses: &[u64],
    ) -> Option<Vec<DebugFrames>> {
        if self.budget.debug_bytes == 0 {
            return None;
        }
        match DebugInfo::load(image, self.budget.debug_bytes) {
            Ok(None) => None,
            Ok(Some(info)) => {
                let mut units = self.cache.units(id);
                let is_new = units.is_none();
                let (frames, error) = info.frames_by(&mut units, addresses);
                if let Some(units) = units.filter(|_| is_new) {
                    self.cache.keep_units(id, units);
                }
                if let Some(error) = error {
                    self.note(module, error);
                }
                Some(frames)
            }
            Err(error) => {
                self.note(module, error);
                None
            }
        }
    }

    fn note(&mut self, module: &ModuleFile, error: ResolveError) {
        self.counters.errors += 1;
        let error = error.about(&module.path.to_string_lossy());
        self.counters.last_error = Some(error.to_string());
    }
}

/// A file that is looked into.
struct Opened<'a> {
    module: &'a ModuleFile,
    id: ModuleId,
    image: &'a Image,
}

/// Puts frames together, each string once.
struct Names<'a> {
    cache: &'a mut Cache,
    demangled: HashMap<Arc<str>, Arc<str>>,
}

impl Names<'_> {
    fn frames(&mut self, symbol: Option<&Symbol>, debug: &DebugFrames) -> Resolved {
        let mut frames = Vec::with_capacity(debug.frames.len().max(1));
        if let Some((outer, inlined)) = debug.frames.split_last() {
            frames.extend(inlined.iter().filter_map(|frame| self.frame(frame, None)));
            frames.extend(self.frame(outer, symbol));
        } else if let Some(symbol) = symbol {
            let (name, system_name) = self.pair(&symbol.name);
            frames.push(self.at(&debug.place, name, system_name, None));
        }
        Resolved { frames: Arc::from(frames) }
    }

    /// A frame of debug information; `symbol` is the one that covers the address.
    fn frame(&mut self, frame: &DebugFrame, symbol: Option<&Symbol>) -> Option<SymbolFrame> {
        let function = &frame.function;
        let linkage = function.linkage_name.as_ref();
        let mangled = symbol.map(|symbol| &symbol.name).filter(|name| is_mangled(name));
        let (name, system_name) = match (linkage.or(mangled), &function.name) {
            (Some(linkage), _) => self.pair(linkage),
            // A C function: `name` joins its clones (`name.part.0`), the symbol tells them apart.
            (None, Some(name)) => {
                let system = symbol.map_or(name, |symbol| &symbol.name);
                (self.plain(name), self.plain(system))
            }
            (None, None) => self.pair(&symbol?.name),
        };
        Some(self.at(&frame.place, name, system_name, function.start_line))
    }

    fn at(
        &mut self,
        place: &SourceLine,
        name: Arc<str>,
        system_name: Arc<str>,
        start_line: Option<u32>,
    ) -> SymbolFrame {
        let file = place.file.as_ref().map(|file| self.cache.string(file));
        SymbolFrame { name, system_name, file, line: place.line, start_line }
    }

    fn go_frame(&mut self, frame: &GoFrame) -> SymbolFrame {
        let name = self.plain(&go::readable(&frame.name));
        let system_name = self.plain(&frame.name);
        let file = frame.file.as_ref().map(|file| self.cache.string(file));
        let GoFrame { line, start_line, .. } = *frame;
        SymbolFrame { name, system_name, file, line, start_line }
    }

    /// A linkage name, demangled and as it is.
    fn pair(&mut self, linkage: &Arc<str>) -> (Arc<str>, Arc<str>) {
        let name = match self.demangled.get(linkage) {
            Some(name) => name.clone(),
            None => {
                let name = self.cache.string(&names::demangle(linkage));
                self.demangled.insert(linkage.clone(), name.clone());
                name
            }
        };
        (name, self.plain(linkage))
    }

    fn plain(&mut self, text: &str) -> Arc<str> {
        if text.len() <= names::MAX_NAME {
            return self.cache.string(text);
        }
        self.cache.string(&names::bounded(text))
    }
}

fn is_mangled(name: &str) -> bool {
    name.starts_with("_Z") || name.starts_with("_R")
}

//! What was found, bounded in bytes; the least recently used goes first.

use std::collections::HashMap;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::go;
use super::source::FileIdentity;
use super::symbols::Detail;
use super::symbols::Resolved;
use super::symbols::SymbolFrame;
use super::units::Units;

/// Map entry, its slot in the table and the reference counts of its frames.
const ENTRY_BYTES: usize = 96;
/// A string's reference counts and its slot in the set.
const STRING_BYTES: usize = 40;

/// What makes two modules the same file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ModuleKey {
    BuildId(String),
    File(PathBuf, Option<FileIdentity>),
}

impl ModuleKey {
    fn bytes(&self) -> usize {
        let text = match self {
            Self::BuildId(id) => id.len(),
            Self::File(path, _) => path.as_os_str().len(),
        };
        text + ENTRY_BYTES
    }
}

/// Names a module of one cache; never used again once the module is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ModuleId(u64);

#[derive(Debug)]
struct Entry {
    resolved: Resolved,
    /// The round it was last asked for in.
    used: u64,
}

#[derive(Debug)]
pub(crate) struct Cache {
    limit: usize,
    entries: HashMap<(ModuleId, Detail, u64), Entry>,
    modules: HashMap<ModuleKey, ModuleId>,
    next_module: u64,
    strings: HashSet<Arc<str>>,
    /// The debug information of modules that were looked into.
    units: HashMap<ModuleId, Arc<Units>>,
    /// Where the tables of Go programs lie; `None` for others.
    go: HashMap<ModuleId, Option<go::Place>>,
    bytes: usize,
    round: u64,
    evicted: u64,
}

impl Cache {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            entries: HashMap::new(),
            modules: HashMap::new(),
            next_module: 0,
            strings: HashSet::new(),
            units: HashMap::new(),
            go: HashMap::new(),
            bytes: 0,
            round: 0,
            evicted: 0,
        }
    }

    /// Bytes accounted: entries, frames, distinct strings, modules and their indexes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Starts a round: entries of older rounds are evicted first.
    pub(crate) fn begin(&mut self, key: &ModuleKey) -> ModuleId {
        self.trim();
        self.round += 1;
        if let Some(&id) = self.modules.get(key) {
            return id;
        }
        let id = ModuleId(self.next_module);
        self.next_module += 1;
        self.bytes += key.bytes();
        self.modules.insert(key.clone(), id);
        id
    }

    pub(crate) fn get(
        &mut self,
        module: ModuleId,
        detail: Detail,
        address: u64,
    ) -> Option<Resolved> {
        let entry = self.entries.get_mut(&(module, detail, address))?;
        entry.used = self.round;
        Some(entry.resolved.clone())
    }

    pub(crate) fn insert(
        &mut self,
        module: ModuleId,
        detail: Detail,
        address: u64,
        resolved: Resolved,
    ) {
        let entry = Entry { resolved, used: self.round };
        self.bytes += entry_bytes(&entry);
        if let Some(old) = self.entries.insert((module, detail, address), entry) {
            self.bytes -= entry_bytes(&old);
        }
    }

    /// The index of the module's debug information, if it was kept.
    pub(crate) fn units(&self, module: ModuleId) -> Option<Arc<Units>> {
        self.units.get(&module).cloned()
    }

    /// Keeps that index.
    pub(crate) fn keep_units(&mut self, module: ModuleId, units: Arc<Units>) {
        self.bytes += units.bytes();
        if let Some(old) = self.units.insert(module, units) {
            self.bytes -= old.bytes();
        }
    }

    /// Where the table of a Go program lies, which `find` finds the first time.
    pub(crate) fn go_place(
        &mut self,
        module: ModuleId,
        find: impl FnOnce() -> Option<go::Place>,
    ) -> Option<go::Place> {
        let Self { go, bytes, .. } = self;
        *go.entry(module).or_insert_with(|| {
            *bytes += ENTRY_BYTES + size_of::<go::Place>();
            find()
        })
    }

    /// The one copy of `text`.
    pub(crate) fn string(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.strings.get(text) {
            return known.clone();
        }
        let string: Arc<str> = Arc::from(text);
        self.bytes += string.len() + STRING_BYTES;
        self.strings.insert(string.clone());
        string
    }

    /// Evicts until a quarter of the limit is free, if the limit is exceeded. Strings that a
    /// caller still holds stay accounted until a later call.
    pub(crate) fn trim(&mut self) {
        if self.bytes <= self.limit {
            return;
        }
        let mut oldest: Vec<_> = self.entries.iter().map(|(key, e)| (e.used, *key)).collect();
        oldest.sort_unstable();
        let step = oldest.len() / 8 + 1;
        for keys in oldest.chunks(step) {
            for (_, key) in keys {
                if let Some(entry) = self.entries.remove(key) {
                    self.bytes -= entry_bytes(&entry);
                    self.evicted += 1;
                }
            }
            self.sweep();
            if self.bytes <= self.limit / 4 * 3 {
                break;
            }
        }
        if oldest.is_empty() {
            self.sweep();
        }
    }

    /// Drops strings and modules that nothing refers to.
    fn sweep(&mut self) {
        let Self { strings, modules, entries, units, go, bytes, .. } = self;
        strings.retain(|string| {
            let held = Arc::strong_count(string) > 1;
            if !held {
                *bytes -= string.len() + STRING_BYTES;
            }
            held
        });
        let live: HashSet<ModuleId> = entries.keys().map(|(module, ..)| *module).collect();
        units.retain(|id, units| {
            let held = live.contains(id);
            if !held {
                *bytes -= units.bytes();
            }
            held
        });
        go.retain(|id, _| {
            let held = live.contains(id);
            if !held {
                *bytes -= ENTRY_BYTES + size_of::<go::Place>();
            }
            held
        });
        modules.retain(|key, id| {
            let held = live.contains(id);
            if !held {
                *bytes -= key.bytes();
            }
            held
        });
    }
}

fn entry_bytes(entry: &Entry) -> usize {
    ENTRY_BYTES + entry.resolved.frames.len() * size_of::<SymbolFrame>()
}

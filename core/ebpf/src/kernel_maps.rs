//! What the engine asks of the kernel while it runs, in one place, so that tests can stand in for
//! the kernel.

use crate::context::ContextPlace;
use crate::error::{Error, ErrorKind};
use crate::go_labels::GoInfo;
use crate::python::{PYTHON_PROCESS_WORDS, PythonProcess};
use crate::sys::{self, SharedWords};
use aya::maps::{ArrayOfMaps, HashMap, Map, MapData};
use aya_obj::generated::bpf_map_type::BPF_MAP_TYPE_ARRAY;
use std::collections::BTreeMap;
use std::os::fd::AsFd;

/// `CHUNK_PAIRS` in `bpf/sample.h`, in words.
pub(crate) const CHUNK_WORDS: u32 = 2 << 17;

/// `MAX_CHUNKS` in `bpf/sample.h`.
pub(crate) const MAX_CHUNKS: u32 = 1024;

/// Words of `struct process` in `bpf/sample.h`.
const PROCESS_WORDS: usize = 6;

/// `struct process` in `bpf/sample.h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProcessEntry {
    pub(crate) first: u32,
    pub(crate) count: u32,
    pub(crate) generation: u64,
    /// `enum runtime`, as bits.
    pub(crate) runtimes: u32,
    pub(crate) go: GoInfo,
    pub(crate) context: ContextPlace,
}

impl ProcessEntry {
    fn words(self) -> [u64; PROCESS_WORDS] {
        let mut go = [0; 16];
        let (runtimes, info) = go.split_at_mut(4);
        runtimes.copy_from_slice(&self.runtimes.to_ne_bytes());
        info.copy_from_slice(&self.go.to_bytes());
        let word = |at: usize| {
            go.get(at..at + 8).and_then(|it| it.try_into().ok()).map_or(0, u64::from_ne_bytes)
        };
        let list = u64::from(self.first) | u64::from(self.count) << 32;
        let [offset, module] = self.context.words();
        [list, self.generation, word(0), word(8), offset, module]
    }
}

/// The maps that change while the programs run.
pub(crate) trait Maps {
    /// Makes a chunk of the tables, of zeros.
    fn add_chunk(&mut self, number: u32) -> Result<(), Error>;

    /// Takes a chunk away, and gives its memory back when no program reads it any more.
    fn remove_chunk(&mut self, number: u32);

    /// Writes into a chunk, from the word `first` on.
    fn write_chunk(&mut self, number: u32, first: u32, words: &[u32]) -> Result<(), Error>;

    /// Reads `count` words of a chunk, from the word `first` on; `None` where they are not there.
    fn read_chunk(&self, number: u32, first: u32, count: u32) -> Option<Vec<u32>>;

    /// Writes into the mappings of all processes, from the word `first` on.
    fn write_mappings(&mut self, first: u32, words: &[u32]);

    /// Says where a process' mappings are, from now on.
    fn set_process(&mut self, pid: u32, entry: ProcessEntry) -> Result<(), Error>;

    /// Says how a process' interpreter lays things out.
    fn set_python(&mut self, pid: u32, python: &PythonProcess) -> Result<(), Error>;

    /// Forgets a process; one that is not known is none.
    fn remove_process(&mut self, pid: u32);
}

/// The kernel's maps.
pub(crate) struct KernelMaps {
    /// An array of maps.
    chunks: Map,
    made: BTreeMap<u32, MapData>,
    mappings: SharedWords,
    processes: HashMap<MapData, u32, [u64; PROCESS_WORDS]>,
    pythons: HashMap<MapData, u32, [u64; PYTHON_PROCESS_WORDS]>,
}

/// `BPF_F_MMAPABLE` of linux/bpf.h.
const MMAPABLE: u32 = 1 << 10;

impl KernelMaps {
    pub(crate) fn new(
        chunks: Map,
        mappings: SharedWords,
        processes: HashMap<MapData, u32, [u64; PROCESS_WORDS]>,
        pythons: HashMap<MapData, u32, [u64; PYTHON_PROCESS_WORDS]>,
    ) -> Self {
        Self { chunks, made: BTreeMap::new(), mappings, processes, pythons }
    }
}

impl Maps for KernelMaps {
    fn add_chunk(&mut self, number: u32) -> Result<(), Error> {
        let refused = |error| Error::kernel("no memory for unwind tables", error);
        let (pair, pairs) = (8, CHUNK_WORDS / 2);
        let map =
            aya_obj::Map::new_from_params(BPF_MAP_TYPE_ARRAY as u32, 4, pair, pairs, MMAPABLE);
        let map = MapData::create(map, "chunk", None).map_err(refused)?;
        let mut chunks: ArrayOfMaps<&mut MapData, MapData> =
            (&mut self.chunks).try_into().map_err(refused)?;
        chunks.set(number, &map, 0).map_err(refused)?;
        self.made.insert(number, map);
        Ok(())
    }

    fn remove_chunk(&mut self, number: u32) {
        if let Map::ArrayOfMaps(chunks) = &self.chunks {
            sys::delete_element(chunks.fd().as_fd(), number);
        }
        self.made.remove(&number);
    }

    fn write_chunk(&mut self, number: u32, first: u32, words: &[u32]) -> Result<(), Error> {
        let Some(map) = self.made.get(&number) else {
            return Err(Error::new(ErrorKind::Kernel, format!("there is no chunk {number}")));
        };
        SharedWords::write(map.fd().as_fd(), first as usize, words)
            .map_err(|error| Error::kernel("cannot write unwind tables", error))
    }

    fn read_chunk(&self, number: u32, first: u32, count: u32) -> Option<Vec<u32>> {
        let map = self.made.get(&number)?;
        SharedWords::read(map.fd().as_fd(), first as usize, count as usize).ok()
    }

    fn write_mappings(&mut self, first: u32, words: &[u32]) {
        self.mappings.store(first as usize, words);
    }

    fn set_process(&mut self, pid: u32, entry: ProcessEntry) -> Result<(), Error> {
        self.processes
            .insert(pid, entry.words(), 0)
            .map_err(|error| Error::kernel(format!("no room for process {pid}"), error))
    }

    fn set_python(&mut self, pid: u32, python: &PythonProcess) -> Result<(), Error> {
        self.pythons
            .insert(pid, python.words(), 0)
            .map_err(|error| Error::kernel(format!("no room for the Python of {pid}"), error))
    }

    fn remove_process(&mut self, pid: u32) {
        let _ = self.processes.remove(&pid);
        let _ = self.pythons.remove(&pid);
    }
}

/// Maps in memory, with whatever limit on chunks.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct FakeMaps {
    pub(crate) chunks: BTreeMap<u32, Vec<u32>>,
    pub(crate) mappings: Vec<u32>,
    pub(crate) processes: BTreeMap<u32, ProcessEntry>,
    /// Chunks that the machine has memory for.
    pub(crate) memory: usize,
}

#[cfg(test)]
impl Maps for FakeMaps {
    fn add_chunk(&mut self, number: u32) -> Result<(), Error> {
        if self.chunks.len() >= self.memory {
            return Err(Error::new(ErrorKind::Kernel, "out of memory"));
        }
        assert!(self.chunks.insert(number, vec![0; CHUNK_WORDS as usize]).is_none());
        Ok(())
    }

    fn remove_chunk(&mut self, number: u32) {
        assert!(self.chunks.remove(&number).is_some());
    }

    fn write_chunk(&mut self, number: u32, first: u32, words: &[u32]) -> Result<(), Error> {
        let chunk = self.chunks.get_mut(&number).unwrap();
        chunk[first as usize..][..words.len()].copy_from_slice(words);
        Ok(())
    }

    fn read_chunk(&self, number: u32, first: u32, count: u32) -> Option<Vec<u32>> {
        let first = first as usize;
        Some(self.chunks.get(&number)?.get(first..first + count as usize)?.to_vec())
    }

    fn write_mappings(&mut self, first: u32, words: &[u32]) {
        let end = first as usize + words.len();
        self.mappings.resize(self.mappings.len().max(end), 0);
        self.mappings[first as usize..end].copy_from_slice(words);
    }

    fn set_process(&mut self, pid: u32, entry: ProcessEntry) -> Result<(), Error> {
        self.processes.insert(pid, entry);
        Ok(())
    }

    fn set_python(&mut self, _pid: u32, _python: &PythonProcess) -> Result<(), Error> {
        Ok(())
    }

    fn remove_process(&mut self, pid: u32) {
        self.processes.remove(&pid);
    }
}
